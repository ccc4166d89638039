"""The population context, without a host."""
