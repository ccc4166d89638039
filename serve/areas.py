"""The city's areas (읍면동): which polygon a code names, and in which of them each cell and each road segment lies."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import polars as pl
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from actors.population.grid import centres
from schemas.errors import ConflictError, InvalidError

DATASET = "areas"
"""The dataset of the catalogue whose rows (`code`, `name`, `_wkt`) they are."""
_SIMPLER_DEGREES = 0.0002
"""About 20 m, in answers and pictures; which cell lies where is found with the borders as they are."""


@dataclass(frozen=True, slots=True, eq=False)
class Areas:
    """Areas by code, in the order of their codes. `source` says whose borders they are, as their licence wants it.

    `version` is that of the rows that they come from.
    """

    rows: pl.DataFrame
    shapes: NDArray[np.object_]
    source: str
    version: str

    @classmethod
    def of(cls, rows: pl.DataFrame, source: str, version: str) -> "Areas":
        """From the rows of the dataset, but those without a shape. Raises `ConflictError` for other rows."""
        if missing := {"code", "name", "_wkt"} - set(rows.columns):
            lacking = ", ".join(sorted(missing))
            raise ConflictError(f"dataset {DATASET!r} lacks {lacking}: load the boundaries of the city")
        some = rows.select("code", "name", "_wkt").drop_nulls(["code", "_wkt"]).unique("code", keep="last").sort("code")
        drawn = shapely.from_wkt(some["_wkt"].to_numpy())
        shapes = np.asarray(shapely.make_valid(drawn, method="structure", keep_collapsed=False), dtype=np.object_)
        named = some.select("code", "name", pl.col("name").str.split(" ").list.last().alias("short"))
        return cls(named, shapes, source, version)

    @property
    def city(self) -> BaseGeometry:
        """All of them together."""
        return shapely.union_all(self.shapes)

    @property
    def parts(self) -> BaseGeometry:
        """All of them beside each other, each with its own border."""
        return shapely.MultiPolygon(list(shapely.get_parts(self.shapes)))

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in degrees."""
        west, south, east, north = map(float, shapely.total_bounds(self.shapes))
        return west, south, east, north

    def named(self, names: Iterable[str]) -> "Areas":
        """Those named by code, or by the last word of their name (`신북읍`). Raises `InvalidError` for one unknown."""
        known = {name: at for at, row in enumerate(self.rows.rows()) for name in reversed(row) if name is not None}
        asked = list(dict.fromkeys(names))
        if unknown := [name for name in asked if name not in known]:
            told = ", ".join(f"{code} {short}" for code, _, short in self.rows.rows())
            raise InvalidError(f"there is no area {unknown[0]!r}: name codes or names among {told}")
        at = sorted({known[name] for name in asked})
        return Areas(self.rows[at], self.shapes[at], self.source, self.version)

    def holding(self, cells: pl.Series) -> pl.DataFrame:
        """`cell, code`: the area that the middle of each cell lies in; null for none."""
        return pl.DataFrame({"cell": cells, "code": self._codes(np.asarray(shapely.points(*centres(cells))))})

    def of_segments(self, segments: pl.DataFrame) -> pl.DataFrame:
        """`road, segment, area, area_ko`: the area that the middle of each segment's `line` lies in; null for none."""
        lengths = segments["line"].list.len().fill_null(0)
        drawn = segments.select("line").filter(lengths > 1)["line"]
        lines = np.full(len(segments), None, np.object_)
        if len(drawn):
            of = np.repeat(np.arange(len(drawn)), lengths.filter(lengths > 1).to_numpy())
            lines[(lengths > 1).to_numpy()] = shapely.linestrings(drawn.explode().to_numpy(), indices=of)
        middles = np.asarray(shapely.line_interpolate_point(lines, 0.5, normalized=True))
        names = self.rows.select(area="code", area_ko="short")
        return segments.select("road", "segment", self._codes(middles).alias("area")).join(names, on="area", how="left")

    def _codes(self, points: NDArray[np.object_]) -> pl.Series:
        """The code of the area that each point lies in; null for none, and for no point."""
        found = np.full(len(points), -1)
        at, area = shapely.STRtree(self.shapes).query(points, predicate="intersects")
        found[at[::-1]] = area[::-1]  # on a border the first counts
        return self.rows["code"].gather(pl.Series(found, dtype=pl.Int64).replace(-1, None))

    def geometries(self, *, clockwise: bool = False) -> dict[str, dict[str, Any]]:
        """GeoJSON geometries by code, to about 20 m; outer rings counter-clockwise, as RFC 7946 wants them, or not."""
        simpler = shapely.orient_polygons(shapely.simplify(self.shapes, _SIMPLER_DEGREES), exterior_cw=clockwise)
        texts = shapely.to_geojson(shapely.set_precision(simpler, 1e-6, mode="pointwise"))
        return {code: orjson.loads(text) for code, text in zip(self.rows["code"], texts, strict=True)}
