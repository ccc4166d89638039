"""Runs `worker`: a question that takes minutes slows no other request, and ends with who asked it."""

import asyncio
import io
import math
import pickle
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from schemas.errors import InvalidError, UnavailableError
from serve.siting.problem import Problem, Solution
from serve.statistics.worker import read, write

MEMORY_MB = 6_000
AT_ONCE = 1
"""Questions that a replica solves at a time: each keeps a core busy."""
_LOOK_S = 0.1
_MORE = 1.5
"""HiGHS looks at its clock between two steps, so that it may run over its limit."""
_ROOT = Path(__file__).parents[2]


class Solving:
    """The places of one replica."""

    def __init__(self, at_once: int = AT_ONCE, memory_mb: int = MEMORY_MB) -> None:
        self._at_once, self._memory_mb, self._inside = at_once, memory_mb, 0

    async def solved(self, problems: Sequence[Problem], gone: Callable[[], Awaitable[bool]]) -> list[Solution] | None:
        """A solution for each problem; None where `gone` says that nobody waits any longer, and then nothing runs on.

        Raises `UnavailableError` where all places are taken, `InvalidError` where it takes too much memory or time.
        """
        if self._inside >= self._at_once:
            raise UnavailableError("another siting question is being solved: try again in a while", retry_after_s=10)
        self._inside += 1
        try:
            return await self._run(problems, gone)
        finally:
            self._inside -= 1

    async def _run(self, problems: Sequence[Problem], gone: Callable[[], Awaitable[bool]]) -> list[Solution] | None:
        limit_s = math.ceil(sum(one.time_limit_s for one in problems) * _MORE) + 30
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "serve.siting.worker", str(self._memory_mb), str(limit_s)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=_ROOT,
        )
        sink = io.BytesIO()
        write(sink, pickle.dumps(list(problems)))
        telling = asyncio.ensure_future(process.communicate(sink.getvalue()))
        try:
            while not telling.done():
                if await gone():
                    return None
                await asyncio.wait([telling], timeout=_LOOK_S)
            answer, _ = telling.result()
        finally:
            if process.returncode is None:
                process.kill()
                await asyncio.wait([telling])
        pipe, found = io.BytesIO(answer), list[Solution]()
        while (part := read(pipe)) is not None:
            found.append(pickle.loads(part))  # noqa: S301 - from our own child
        if len(found) < len(problems):
            raise InvalidError("this takes too much memory or time: leave sites or demand points out")
        return found
