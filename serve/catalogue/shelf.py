"""The rows of versions in memory: read once from their object, and forgotten, least recently used first."""

import asyncio
import io
from collections.abc import Awaitable, Callable

import polars as pl

from actors.catalogue.state import listing_of, object_of
from schemas.catalogue import Refresh
from schemas.errors import GoneError
from serve.recent import Recent

MOST_BYTES = 512_000_000

Get = Callable[[str], Awaitable[bytes | None]]


class Shelf:
    """Frames by object. What a refresh names never changes, so nothing is ever invalidated; do not change a frame."""

    def __init__(self, get: Get, most_bytes: int = MOST_BYTES) -> None:
        self._get, self._frames = get, Recent[pl.DataFrame](most_bytes)
        self._reading: dict[str, asyncio.Task[pl.DataFrame]] = {}

    async def rows(self, dataset: str, refresh: Refresh) -> pl.DataFrame:
        """The rows of a refresh. Raises `GoneError` where they are no longer kept."""
        return await self._frame(object_of(dataset, refresh))

    async def findings(self, dataset: str, refresh: Refresh) -> pl.DataFrame:
        """The findings of a refresh, row by row. Raises `GoneError` where they are no longer kept."""
        name = listing_of(dataset, refresh)
        return pl.DataFrame() if name is None else await self._frame(name)

    async def _frame(self, name: str) -> pl.DataFrame:
        if (known := self._frames.get(name)) is not None:
            return known
        if name not in self._reading:
            self._reading[name] = asyncio.create_task(self._read(name))
            self._reading[name].add_done_callback(lambda _: self._reading.pop(name, None))
        return await asyncio.shield(self._reading[name])

    async def _read(self, name: str) -> pl.DataFrame:
        if (data := await self._get(name)) is None:
            raise GoneError("this version is no longer kept")
        frame = await asyncio.to_thread(lambda: pl.read_parquet(io.BytesIO(data)))
        self._frames.put(name, frame, int(frame.estimated_size()))
        return frame
