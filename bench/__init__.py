"""How fast it is, measured as ratios in one run: `python -m bench.<name>`. What each shows is in `bench/README.md`."""
