"""Datasets that the city itself keeps: the tables of its state and its statistics, in the columns declared."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import polars as pl
import shapely

from actors.catalogue.reading.cells import TYPES
from schemas.dataset import Dataset, FromCity, Points, Shapes
from schemas.errors import InvalidError, UnavailableError
from serve.backend import Backend
from serve.render import frame_of
from serve.statistics import ALL
from serve.statistics import declared as statistics
from serve.statistics.gathering import KnownAreas, gathered
from serve.statistics.run import QUERIES

_STATISTIC = "statistic"
_COMPUTING = asyncio.Semaphore(2)
"""Statistics that a replica computes at once for datasets: each is a process of its own."""
WINDOW = timedelta(days=1)
"""Of a statistic, the last 24 hours."""


async def rows_of(
    backend: Backend, facts: Dataset, as_of: datetime | None, gone: Callable[[], Awaitable[bool]], areas: KnownAreas
) -> pl.DataFrame | None:
    """The rows now, or as they were; None where nobody waits any longer.

    Raises `InvalidError` for a table that is not there, or a past moment of a statistic.
    """
    connector = facts.connector
    if not isinstance(connector, FromCity):
        raise InvalidError("this dataset is not one that the city keeps")
    context, _, table = connector.table.partition(".")
    if context == _STATISTIC:
        found = await _statistic(backend, table, as_of, gone, areas)
        return None if found is None else shaped(found, facts)
    view = backend.view(context) if as_of is None else await backend.view_at(context, as_of, None)
    if table not in view.tables:
        raise InvalidError(f"the city keeps no table {connector.table!r}")
    return shaped(frame_of(view.tables[table]), facts)


async def _statistic(
    backend: Backend, name: str, as_of: datetime | None, gone: Callable[[], Awaitable[bool]], areas: KnownAreas
) -> pl.DataFrame | None:
    if as_of is not None:
        raise InvalidError("a statistic tells of its window: ask /v1/statistics for another one")
    if (told := ALL.get(name)) is None:
        raise UnavailableError(f"there is no statistic {name!r}")
    asked = statistics.Asked(backend.now() - WINDOW, backend.now())
    async with _COMPUTING:
        return await QUERIES.collected(told.query(await gathered(backend, areas, told, asked), asked), gone)


def shaped(rows: pl.DataFrame, facts: Dataset) -> pl.DataFrame:
    """The declared columns in their types: lists as texts, lines as WKT; a column that is not there is empty.

    Raises `InvalidError` where the city's column is not of the kind declared.
    """
    columns: list[pl.Expr | pl.Series] = []
    for one in facts.columns:
        kind, name = TYPES[one.kind], one.header
        if name not in rows.columns:
            columns.append(pl.lit(None, kind).alias(one.id))
            continue
        found = rows.schema[name]
        if isinstance(found, pl.List) and isinstance(found.inner, pl.List | pl.Array):
            columns.append(pl.Series(one.id, _lines(rows[name]), pl.String))
        elif isinstance(found, pl.List):
            columns.append(pl.col(name).cast(pl.List(pl.String)).list.join(", ").alias(one.id))
        else:
            columns.append(pl.col(name).cast(kind).alias(one.id))
    try:
        shown = rows.select(columns)
    except pl.exceptions.PolarsError as error:
        raise InvalidError(f"the city's columns are of other kinds than declared: {error}") from error
    match facts.geometry:
        case Points(x=x, y=y):
            east, north = pl.col(x).cast(pl.Float64), pl.col(y).cast(pl.Float64)
            shown = shown.with_columns(east.alias("_lon"), north.alias("_lat"))
        case Shapes(column=column):
            shown = with_bounds(shown.with_columns(pl.col(column).alias("_wkt")))
        case _:
            pass
    return shown


def with_bounds(rows: pl.DataFrame) -> pl.DataFrame:
    """The bounds of `_wkt` beside it, in degrees."""
    bounds = shapely.bounds(shapely.from_wkt(rows["_wkt"].to_list()))
    sides = ("_west", "_south", "_east", "_north")
    return rows.with_columns(pl.Series(name, bounds[:, at]).fill_nan(None) for at, name in enumerate(sides))


def _lines(cells: pl.Series) -> list[str | None]:
    lines = [line if line is not None and len(line) > 1 else None for line in cells.to_list()]
    return [None if line is None else shapely.to_wkt(shapely.LineString(line), rounding_precision=-1) for line in lines]
