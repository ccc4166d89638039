"""Runs a statistic: beside the event loop, no larger than an answer may be, and given up when nobody waits for it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import polars as pl

from schemas.errors import InvalidError, UnavailableError

MOST_ROWS = 100_000
"""Rows of an answer."""
LONGEST_S = 60.0
MOST_GIVEN_UP = 2
"""Queries that nobody waits for and that have not ended: from here on none is begun."""
_FIRST_S, _LOOK_S = 0.001, 0.05

_given_up: list[Any] = []
"""Running queries that nobody waits for: Polars ends the whole process when one is thrown away before it has ended."""


async def collected(rows: pl.LazyFrame, gone: Callable[[], Awaitable[bool]]) -> pl.DataFrame | None:
    """The rows; None where `gone` says that nobody waits any longer.

    Raises `InvalidError` for more than `MOST_ROWS`, or where it takes longer than `LONGEST_S`, and `UnavailableError`
    where the files cannot be read.
    """
    running, ended = rows.head(MOST_ROWS + 1).collect(background=True), True
    loop, pause_s = asyncio.get_running_loop(), _FIRST_S
    until = loop.time() + LONGEST_S
    try:
        while (found := running.fetch()) is None:
            ended = False
            if loop.time() > until:
                raise InvalidError("this takes longer than a minute: ask for a shorter window, or one entity")
            if await gone():
                return None
            await asyncio.sleep(pause_s)
            pause_s, ended = min(2 * pause_s, _LOOK_S), True
    except pl.exceptions.PolarsError as error:
        raise UnavailableError(f"the archive cannot be read: {error}", retry_after_s=2) from error
    finally:
        if not ended:
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
