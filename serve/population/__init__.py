"""Queries of the population's counts: by slot, area and weekday, over facilities, as a map; small ones are hidden."""
