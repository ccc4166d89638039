"""Where a search looks: parts of the city, as requests name them and as the ledger keeps them."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Frozen
from schemas.road import Latitude, Longitude

MAX_POINTS = 5_000
"""Points of all polygons of one request: the ledger keeps them."""


class Circle(Frozen):
    """Everything within a distance of a place."""

    lon: Longitude
    lat: Latitude
    radius_m: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)]


class Polygon(Frozen):
    """A GeoJSON polygon, WGS84: rings of (lon, lat), the first and last point of each the same."""

    type: Literal["Polygon"]
    coordinates: Annotated[
        tuple[Annotated[tuple[tuple[Longitude, Latitude], ...], Field(min_length=4, max_length=1000)], ...],
        Field(min_length=1, max_length=20),
    ]


Dong = Annotated[str, Field(pattern=r"^[0-9]{8,10}$", description="Code of a dong, as cameras name it.")]
Area = Dong | Polygon | Circle


def points(area: Area) -> int:
    """How many points a polygon has; none of the others."""
    return sum(map(len, area.coordinates)) if isinstance(area, Polygon) else 0
