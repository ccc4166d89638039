"""Where rows are that are points: in WGS84, and whether in the city."""

import numpy as np
import polars as pl

from actors.catalogue.reading.city import City
from actors.catalogue.reading.findings import Findings, Said
from actors.catalogue.reading.wgs84 import Values, wgs84
from schemas.dataset import Points

OUTSIDE = Said("도시 밖에 있습니다", "the place is outside the city")
SWAPPED = Said(
    "경도와 위도(x와 y)가 바뀌어 있어 바로잡았습니다", "longitude and latitude (x and y) are exchanged: put right"
)
NOWHERE = Said("있을 수 없는 좌표라 비워 두었습니다", "there is no such place (0, 0, or beyond the earth): emptied")
_HALF = Said("좌표가 하나뿐입니다", "only one of the two coordinates is given")


def with_points(
    place: Points, rows: pl.DataFrame, texts: pl.DataFrame, numbers: pl.Series, city: City, findings: Findings
) -> pl.DataFrame:
    """`rows` with `_lon` and `_lat` (degrees, WGS84), None where a coordinate lacks.

    A point outside the city is flagged. One that is inside once its coordinates are exchanged is put right, in its
    columns, too. 0, 0 and what is beyond the earth is emptied. `texts` are the cells of `rows` as they came.
    """
    east, north = (rows[name].cast(pl.Float64, strict=False).to_numpy() for name in (place.x, place.y))
    said = _said(place, texts)

    def tell(kind: str, action: str, which: Values, sentence: Said) -> pl.Series:
        at = pl.Series(which, dtype=pl.Boolean)
        findings.rows(kind, action, place.x, numbers.filter(at), said.filter(at), sentence)  # type: ignore[arg-type]
        return at

    lon, lat = wgs84(place.crs, east, north)
    tell("missing", "kept", np.isnan(east) ^ np.isnan(north), _HALF)
    given = ~(np.isnan(east) | np.isnan(north))
    turned = given & ~city.holds(lon, lat)
    if turned.any():
        other_lon, other_lat = wgs84(place.crs, north, east)
        turned &= city.holds(other_lon, other_lat)
        lon, lat = np.where(turned, other_lon, lon), np.where(turned, other_lat, lat)
    swapped = tell("mended", "mended", turned, SWAPPED)
    nowhere = ~((np.abs(lon) <= 180) & (np.abs(lat) <= 90)) | ((east == 0) & (north == 0))
    emptied = tell("outside", "emptied", given & nowhere, NOWHERE)
    tell("outside", "kept", given & ~nowhere & ~city.holds(lon, lat), OUTSIDE)
    x, y = (_exchanged(rows[one], rows[other], swapped) for one, other in ((place.x, place.y), (place.y, place.x)))
    there = pl.Series(given & ~nowhere)
    return rows.with_columns(
        x.set(emptied, None),
        y.set(emptied, None),
        pl.Series("_lon", lon, dtype=pl.Float64).set(~there, None),
        pl.Series("_lat", lat, dtype=pl.Float64).set(~there, None),
    )


def _exchanged(one: pl.Series, other: pl.Series, at: pl.Series) -> pl.Series:
    return one.zip_with(~at, other.cast(one.dtype, strict=False)) if at.any() else one


def _said(place: Points, texts: pl.DataFrame) -> pl.Series:
    """Both coordinates as they came."""
    names = [name for name in (place.x, place.y) if name in texts.columns]
    if not names:
        return pl.Series([None] * len(texts), dtype=pl.String)
    return texts.select(pl.concat_str([pl.col(name).fill_null("") for name in names], separator=", ")).to_series()
