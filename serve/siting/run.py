"""Runs `worker`: a question that takes minutes slows no other request, and ends with who asked it."""

import asyncio
import io
import math
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from schemas.errors import InvalidError, UnavailableError
from serve.errand import Gone, run
from serve.pipes import read
from serve.siting.compare import SECONDS, Measures
from serve.siting.problem import Problem, Solution

MEMORY_MB = 6_000
AT_ONCE = 1
"""Questions that a replica solves at a time: each keeps a core busy."""
_MORE = 1.5
"""HiGHS looks at its clock between two steps, so that it may run over its limit."""
Solved = tuple[list[Solution], list[Measures]]


class Solving:
    """The places of one replica."""

    def __init__(self, at_once: int = AT_ONCE, memory_mb: int = MEMORY_MB) -> None:
        self._at_once, self._memory_mb, self._inside = at_once, memory_mb, 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place, for distances, solving and answer. Raises `UnavailableError` where all are taken."""
        if self._inside >= self._at_once:
            raise UnavailableError("another siting question is being solved: try again in a while", retry_after_s=10)
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    async def solved(self, problems: Sequence[Problem], gone: Gone) -> Solved | None:
        """A solution for each problem, and how they compare.

        None where `gone` says that nobody waits any longer, and then nothing runs on. Raises `InvalidError` where it
        takes too much memory or time, or the numbers cannot be solved with.
        """
        limit_s = math.ceil(sum(one.time_limit_s for one in problems) * _MORE + 4 * (len(problems) + 1) * SECONDS) + 30
        asked = await asyncio.to_thread(pickle.dumps, list(problems))
        if (answer := await run("serve.siting.worker", [asked], self._memory_mb, limit_s, gone)) is None:
            return None
        if (part := read(io.BytesIO(answer))) is None:
            raise InvalidError("this takes too much memory or time: leave sites or demand points out")
        found: Solved | str = pickle.loads(part)  # noqa: S301 - from our own child
        if isinstance(found, str):
            raise InvalidError(
                f"these numbers cannot be solved with ({found}): bring demand and capacities nearer to 1"
            )
        return found
