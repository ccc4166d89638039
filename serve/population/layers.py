"""What people are laid over: facilities and points of datasets, and the ways to them."""

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import polars as pl
import pyarrow as pa
import shapely

from schemas.errors import InvalidError
from schemas.facility import FacilityKind
from serve.siting.distances import Walks

KINDS: frozenset[str] = frozenset(get_args(FacilityKind))
ROAD_LINES = ("streetlight-chains", "bus-segments")
"""The datasets of lines that lead people beside the roads that are registered; those of buses join the others."""
LAYER = pl.Schema(
    {"facility": pl.String, "name": pl.String, "lon": pl.Float64, "lat": pl.Float64, "synthetic": pl.Boolean}
)


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Places that people may walk to: `rows` of `LAYER` (WGS84). `left_out` more have none; `key` is of their state."""

    id: str
    title_ko: str
    title_en: str
    source: str
    rows: pl.DataFrame
    left_out: int
    key: Hashable


def facility_layer(kind: str, facilities: pl.DataFrame, key: Hashable) -> Layer:
    """The facilities of a kind that have a position, by id. `key` names the state that they are of."""
    mine = facilities.filter(pl.col("kind") == kind).sort("facility")
    rows = mine.drop_nulls(["lon", "lat"]).select(
        "facility",
        pl.col("name_ko").alias("name"),
        "lon",
        "lat",
        (pl.col("synthetic") | pl.col("position_synthetic")).alias("synthetic"),
    )
    return Layer(
        kind, f"시설({kind})", f"facilities ({kind})", "시설물 · facilities", rows, mine.height - rows.height, key
    )


def dataset_layer(
    dataset: str,
    titles: tuple[str, str],
    source: str,
    rows: pl.DataFrame,
    label: str | None,
    key: Hashable,
    *,
    synthetic: bool,
) -> Layer:
    """The rows of a dataset of points; `label` is the column that names them. Raises `InvalidError` for others."""
    if not {"_lon", "_lat", "_row"} <= set(rows.columns):
        raise InvalidError(f"dataset {dataset!r} has no points: name one of points, or a kind of facility")
    name = pl.col(label).cast(pl.String) if label is not None and label in rows.columns else pl.lit(None, pl.String)
    placed = rows.drop_nulls(["_lon", "_lat"]).select(
        pl.format("{}-{}", pl.lit(dataset), "_row").alias("facility"),
        name.alias("name"),
        pl.col("_lon").alias("lon"),
        pl.col("_lat").alias("lat"),
        pl.lit(synthetic).alias("synthetic"),
    )
    return Layer(dataset, *titles, source, placed, rows.height - placed.height, key)


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Lines of roads as one array of coordinates and where each line ends; `digest` is of both."""

    coordinates: np.ndarray[Any, np.dtype[np.float64]]
    ends: np.ndarray[Any, np.dtype[np.int64]]
    digest: str

    def walks(self) -> Walks:
        """The graph of the ways; about a second for 13,000 points, so call it in a thread."""
        return Walks([list(map(tuple, line.tolist())) for line in np.split(self.coordinates, self.ends[:-1])])


def lines_of(segments: pa.Table, wkt: Sequence[str]) -> Lines | None:
    """The lines of the table `segments` and of a dataset's shapes (WKT); None where there are none."""
    own = [np.array(line) for line in segments["line"].to_pylist() if line and len(line) > 1]
    shapes = shapely.get_parts(shapely.from_wkt(list(wkt)))
    others = shapes[shapely.get_type_id(shapes) == shapely.GeometryType.LINESTRING]
    found = [*own, *(shapely.get_coordinates(line) for line in others)]
    if not found:
        return None
    coordinates, ends = np.concatenate(found), np.cumsum([len(line) for line in found])
    digest = hashlib.blake2b(coordinates.tobytes() + ends.tobytes(), digest_size=12).hexdigest()
    return Lines(coordinates, ends, digest)
