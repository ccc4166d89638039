"""From what is asked to places: counts become demand, rows of datasets and facilities become sites."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from actors.population.grid import centres
from schemas.dataset import Dataset
from schemas.errors import InvalidError
from schemas.siting import MAX_SITES, Candidate, DemandPoint, Site, Slot
from serve.population.query import Answer
from serve.siting.asked import CandidatesOf, FromDataset

_LONGEST = 90
"""Letters of a name, so that a number behind it and a word before it fit."""


def demand_of(found: Answer, weights: Sequence[float]) -> tuple[tuple[Slot, ...], tuple[DemandPoint, ...]]:
    """The slots of an answer with their weights, and a demand point at the middle of each cell.

    Its weights are the means of the slots, nought where all that there is is hidden. Raises `InvalidError` for another
    number of weights than of slots, and where no cell has anything.
    """
    named = [slot.id for slot in found.asked.slots]
    if weights and len(weights) != len(named):
        raise InvalidError(f"demand.weights: {len(weights)} for the {len(named)} slots {', '.join(named)}")
    means = found.cells.select("cell", "slot", pl.col("mean").fill_null(0.0))
    wide = means.pivot("slot", index="cell", values="mean", sort_columns=False).fill_null(0.0)
    wide = wide.select("cell", *(pl.col(name) if name in wide.columns else pl.lit(0.0).alias(name) for name in named))
    wide = wide.filter(pl.sum_horizontal(*(pl.col(name) for name in named)) > 0).sort("cell")
    if wide.is_empty():
        raise InvalidError("demand: nothing that may be told was counted there: ask for other hours, days or an area")
    places = np.column_stack(centres(wide["cell"])).tolist()
    points = tuple(
        DemandPoint(id=cell, lon=lon, lat=lat, weights=tuple(counts))
        for cell, (lon, lat), counts in zip(wide["cell"], places, wide.select(named).iter_rows(), strict=True)
    )
    slots = tuple(
        Slot(id=name, weight=weight) for name, weight in zip(named, weights or [1.0] * len(named), strict=True)
    )
    return slots, points


def named(rows: pl.DataFrame, facts: Dataset, asked: FromDataset, what: str) -> pl.DataFrame:
    """`id, lon, lat` of the rows that have a place; ids are what their column says, with a number where that repeats.

    Raises `InvalidError` for a dataset without points, a column that there is not, and too many rows.
    """
    if not {"_lon", "_lat"} <= set(rows.columns):
        raise InvalidError(f"{what}: dataset {asked.dataset!r} has no points")
    label = asked.label or (facts.map.label if facts.map is not None else None)
    if label is not None and label not in {column.id for column in facts.columns}:
        raise InvalidError(f"{what}: there is no column {label!r} in dataset {asked.dataset!r}")
    placed = rows.drop_nulls(["_lon", "_lat"])
    if len(placed) > MAX_SITES:
        raise InvalidError(f"{what}: {len(placed):,} sites, at most {MAX_SITES:,}: give `where` or a bbox")
    name = pl.col(label).cast(pl.String) if label is not None else pl.lit(None, pl.String)
    name = pl.when(name.str.strip_chars() != "").then(name).otherwise(pl.lit(asked.dataset)).str.slice(0, _LONGEST)
    told = placed.select(name.alias("id"), pl.col("_lon").alias("lon"), pl.col("_lat").alias("lat"))
    number = pl.int_range(pl.len()).over("id") + 1
    again = pl.len().over("id") > 1
    return told.with_columns(pl.when(again).then(pl.format("{} #{}", "id", number)).otherwise("id").alias("id"))


def candidates_of(rows: pl.DataFrame, asked: CandidatesOf) -> tuple[Candidate, ...]:
    """Rows of `named` as candidates."""
    return tuple(Candidate(**row, cost=asked.cost, capacity=asked.capacity) for row in rows.to_dicts())


def sites_of(rows: pl.DataFrame, capacity: float | None) -> tuple[Site, ...]:
    """Rows of `named` as existing sites."""
    return tuple(Site(**row, capacity=capacity) for row in rows.to_dicts())
