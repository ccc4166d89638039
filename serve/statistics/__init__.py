"""Statistics over the archive and what came since: each declared once, and so in the API, in charts and in this list.

A new one is a few lines: a `Statistic` in `sensors.py`, `facilities.py` or `roads.py` (or a module that `ALL` names).
"""

from serve.statistics import facilities, roads, sensors
from serve.statistics.declared import Statistic

ALL: dict[str, Statistic] = {one.id: one for one in (*sensors.STATISTICS, *facilities.STATISTICS, *roads.STATISTICS)}
"""Every statistic by its id, in the order in which they are shown."""
