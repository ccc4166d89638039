"""Korea's plane coordinates to longitude and latitude."""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from pyproj import Transformer

from schemas.dataset import Crs

Values = npt.NDArray[Any]


def wgs84(crs: Crs, east: Values, north: Values) -> tuple[Values, Values]:
    """Longitude and latitude (degrees, EPSG:4326) of coordinates, x first; NaN where there are none, or none can be."""
    if crs == "EPSG:4326":
        return east, north
    lon, lat = _transformer(crs).transform(east, north)
    known = np.isfinite(lon) & np.isfinite(lat)
    return np.where(known, lon, np.nan), np.where(known, lat, np.nan)


@cache
def _transformer(crs: Crs) -> Transformer:
    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
