"""Runs a statistic: beside the event loop, no larger than an answer may be, and given up when nobody waits for it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import polars as pl

from schemas.errors import InvalidError

MOST_ROWS = 100_000
"""Rows of an answer."""
LONGEST_S = 60.0
_FIRST_S, _LOOK_S = 0.001, 0.05

_given_up: list[Any] = []
"""Running queries that nobody waits for: Polars ends the whole process when one is thrown away before it has ended."""


async def collected(rows: pl.LazyFrame, gone: Callable[[], Awaitable[bool]]) -> pl.DataFrame | None:
    """The rows; None where `gone` says that nobody waits any longer.

    Raises `InvalidError` for more than `MOST_ROWS`, or where it takes longer than `LONGEST_S`.
    """
    running = rows.head(MOST_ROWS + 1).collect(engine="streaming", background=True)
    loop, pause_s = asyncio.get_running_loop(), _FIRST_S
    until, found = loop.time() + LONGEST_S, None
    try:
        while (found := running.fetch()) is None:
            if loop.time() > until:
                raise InvalidError("this takes longer than a minute: ask for a shorter window, or one entity")
            if await gone():
                return None
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LOOK_S)
    finally:
        if found is None:
            running.cancel()
            _given_up.append(running)
        given_up()
    if len(found) > MOST_ROWS:
        raise InvalidError(f"more than {MOST_ROWS:,} rows: ask for a shorter window, larger buckets or one entity")
    return found


def given_up() -> int:
    """How many queries run on though nobody waits: each ends at the next step where Polars looks."""
    _given_up[:] = [one for one in _given_up if not _ended(one)]
    return len(_given_up)


def _ended(running: Any) -> bool:
    try:
        return running.fetch() is not None
    except pl.exceptions.PolarsError:
        return True
