"""Where the city is."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import shapely
from shapely.geometry.base import BaseGeometry

from actors.catalogue.reading.wgs84 import Values

Bounds = tuple[float, float, float, float]
"""West, south, east, north in degrees (WGS84)."""
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class City:
    """The city's area (WGS84, longitude first), or its bounds where none is known; without both all is in it."""

    area: BaseGeometry | None = None
    bounds: Bounds | None = None

    @classmethod
    def of(cls, shapes: Iterable[dict[str, Any]], bounds: Bounds | None = None) -> "City":
        """The union of GeoJSON geometries, such as those of a boundary file; without any, the bounds."""
        parts = shapely.from_geojson([orjson.dumps(shape).decode() for shape in shapes])
        return cls(shapely.union_all(shapely.make_valid(parts)), bounds) if len(parts) else cls(None, bounds)

    def holds(self, lon: Values, lat: Values) -> Mask:
        """Which points (degrees) lie in the city or on its border; NaN does nowhere."""
        extent = self._extent()
        return np.full(len(lon), True) if extent is None else np.asarray(shapely.intersects_xy(extent, lon, lat))

    def touches(self, shapes: Values) -> Mask:
        """Which shapes (degrees) have a point in common with the city."""
        extent = self._extent()
        return np.full(len(shapes), True) if extent is None else np.asarray(shapely.intersects(extent, shapes))

    def _extent(self) -> BaseGeometry | None:
        extent = self.area if self.area is not None else None if self.bounds is None else shapely.box(*self.bounds)
        if extent is not None:
            shapely.prepare(extent)
        return extent
