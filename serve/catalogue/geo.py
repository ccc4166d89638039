"""Rows as GeoJSON: whole, or cut into the tiles of a map for layers that are too large to be sent at once."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import polars as pl
import shapely

from schemas.dataset import Dataset, Points
from schemas.errors import InvalidError
from serve.boxes import Bbox
from serve.catalogue.rows import Asked, picked
from serve.render import json_rows

DEEPEST = 22
"""The largest zoom of a tile."""
_PIXELS = 512
"""Of a tile: what is smaller than one of them is left out of a line."""


def collection(rows: pl.DataFrame, facts: Dataset, columns: Sequence[str], more: dict[str, Any]) -> bytes:
    """A FeatureCollection (RFC 7946, WGS84) of rows with their `columns` as properties; `more` stands beside them.

    A row without a place has a null geometry. Raises `InvalidError` for a dataset without places.
    """
    shapes = shapes_of(rows, facts)
    return _collection(rows, columns, shapes, more)


def tile(rows: pl.DataFrame, facts: Dataset, columns: Sequence[str], z: int, x: int, y: int, most: int) -> bytes:
    """The features of one tile (Web Mercator, as {z}/{x}/{y} of slippy maps), cut at its edge and simplified.

    At most `most` of them, the first; `left_out` says how many more there are. Raises `InvalidError` for a tile that
    there is not.
    """
    west, south, east, north = box = bounds_of(z, x, y)
    if facts.geometry is not None:
        rows = picked(rows, facts, Asked(bbox=box))  # by their bounds, before any is made a shape
    shapes = shapes_of(rows, facts)
    inside = shapely.intersects(shapes, shapely.box(west, south, east, north))
    found = np.flatnonzero(inside)
    left_out, found = max(0, len(found) - most), found[:most]
    pixel = (east - west) / _PIXELS
    cut = shapely.clip_by_rect(shapes[found], west - pixel, south - pixel, east + pixel, north + pixel)
    simple = shapely.simplify(cut, pixel, preserve_topology=True)
    return _collection(rows[found.tolist()], columns, simple, {"tile": [z, x, y], "left_out": left_out})


def bounds_of(z: int, x: int, y: int) -> Bbox:
    """West, south, east and north of a tile in degrees. Raises `InvalidError` for one that there is not."""
    if not (0 <= z <= DEEPEST and 0 <= x < 2**z and 0 <= y < 2**z):
        raise InvalidError(f"there is no tile {z}/{x}/{y}: z is 0 to {DEEPEST}, x and y are below 2^z")

    def latitude(row: int) -> float:
        return math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * row / 2**z))))

    return x / 2**z * 360 - 180, latitude(y + 1), (x + 1) / 2**z * 360 - 180, latitude(y)


def shapes_of(rows: pl.DataFrame, facts: Dataset) -> Any:
    """The places of rows as shapely geometries, None where there is none. Raises `InvalidError` without any place."""
    if facts.geometry is None:
        raise InvalidError("this dataset has no places, so it makes no map")
    if isinstance(facts.geometry, Points):
        lon, lat = rows["_lon"].to_numpy(), rows["_lat"].to_numpy()
        known = np.isfinite(lon.astype(float)) & np.isfinite(lat.astype(float))
        shapes = np.full(len(rows), None, object)
        shapes[known] = shapely.points(lon[known], lat[known])
        return shapes
    return shapely.from_wkt(np.array(rows["_wkt"].to_list(), object))


def _collection(rows: pl.DataFrame, columns: Sequence[str], shapes: Any, more: dict[str, Any]) -> bytes:
    # RFC 7946: the outer ring runs counterclockwise.
    geometries = shapely.to_geojson(shapely.orient_polygons(shapes, exterior_cw=False))
    properties = orjson.loads(json_rows(rows.select(columns))) if len(rows) else []
    features = [
        {"type": "Feature", "geometry": None if one is None else orjson.Fragment(one), "properties": told}
        for one, told in zip(geometries.tolist() if len(rows) else [], properties, strict=True)
    ]
    return orjson.dumps({"type": "FeatureCollection", **more, "features": features})
