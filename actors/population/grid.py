"""The national 500 m grid (국토통계지도 격자): cells of EPSG:5179 by id, and where they lie.

An id is two letters for a square of 100 km (east, then north), and per axis two digits of kilometres and `a` or `b` for
the southern or western, northern or eastern half: `라사00b69a` begins 1,000,500 m east and 1,969,000 m north. Rows of
cells are columns here, never loops.
"""

from functools import cache
from typing import Any

import numpy as np
import polars as pl
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from schemas.errors import InvalidError

F8 = NDArray[np.float64]

SIDE_M = 500
_SQUARE_M = 100_000
_KM = 1_000
_LETTERS = "가나다라마바사아자차카타파하"
_EAST_M, _NORTH_M = 700_000, 1_300_000
"""Where square 가가 begins; Korea lies in seven columns and eight rows from there."""
_COLUMNS, _ROWS = 7, 8
_ID = rf"^([{_LETTERS[:_COLUMNS]}])([{_LETTERS[:_ROWS]}])(\d\d)([ab])(\d\d)([ab])$"
_CORNERS = np.array([(0, 0), (SIDE_M, 0), (SIDE_M, SIDE_M), (0, SIDE_M), (0, 0)], dtype=np.float64)


@cache
def _transformer(source: int, target: int) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)


def to_metres(lon: F8, lat: F8) -> tuple[F8, F8]:
    """WGS84 degrees as EPSG:5179 metres (east, north); not a number stays one, beyond the projection is infinite."""
    east, north = _transformer(4326, 5179).transform(lon, lat)
    return np.asarray(east, dtype=np.float64), np.asarray(north, dtype=np.float64)


def to_degrees(east: F8, north: F8) -> tuple[F8, F8]:
    """EPSG:5179 metres (east, north) as WGS84 degrees (lon, lat)."""
    lon, lat = _transformer(5179, 4326).transform(east, north)
    return np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)


def is_cell(ids: pl.Expr) -> pl.Expr:
    """Whether texts are ids of cells; null for null."""
    return ids.str.contains(_ID)


def origins(ids: pl.Series) -> tuple[F8, F8]:
    """The south-western corners of cells, EPSG:5179 metres (east, north).

    Raises `InvalidError` where a text is no id of a 500 m cell, with the first that is none.
    """
    bad = ids.filter(~ids.str.contains(_ID).fill_null(value=False))
    if len(bad):
        raise InvalidError(
            f"{bad[0]!r} is no cell of the 500 m grid: an id looks like 라사00b69a ({len(bad)} are none)"
        )
    parts = ids.str.extract_groups(_ID).struct.unnest()
    squares = {letter: index for index, letter in enumerate(_LETTERS)}
    axes = []
    for square, km, half, begin in (("1", "3", "4", _EAST_M), ("2", "5", "6", _NORTH_M)):
        hundreds = pl.col(square).replace_strict(squares, return_dtype=pl.Int64) * _SQUARE_M
        at = begin + hundreds + pl.col(km).cast(pl.Int64) * _KM + (pl.col(half) == "b").cast(pl.Int64) * SIDE_M
        axes.append(parts.select(at.cast(pl.Float64).alias("at"))["at"].to_numpy())
    return axes[0], axes[1]


def cells_at(east: F8, north: F8) -> pl.Series:
    """The ids of the cells that points (EPSG:5179 metres) lie in; null for a point outside the grid, or none.

    A cell holds its southern and western edges.
    """
    points = pl.DataFrame({"east": east, "north": north})
    inside = (
        pl.all_horizontal(pl.col("east", "north").is_finite())
        & pl.col("east").is_between(_EAST_M, _EAST_M + _COLUMNS * _SQUARE_M, closed="left")
        & pl.col("north").is_between(_NORTH_M, _NORTH_M + _ROWS * _SQUARE_M, closed="left")
    )
    letters = pl.Series(list(_LETTERS))
    squares, halves = [], []
    for axis, begin in (("east", _EAST_M), ("north", _NORTH_M)):
        at = pl.when(inside).then(pl.col(axis)).cast(pl.Int64, strict=False) - begin
        squares.append(pl.lit(letters).gather(at // _SQUARE_M))
        half = pl.when(at % _KM < SIDE_M).then(pl.lit("a")).otherwise(pl.lit("b"))
        halves.append(pl.concat_str((at % _SQUARE_M // _KM).cast(pl.String).str.zfill(2), half))
    return points.select(pl.concat_str(*squares, *halves).alias("cell"))["cell"]


def cells_of(lon: F8, lat: F8) -> pl.Series:
    """The same of WGS84 degrees."""
    return cells_at(*to_metres(lon, lat))


def centres(ids: pl.Series) -> tuple[F8, F8]:
    """The middles of cells, WGS84 degrees (lon, lat). Raises `InvalidError` as `origins` does."""
    east, north = origins(ids)
    return to_degrees(east + SIDE_M / 2, north + SIDE_M / 2)


def polygons(ids: pl.Series) -> NDArray[np.object_]:
    """Cells as shapely polygons in WGS84, rings counter-clockwise (RFC 7946), to 7 digits (1 cm).

    Raises `InvalidError` as `origins` does.
    """
    corners = np.stack(origins(ids), axis=1)[:, None, :] + _CORNERS
    lon, lat = to_degrees(corners[..., 0].ravel(), corners[..., 1].ravel())
    rings = np.stack([lon, lat], axis=1).round(7).reshape(corners.shape)
    return np.asarray(shapely.polygons(rings), dtype=np.object_)


def geometries(ids: pl.Series) -> list[dict[str, Any]]:
    """Cells as GeoJSON geometries. Raises `InvalidError` as `origins` does."""
    return [
        {"type": "Polygon", "coordinates": [ring]}
        for ring in shapely.get_coordinates(polygons(ids)).reshape(-1, 5, 2).tolist()
    ]


def neighbours(ids: pl.Series) -> pl.DataFrame:
    """`cell, neighbour`: the eight cells around each, as far as the grid goes; a cell given twice once.

    Raises `InvalidError` as `origins` does.
    """
    cells = ids.unique(maintain_order=True)
    east, north = origins(cells)
    steps = np.array([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1) if (x, y) != (0, 0)]) * SIDE_M
    around = cells_at((east[:, None] + steps[:, 0]).ravel(), (north[:, None] + steps[:, 1]).ravel())
    own = cells.gather(np.repeat(np.arange(len(cells)), len(steps)))
    return pl.DataFrame({"cell": own, "neighbour": around}).drop_nulls()
