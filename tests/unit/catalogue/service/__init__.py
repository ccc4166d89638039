"""What serves the catalogue: refreshes, rows, places, pictures."""
