"""Roll-ups of readings: what a write adds to the minutes, hours and days, and how parts of a bucket become one."""

import polars as pl
import pyarrow as pa

from schemas.archive import ROLLUP
from schemas.tables import BAD

AHEAD = pl.duration(hours=9)
"""Asia/Seoul is this far ahead of UTC, without daylight saving since 1988 (IANA time zone database).

Reckoned with, not looked up for each row, which takes more time than everything else.
"""
_KEY = ("context", "facility", "sensor", "bucket")


def bucket(every: str) -> pl.Expr:
    """The beginning (UTC) of each row's bucket of this width, by the city's clock."""
    return ((pl.col("time") + AHEAD).dt.truncate(every) - AHEAD).alias("bucket")


def rolled(rows: pa.Table, every: str) -> pa.Table:
    """Readings as parts of buckets of this width, which begin by the clock of Asia/Seoul."""
    return _table(parts(pl.DataFrame(rows).lazy(), every))


def parts(readings: pl.LazyFrame, every: str) -> pl.LazyFrame:
    """The same, lazily, without the day."""
    value = pl.col("value").filter(pl.col("quality") != BAD)
    return readings.group_by("context", "facility", "sensor", bucket(every)).agg(
        value.len().cast(pl.Int64).alias("readings"),
        (pl.col("quality") == BAD).sum().cast(pl.Int64).alias("bad"),
        value.sum().alias("total"),
        value.min().alias("least"),
        value.max().alias("greatest"),
        pl.col("synthetic").any(),
    )


def merged(found: pl.LazyFrame) -> pa.Table:
    """Of parts one row for each bucket of a sensor."""
    return _table(summed(found))


def summed(found: pl.LazyFrame) -> pl.LazyFrame:
    """The parts of each bucket of a sensor as one."""
    return found.group_by(_KEY).agg(
        pl.col("readings", "bad", "total").sum(),
        pl.col("least").min(),
        pl.col("greatest").max(),
        pl.col("synthetic").any(),
    )


def _table(rows: pl.LazyFrame) -> pa.Table:
    whole = rows.with_columns(pl.col("bucket").dt.date().alias("day")).select(ROLLUP.names).sort("sensor", "bucket")
    return whole.collect().to_arrow().cast(ROLLUP)
