"""What each command of `bomnae` does; `serve.cli` declares their options and imports them only when they run."""
