"""The person context, without a host."""
