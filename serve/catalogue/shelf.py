"""The rows of versions in memory: read once from their object, and forgotten, least recently used first."""

import asyncio
import io
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import polars as pl

from actors.catalogue.state import listing_of, object_of
from schemas.catalogue import Refresh
from schemas.errors import GoneError

MOST_BYTES = 512_000_000

Get = Callable[[str], Awaitable[bytes | None]]


class Shelf:
    """Frames by object. What a refresh names never changes, so nothing is ever invalidated; do not change a frame."""

    def __init__(self, get: Get, most_bytes: int = MOST_BYTES) -> None:
        self._get, self._most = get, most_bytes
        self._frames: OrderedDict[str, tuple[pl.DataFrame, int]] = OrderedDict()
        self._bytes = 0
        self._reading: dict[str, asyncio.Task[pl.DataFrame]] = {}

    async def rows(self, dataset: str, refresh: Refresh) -> pl.DataFrame:
        """The rows of a refresh. Raises `GoneError` where they are no longer kept."""
        return await self._frame(object_of(dataset, refresh))

    async def findings(self, dataset: str, refresh: Refresh) -> pl.DataFrame:
        """The findings of a refresh, row by row. Raises `GoneError` where they are no longer kept."""
        name = listing_of(dataset, refresh)
        return pl.DataFrame() if name is None else await self._frame(name)

    async def _frame(self, name: str) -> pl.DataFrame:
        if name in self._frames:
            self._frames.move_to_end(name)
            return self._frames[name][0]
        if name not in self._reading:
            self._reading[name] = asyncio.create_task(self._read(name))
            self._reading[name].add_done_callback(lambda _: self._reading.pop(name, None))
        return await asyncio.shield(self._reading[name])

    async def _read(self, name: str) -> pl.DataFrame:
        if (data := await self._get(name)) is None:
            raise GoneError("this version is no longer kept")
        frame = await asyncio.to_thread(lambda: pl.read_parquet(io.BytesIO(data)))
        size = int(frame.estimated_size())
        self._frames[name] = frame, size
        self._bytes += size
        while self._bytes > self._most and len(self._frames) > 1:
            self._bytes -= self._frames.popitem(last=False)[1][1]
        return frame
