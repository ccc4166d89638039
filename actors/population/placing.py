"""Where places are: stops by their coordinates, cells by their ids; each inside the city, outside of it, or nowhere."""

from typing import Final

import numpy as np
import polars as pl
import shapely

from actors.population.grid import cells_of, is_cell, polygons
from actors.population.layouts import Layout

PLACED, OUTSIDE, UNPLACED = "placed", "outside", "unplaced"
_PLACE: Final = ("place", "name", "lon", "lat")


def placed(
    rows: pl.DataFrame, layout: Layout, city: shapely.Geometry | None, places: pl.DataFrame | None
) -> pl.DataFrame:
    """Rows with their `cell` (null for none) and `kept`: `placed`, `outside` or `unplaced`.

    `places` (`place, name, lon, lat`) tells where places are that have no coordinates in the rows: by place and name
    first, for some have moved with their names, then by place alone.
    """
    if places is not None:
        rows = _located(rows, places)
    distinct = rows.select(_PLACE).unique(maintain_order=True)
    cells = _by_id(distinct, city) if layout.cell is not None else _by_coordinates(distinct, city)
    return rows.join(cells, on=_PLACE, how="left", nulls_equal=True, maintain_order="left")


def _located(rows: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    known = places.select(
        pl.col("place", "name").cast(pl.String), pl.col("lon", "lat").cast(pl.Float64, strict=False)
    ).drop_nulls(["place", "lon", "lat"])
    named = known.unique(["place", "name"], keep="first", maintain_order=True)
    found = rows.join(named, on=["place", "name"], how="left", suffix="_named", nulls_equal=True, maintain_order="left")
    anyhow = known.unique("place", keep="first", maintain_order=True).drop("name")
    found = found.join(anyhow, on="place", how="left", suffix="_known", maintain_order="left")
    return found.with_columns(
        pl.coalesce(axis, f"{axis}_named", f"{axis}_known").alias(axis) for axis in ("lon", "lat")
    ).drop(f"{axis}_{way}" for axis in ("lon", "lat") for way in ("named", "known"))


def _by_coordinates(places: pl.DataFrame, city: shapely.Geometry | None) -> pl.DataFrame:
    lon, lat = (places[axis].fill_null(np.nan).to_numpy() for axis in ("lon", "lat"))
    inside = np.ones(len(lon), dtype=bool) if city is None else np.asarray(shapely.contains_xy(city, lon, lat))
    return _judged(places, cells_of(lon, lat), pl.Series(inside), known=np.isfinite(lon) & np.isfinite(lat))


def _by_id(places: pl.DataFrame, city: shapely.Geometry | None) -> pl.DataFrame:
    ids = places.select(pl.when(is_cell(pl.col("place"))).then(pl.col("place")).alias("cell"))["cell"]
    inside = pl.Series(np.ones(len(ids), dtype=bool))
    if city is not None:
        shapely.prepare(city)
        touches = pl.DataFrame({"cell": ids.drop_nulls()}).with_columns(
            pl.Series("inside", np.asarray(shapely.intersects(city, polygons(ids.drop_nulls()))))
        )
        inside = pl.DataFrame({"cell": ids}).join(touches.unique(), on="cell", how="left", maintain_order="left")[
            "inside"
        ]
    return _judged(places, ids, inside, known=ids.is_not_null().to_numpy())


def _judged(places: pl.DataFrame, cells: pl.Series, inside: pl.Series, known: np.ndarray) -> pl.DataFrame:
    """A point that has coordinates but no cell is outside the country, so of the city."""
    return places.with_columns(cells.alias("cell"), inside.alias("inside"), pl.Series("known", known)).select(
        *_PLACE,
        pl.when("inside").then("cell").alias("cell"),
        pl.when(~pl.col("known"))
        .then(pl.lit(UNPLACED))
        .when(pl.col("cell").is_not_null() & pl.col("inside"))
        .then(pl.lit(PLACED))
        .otherwise(pl.lit(OUTSIDE))
        .alias("kept"),
    )
