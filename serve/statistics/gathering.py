"""What a statistic is computed from: facts of the archive and what came since, and what the city knows beside them."""

import asyncio
from collections.abc import Awaitable, Callable

import polars as pl

from serve.areas import Areas
from serve.backend import Backend
from serve.render import frame_of
from serve.statistics.declared import SEGMENT_AREAS, Asked, Facts, Statistic

KnownAreas = Callable[[], Awaitable[Areas | None]]


async def gathered(backend: Backend, areas: KnownAreas, told: Statistic, asked: Asked) -> Facts:
    """The tables that a statistic reads. Raises `UnavailableError` while they are being loaded."""
    names = told.tables(asked)
    facts = dict(await backend.facts([name for name in names if name != SEGMENT_AREAS]))
    if SEGMENT_AREAS in names:
        facts[SEGMENT_AREAS] = (await _segment_areas(backend, areas)).lazy()
    return facts


async def _segment_areas(backend: Backend, areas: KnownAreas) -> pl.DataFrame:
    segments = frame_of(backend.view("road").tables["segments"])
    if (known := await areas()) is None:
        nowhere = pl.lit(None, pl.String)
        return segments.select("road", "segment", nowhere.alias("area"), nowhere.alias("area_ko"))
    return await asyncio.to_thread(known.of_segments, segments)
