"""Runs of equal keys in sorted rows, and cumulative operations that start anew with each run."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.facility.columns import I8, Mask


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs over `size` rows: `starts` and `lasts` are row numbers, `of` is each row's run."""

    starts: I8
    lasts: I8
    of: I8
    size: int


def runs_of(*keys: NDArray[Any]) -> Runs:
    """Runs of rows that agree in all keys; rows are sorted by them already, and there is at least one."""
    size = len(keys[0])
    begins = np.zeros(size, bool)
    begins[0] = True
    for key in keys:
        begins[1:] |= key[1:] != key[:-1]
    starts = np.flatnonzero(begins)
    lasts = np.append(starts[1:], size) - 1
    return Runs(starts, lasts, np.repeat(np.arange(len(starts)), lasts - starts + 1), size)


def shifted(values: NDArray[Any], runs: Runs, initial: NDArray[Any]) -> NDArray[Any]:
    """Each row's predecessor in its run; for a run's first row, `initial` of the run."""
    before = np.empty_like(values)
    before[1:] = values[:-1]
    before[runs.starts] = initial
    return before


def running_max(values: I8, runs: Runs, initial: I8) -> I8:
    """Per row the greatest of `initial` of its run and all rows of the run before it (itself not).

    Works on ranks, so that any int64 may occur.
    """
    before = shifted(values, runs, initial)
    levels, rank = np.unique(before, return_inverse=True)
    base = runs.of * len(levels)
    result: I8 = levels[np.maximum.accumulate(rank + base) - base]
    return result


def last_true(mask: Mask, runs: Runs) -> I8:
    """Per row the number of the newest row of its run, itself included, where `mask` holds; −1 where none does."""
    found = np.maximum.accumulate(np.where(mask, np.arange(runs.size), -1))
    found[found < runs.starts[runs.of]] = -1
    return found
