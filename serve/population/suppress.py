"""Small counts are hidden before anything is computed, so that no answer, nor any number of answers, tells one.

The rule is applied to the smallest thing that is ever counted, one cell in one hour of one day: above nought and below
the source's threshold it is replaced by nothing. Every answer is computed from what is left. It follows that answers to
any areas, hours and days, however they overlap and are subtracted, are functions of the protected counts alone: the
same whatever the hidden ones are. That is the complementary disclosure of tables taken care of at once; what is
paid for it is that sums lack the hidden counts, so they come with their number and with a bound.

Exact sums from elsewhere (the total of a day that a source told) would undo it, and leave through `told_total` alone.
"""

from dataclasses import dataclass

import polars as pl

from schemas.errors import InvalidError

_LEAST = 3


@dataclass(frozen=True, slots=True)
class Protected:
    """Counts that may be computed with: `day, cell, hour, count`, the count null where it is hidden. See `protect`."""

    rows: pl.DataFrame
    below: int


def protect(counts: pl.DataFrame, below: int) -> Protected:
    """Counts (`day, cell, hour, count`, each cell, hour and day once) with those above 0 and under `below` hidden.

    Noughts leave: a cell without a row is one without a count. Raises `InvalidError` for a threshold under 3 (hiding
    what is below 2 tells that it is 1), and for a cell, hour and day that comes twice: its parts could each be hidden
    and its sum told, or the other way round.
    """
    if below < _LEAST:
        raise InvalidError(f"counts are hidden below {_LEAST} at least, not {below}")
    rows = counts.select("day", "cell", "hour", "count").filter(pl.col("count") > 0)
    if rows.select(pl.struct("day", "cell", "hour").is_duplicated().any()).item():
        raise InvalidError("a cell, hour and day comes twice: protect the blocks of one source, each day once")
    shown = pl.when(pl.col("count") >= below).then("count").alias("count")
    return Protected(rows.with_columns(shown), below)


def told_total(total: float, shown: float, hidden: int, below: int) -> float | None:
    """A total that is known exactly, where telling it tells of no hidden count; else None.

    `shown` is the sum of the counts in it that readers see, `hidden` the number of those they do not. Whoever knows all
    three knows the sum of the hidden ones. It is told where each of them could still be anything from 1 to `below` - 1:
    at least two are hidden, and with one of them at either end the others can make up the rest.
    """
    if not hidden:
        return total
    rest = total - shown
    least, most = hidden - 1 + below - 1, (hidden - 1) * (below - 1) + 1
    return total if hidden > 1 and least <= rest <= most else None


def told_days(days: pl.DataFrame, counts: Protected) -> pl.DataFrame:
    """What may be told of days: `day, hours, whole, total, outside, unplaced, hidden`, in their order.

    `days` are rows of `DAYS` of one source. A total is null where `told_total` gives none; what is outside or unplaced
    where it is above nought and below the threshold.
    """
    seen = counts.rows.group_by("day").agg(
        pl.col("count").sum().alias("shown"), pl.col("count").null_count().alias("hidden")
    )
    rows = days.join(seen, on="day", how="left", maintain_order="left").with_columns(
        pl.col("shown").fill_null(0.0), pl.col("hidden").fill_null(0)
    )
    totals = [
        told_total(total, shown, hidden, counts.below)
        for total, shown, hidden in rows.select("total", "shown", "hidden").iter_rows()
    ]
    small = [
        pl.when((pl.col(name) == 0) | (pl.col(name) >= counts.below)).then(name).alias(name)
        for name in ("outside", "unplaced")
    ]
    return rows.select("day", "hours", "whole", pl.Series("total", totals, pl.Float64), *small, "hidden")
