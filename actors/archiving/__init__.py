"""The archive's writer: follows the logs of all contexts but those of persons, and folds readings again for it.

`shard.py` gives the rows of one log, `archivist.py` gathers those of all and writes them, `actor.py` wraps it for Ray.
"""
