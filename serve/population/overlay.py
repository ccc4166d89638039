"""People over facilities: how far they walk, how many each facility has in reach, and where there is none."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.errors import InvalidError
from schemas.siting import WALK_M_PER_MIN

F8 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Overlay:
    """People over facilities.

    `cells`: per cell the nearest `facility`, `metres`, `minutes` and the `method` of that distance; null where nothing
    can be reached at all. `facilities`: per facility and slot the people (`mean`, `at_most`) `in_reach`, each cell
    counted at every facility that it reaches, and those for whom it is the `nearest` in reach, each cell counted once.
    `gaps`: cells with people and nothing in reach, per slot, most people first. `slots`: per slot all people, those
    with something in reach, and their share.
    """

    cells: pl.DataFrame
    facilities: pl.DataFrame
    gaps: pl.DataFrame
    slots: pl.DataFrame
    reach_min: float
    walk_m_per_min: float


def overlay(
    people: pl.DataFrame,
    cells: pl.Series,
    facilities: pl.Series,
    metres: F8,
    method: NDArray[np.str_] | str,
    *,
    reach_min: float = 5.0,
    walk_m_per_min: float = WALK_M_PER_MIN,
) -> Overlay:
    """People (`cell, slot, mean, at_most`, as `query.answer` gives them) over facilities.

    `metres` has a row per id of `cells` and a column per id of `facilities`, distances on foot, infinite or not a
    number where there is no way; `method` says how each was found (`roads`, `straight-line`), one for all or one each.
    A cell stands where its middle is, so its people may be 350 m nearer or farther.

    Raises `InvalidError` for a matrix of another shape, a negative distance, a cell of people without a row, or an id
    that comes twice.
    """
    methods = np.broadcast_to(np.asarray(method), metres.shape)
    _fits(people, cells, facilities, metres)
    far = np.where(np.isnan(metres), np.inf, metres)
    limit = reach_min * walk_m_per_min
    table = _nearest(cells, facilities, far, methods, walk_m_per_min)
    told = people.select("cell", "slot", "mean", "at_most").join(table, on="cell", how="left", maintain_order="left")
    in_reach = pl.col("metres").fill_null(np.inf) <= limit
    gaps = told.filter(~in_reach & ((pl.col("mean") > 0) | (pl.col("at_most") > 0)))
    gaps = gaps.sort("mean", "at_most", "cell", descending=[True, True, False], nulls_last=True)
    slots = told.group_by("slot", maintain_order=True).agg(
        pl.col("mean").sum().alias("people"), pl.col("mean").filter(in_reach).sum().alias("in_reach")
    )
    share = pl.when(pl.col("people") > 0).then(pl.col("in_reach") / pl.col("people")).alias("share")
    counted = _per_facility(people, cells, facilities, far, limit)
    return Overlay(table, counted, gaps, slots.with_columns(share), reach_min, walk_m_per_min)


def _fits(people: pl.DataFrame, cells: pl.Series, facilities: pl.Series, metres: F8) -> None:
    if metres.shape != (len(cells), len(facilities)):
        raise InvalidError(f"distances are {metres.shape}, not {len(cells)} cells by {len(facilities)} facilities")
    for what, ids in (("cell", cells), ("facility", facilities)):
        if ids.n_unique() < len(ids):
            raise InvalidError(f"a {what} has two rows of distances: name each once")
    if (metres < 0).any():
        raise InvalidError("a distance is negative")
    if len(lost := people["cell"].unique().filter(~people["cell"].unique().is_in(cells.implode()))):
        raise InvalidError(f"{len(lost)} cells have people but no distances, first {lost.sort()[0]!r}")


def _nearest(
    cells: pl.Series, facilities: pl.Series, far: F8, methods: NDArray[np.str_], walk_m_per_min: float
) -> pl.DataFrame:
    if not len(facilities):
        nothing = {"facility": pl.String, "metres": pl.Float64, "minutes": pl.Float64, "method": pl.String}
        return pl.DataFrame({"cell": cells}).with_columns(
            pl.lit(None, kind).alias(name) for name, kind in nothing.items()
        )
    nearest = far.argmin(axis=1)
    rows = np.arange(len(cells))
    table = pl.DataFrame(
        {
            "cell": cells,
            "facility": facilities.gather(nearest),
            "metres": far[rows, nearest],
            "minutes": far[rows, nearest] / walk_m_per_min,
            "method": methods[rows, nearest],
        }
    )
    reached = pl.col("metres").is_finite()
    return table.with_columns(pl.when(reached).then(name).alias(name) for name in table.columns[1:])


def _per_facility(people: pl.DataFrame, cells: pl.Series, facilities: pl.Series, far: F8, limit: float) -> pl.DataFrame:
    """Sums over the cells in reach, as products of matrices: facilities by cells with cells by slots."""
    slots = people["slot"].unique(maintain_order=True)
    reach = (far <= limit).astype(np.float64)
    first = np.zeros_like(reach)
    if len(facilities):
        rows = np.arange(len(cells))
        first[rows, far.argmin(axis=1)] = reach[rows, far.argmin(axis=1)]
    sums = {
        f"{way}{end}": (matrix.T @ _by_slot(people, cells, slots, column)).ravel()
        for way, matrix in (("in_reach", reach), ("nearest", first))
        for column, end in (("mean", ""), ("at_most", "_at_most"))
    }
    ids = facilities.gather(np.repeat(np.arange(len(facilities)), len(slots)))
    return pl.DataFrame(
        {"facility": ids, "slot": slots.gather(np.tile(np.arange(len(slots)), len(facilities))), **sums}
    )


def _by_slot(people: pl.DataFrame, cells: pl.Series, slots: pl.Series, column: str) -> F8:
    """A row per cell, a column per slot; nought where nothing is told."""
    grid = pl.DataFrame({"cell": cells}).join(pl.DataFrame({"slot": slots}), how="cross")
    told = grid.join(people.select("cell", "slot", column), on=("cell", "slot"), how="left", maintain_order="left")
    values: F8 = told[column].fill_null(0.0).to_numpy().reshape(len(cells), len(slots))
    return values
