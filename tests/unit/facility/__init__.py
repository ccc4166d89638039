"""The facility context: deciders in given/when/then, the fold against naive models."""
