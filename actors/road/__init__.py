"""Roads with their segments: works, snow, and the status that follows from both."""
