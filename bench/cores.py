"""How much of its speed a core keeps while all others are busy: less than 1 where they are threads of shared cores.

A ratio of what takes all cores over what takes one depends on it, and on a rented machine it changes within minutes.
"""

import subprocess
import sys
from statistics import mean

import psutil

_SPIN = """
import sys, time
until, turns = time.monotonic() + float(sys.argv[1]), 0
while time.monotonic() < until:
    sum(range(1000))
    turns += 1
print(turns)
"""


def kept(seconds: float = 1.0) -> float:
    """The speed of a core beside busy ones over its speed alone, for plain Python. Takes twice as many seconds."""
    alone = _turns(1, seconds)
    return _turns(psutil.cpu_count() or 1, seconds) / alone


def _turns(processes: int, seconds: float) -> float:
    command = [sys.executable, "-c", _SPIN, str(seconds)]
    spinning = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return mean(int(one.communicate()[0]) for one in spinning)
