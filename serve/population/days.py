"""The counts of days, protected: blocks are fetched once and kept in memory, and so is what is made of them."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date

import polars as pl

from actors.population.blocks import name_of, unpacked
from schemas.errors import InvalidError, UnavailableError
from serve.population.suppress import Protected, protect
from serve.recent import Recent

MOST_ROWS = 5_000_000
"""Counts that one question may read: 44 days in which every cell of the city has people in every hour."""
_AT_ONCE = 8
_COLUMNS = pl.Schema({"day": pl.Date(), "cell": pl.String(), "hour": pl.UInt8(), "count": pl.Float64()})

Fetch = Callable[[str], Awaitable[bytes | None]]


class Days:
    """Blocks by digest, and protected counts by the days and blocks that they are of and the threshold."""

    def __init__(self, block_bytes: int = 96_000_000, protected_bytes: int = 192_000_000) -> None:
        self._blocks: Recent[pl.DataFrame] = Recent(block_bytes)
        self._protected: Recent[Protected] = Recent(protected_bytes)

    async def protected(self, fetch: Fetch, days: pl.DataFrame, below: int) -> Protected:
        """The counts of whole days of one source (`day, block, rows`, as in `DAYS`), those under `below` hidden.

        Raises `InvalidError` beyond `MOST_ROWS` and for a block of other bytes, `UnavailableError` where one is
        missing.
        """
        if (rows := int(days["rows"].sum())) > MOST_ROWS:
            raise InvalidError(
                f"these days hold {rows:,} counts, at most {MOST_ROWS:,} are read at once: ask for fewer"
            )
        blocks: list[tuple[date, str]] = days.sort("day").select("day", "block").rows()
        key = (*blocks, below)
        if (known := self._protected.get(key)) is None:
            places = asyncio.Semaphore(_AT_ONCE)
            counts = await asyncio.gather(*(self._block(fetch, block, places) for _, block in blocks))
            known = await asyncio.to_thread(_protected, [day for day, _ in blocks], counts, below)
            self._protected.put(key, known, int(known.rows.estimated_size()))
        return known

    async def _block(self, fetch: Fetch, block: str, places: asyncio.Semaphore) -> pl.DataFrame:
        if (known := self._blocks.get(block)) is None:
            async with places:
                data = await fetch(name_of(block))
            if data is None:
                raise UnavailableError(
                    f"the counts {block[:12]}… cannot be read now: if that lasts, tell their day anew", 5
                )
            known = await asyncio.to_thread(unpacked, block, data)
            self._blocks.put(block, known, int(known.estimated_size()))
        return known


def _protected(days: list[date], counts: list[pl.DataFrame], below: int) -> Protected:
    dated = [rows.with_columns(pl.lit(day, pl.Date).alias("day")) for day, rows in zip(days, counts, strict=True)]
    return protect(pl.concat(dated) if dated else pl.DataFrame(schema=_COLUMNS), below)
