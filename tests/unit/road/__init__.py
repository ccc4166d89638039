"""The road context, without a host."""
