"""Where rows are that have shapes: WKT in WGS84, bounds, and whether in the city."""

import numpy as np
import polars as pl
import shapely

from actors.catalogue.reading.city import City
from actors.catalogue.reading.findings import Findings, Said
from actors.catalogue.reading.places import NOWHERE, OUTSIDE, SWAPPED
from actors.catalogue.reading.wgs84 import Values, wgs84
from schemas.dataset import Shapes

DECIMALS = 7
"""Of a degree, in `_wkt`: about a centimetre."""
_NO_SHAPE = Said("도형(WKT)으로 읽을 수 없어 비워 두었습니다", "the shape cannot be read as WKT: emptied")
_MENDED = Said("스스로 겹치는 도형을 바로잡았습니다", "the shape crosses itself: put right where it is shown")


def with_shapes(
    place: Shapes, rows: pl.DataFrame, texts: pl.DataFrame, numbers: pl.Series, city: City, findings: Findings
) -> pl.DataFrame:
    """`rows` with `_wkt` and its bounds `_west`, `_south`, `_east`, `_north` (degrees, WGS84), None without a shape.

    The column itself keeps what came. A shape that does not touch the city is flagged; one that does once its
    coordinates are exchanged is put right, as is one that crosses itself; what is no shape, or beyond the earth, is
    emptied.
    """
    said = rows[place.column]

    def tell(kind: str, action: str, which: Values, sentence: Said) -> pl.Series:
        at = pl.Series(which, dtype=pl.Boolean)
        findings.rows(kind, action, place.column, numbers.filter(at), said.filter(at), sentence)  # type: ignore[arg-type]
        return at

    shapes = shapely.force_2d(shapely.from_wkt(said.to_numpy(), on_invalid="ignore"))
    empty = np.asarray(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    lost = tell("unreadable", "emptied", empty & said.is_not_null().to_numpy(), _NO_SHAPE)
    shapes[empty] = None
    crossed = ~empty & ~shapely.is_valid(shapes)
    tell("mended", "mended", crossed, _MENDED)
    shapes[crossed] = shapely.make_valid(shapes[crossed])
    shapes, plane = _transformed(place, shapes), shapes
    away = ~empty & ~city.touches(shapes)
    if away.any():
        turned = _transformed(place, shapely.transform(plane[away], _turned))
        away[away] = city.touches(turned)
        tell("mended", "mended", away, SWAPPED)
        shapes[away] = turned[city.touches(turned)]
    bounds = shapely.bounds(shapes)
    beyond = ~empty & ~(np.isfinite(bounds).all(axis=1) & (np.abs(bounds) <= (180, 90, 180, 90)).all(axis=1))
    gone = tell("outside", "emptied", beyond, NOWHERE)
    tell("outside", "kept", ~empty & ~beyond & ~city.touches(shapes), OUTSIDE)
    shapes[beyond], bounds[beyond] = None, np.nan
    wkt = shapely.to_wkt(shapes, rounding_precision=DECIMALS)
    sides = (
        pl.Series(f"_{side}", bounds[:, n]).fill_nan(None) for n, side in enumerate(("west", "south", "east", "north"))
    )
    return rows.with_columns(said.set(lost | gone, None), pl.Series("_wkt", wkt, dtype=pl.String), *sides)


def _turned(points: Values) -> Values:
    return points[:, ::-1]


def _transformed(place: Shapes, shapes: Values) -> Values:
    if place.crs == "EPSG:4326":
        return shapes.copy()
    return np.asarray(shapely.transform(shapes, lambda points: np.column_stack(wgs84(place.crs, *points.T))))
