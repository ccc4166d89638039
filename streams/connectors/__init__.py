"""Where input comes from: the simulated city, its incidents, and replays of recorded data.

They connect to nothing, except `feeder`, which sends the simulated city.
"""
