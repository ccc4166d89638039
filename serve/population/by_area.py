"""An answer of the population added up by area."""

import polars as pl

from serve.areas import Areas
from serve.population.query import Answer


def by_area(found: Answer, areas: Areas) -> pl.DataFrame:
    """`code, name, slot, days, count, hidden, mean, at_most`: an answer's cells added up by the area of their middle.

    Areas without a count stand in it with nought; cells of none of the areas are a row without a code, last.
    """
    sums = (
        found.cells.join(areas.holding(found.cells["cell"].unique()), on="cell", how="left")
        .group_by("code", "slot")
        .agg(pl.col("count", "hidden", "mean", "at_most").sum())
    )
    slots = found.totals.select("slot", "days").with_row_index("_place")
    codes = areas.rows.select("code", "name")
    if sums["code"].null_count():
        codes = pl.concat([codes, pl.DataFrame({"code": [None], "name": [None]}, codes.schema)])
    rows = codes.with_row_index("_area").join(slots, how="cross")
    rows = rows.join(sums, on=("code", "slot"), how="left", nulls_equal=True).sort("_area", "_place")
    filled = rows.with_columns(pl.col("count", "hidden", "mean", "at_most").fill_null(0))
    nothing = (pl.col("count") == 0) & (pl.col("hidden") > 0)
    mean = pl.when(~nothing).then("mean").alias("mean")
    return filled.select("code", "name", "slot", "days", "count", "hidden", mean, "at_most")
