"""How many of the true best the sign bits find, measured on queries that were really asked, and what follows."""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from serve.search.index_search import Answer, Candidate, Effort
from serve.search.plan import Filters

BOUND = 0.99
WIDEST = 16


class Recall(NamedTuple):
    """Of the k best by an exact scan, the share that the quantised search returned, over some queries."""

    queries: int
    mean: float
    lowest: float


class Asked(NamedTuple):
    """A query that is asked again for measuring."""

    vector: npt.NDArray[np.float32]
    k: int
    filters: Filters


Ask = Callable[[Asked, Effort | None], Answer]
"""Search with this effort, or exactly."""


class Gauge:
    """Keeps each `every`-th quantised search, in memory, `most` of them at most, until they are measured."""

    def __init__(self, every: int = 50, most: int = 32) -> None:
        self._every, self._number = every, count()
        self._kept: deque[Asked] = deque(maxlen=most)

    def saw(self, asked: Asked) -> None:
        """A quantised search was answered."""
        if next(self._number) % self._every == 0:
            self._kept.append(asked)

    def measure(self, ask: Ask, effort: Effort) -> Recall | None:
        """Repeat what was kept, quantised and exactly, and forget it; None where nothing was.

        A search that reads no bits at all, because few rows are permitted, says nothing about them.
        """
        shares = []
        while self._kept:
            asked = self._kept.popleft()
            quick = ask(asked, effort)
            if not quick.coverage.exact:
                shares.append(share(quick.found[0], ask(asked, None).found[0]))
        return Recall(len(shares), float(np.mean(shares)), min(shares)) if shares else None


def share(found: Sequence[Candidate], best: Sequence[Candidate]) -> float:
    """Recall of one answer. Whatever scores as much as the last of the best counts: between equals any may be found."""
    if not best:
        return 1.0
    return min(1.0, sum(one.score >= best[-1].score for one in found) / len(best))


def adapted(effort: Effort, recall: Recall, bound: float = BOUND) -> Effort:
    """Below the bound twice as many candidates, at the widest no bits at all; narrower again only at a perfect recall.

    Untrusted bits are still measured, at the widest, and trusted again when they reach the bound.
    """
    if recall.mean < bound:
        return Effort(effort.width * 2, effort.trusted) if effort.width < WIDEST else Effort(WIDEST, trusted=False)
    if recall.mean == 1.0 and effort.trusted:
        return Effort(max(1, effort.width // 2))
    return Effort(effort.width)
