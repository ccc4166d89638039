"""Runs statistics in processes of their own: bounded in memory, time and rows, and ended when nobody waits."""

import asyncio
import io
import math
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import BinaryIO, cast

import polars as pl

from schemas.errors import InvalidError, UnavailableError
from serve.pipes import FAILED, read, write

MOST_ROWS = 100_000
"""Rows of an answer."""
_LOOK_S = 0.05
_ROOT = Path(__file__).parents[2]


class Queries:
    """Processes that compute, each one query at a time: started when needed, up to two kept for the next."""

    def __init__(self, memory_mb: int = 2_000, seconds: float = 60.0, kept: int = 2) -> None:
        self._memory_mb, self._seconds, self._kept = memory_mb, seconds, kept
        self._lock, self._idle = threading.Lock(), list[subprocess.Popen[bytes]]()

    async def collected(self, rows: pl.LazyFrame, gone: Callable[[], Awaitable[bool]]) -> pl.DataFrame | None:
        """The rows; None where `gone` says that nobody waits any longer, and then nothing runs on.

        Raises `InvalidError` for more than `MOST_ROWS`, or what takes too long or too much memory, and
        `UnavailableError` where the files cannot be read.
        """
        query = await asyncio.to_thread(rows.head(MOST_ROWS + 1).serialize)
        process, keep = await asyncio.to_thread(self._process), False
        asked = asyncio.ensure_future(asyncio.to_thread(_asked, process, query))
        try:
            async with asyncio.timeout(self._seconds):
                while not asked.done():
                    if await gone():
                        return None
                    await asyncio.wait([asked], timeout=_LOOK_S)
            answer = asked.result()
            keep = answer is not None
        except TimeoutError:
            why = f"this takes longer than {self._seconds:g} s: ask for a shorter window, or one entity"
            raise InvalidError(why) from None
        finally:
            self._done(process, keep=keep)
        if answer is None:
            raise InvalidError("this takes more memory than a query may have: ask for a shorter window, or one entity")
        status, data = answer
        if status == FAILED:
            raise UnavailableError(f"the archive cannot be read: {data.decode()}", retry_after_s=2)
        found = pl.read_ipc_stream(io.BytesIO(data))
        if len(found) > MOST_ROWS:
            raise InvalidError(f"more than {MOST_ROWS:,} rows: ask for a shorter window, larger buckets or one entity")
        return found

    def _process(self) -> subprocess.Popen[bytes]:
        with self._lock:
            while self._idle:
                if (process := self._idle.pop()).poll() is None:
                    return process
        limits = str(self._memory_mb), str(math.ceil(self._seconds) + 5)
        command = [sys.executable, "-m", "serve.statistics.worker", *limits]
        return subprocess.Popen(  # noqa: S603 - our own module, no input in the arguments
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT
        )

    def _done(self, process: subprocess.Popen[bytes], *, keep: bool) -> None:
        with self._lock:
            if keep and len(self._idle) < self._kept:
                self._idle.append(process)
                return
        process.kill()  # which ends the reading from it, too

    def close(self) -> None:
        """End those that wait for a query."""
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            process.kill()
            process.communicate()


def _asked(process: subprocess.Popen[bytes], query: bytes) -> tuple[bytes, bytes] | None:
    """What it answers; None where it has died."""
    asked, told = cast("BinaryIO", process.stdin), cast("BinaryIO", process.stdout)
    try:
        write(asked, query)
        status, data = told.read(1), read(told)
    except OSError:
        return None
    if not status or data is None:
        process.communicate()  # it has ended: close the pipes and let the system forget it
        return None
    return status, data


QUERIES = Queries()
"""Of this process."""
