"""Statistics over the archive and what came since: each declared once, and so in the API, in charts and in this list.

A new one is a few lines: a `Statistic` in `facilities.py` or `roads.py` (or another module that `ALL` names).
"""

from serve.statistics import facilities, roads
from serve.statistics.declared import Statistic

ALL: dict[str, Statistic] = {one.id: one for one in (*facilities.STATISTICS, *roads.STATISTICS)}
"""Every statistic by its id, in the order in which they are shown."""
