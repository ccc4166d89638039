"""The HTTP application on Ray Serve, and the command line."""
