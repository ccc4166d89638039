"""The catalogue context, without a host."""
