"""Readings of a day that is over, put side by side by sensor: who asks for one of them reads few other rows."""

from collections.abc import Iterator

import polars as pl
import pyarrow as pa

from schemas.archive import READINGS

MOST_ROWS = 4_000_000
"""Rows that are put in order at a time, so that memory is bounded; more where one facility has more."""
_ORDER = ("facility", "sensor", "time", "boot", "sequence")


def clustered(day: pl.LazyFrame) -> pa.RecordBatchReader:
    """The same readings by facility, sensor and time, a part of the facilities after the other."""
    counts = day.group_by("facility").len().sort("facility").collect()
    part = (pl.col("len").cum_sum() - pl.col("len")) // MOST_ROWS
    parts = counts.group_by(part.alias("part"), maintain_order=True).agg("facility")["facility"]

    def batches() -> Iterator[pa.RecordBatch]:
        for facilities in parts:
            rows = day.filter(pl.col("facility").is_in(facilities.implode())).sort(_ORDER).collect()
            yield from rows.select(READINGS.names).to_arrow().cast(READINGS).to_batches()

    return pa.RecordBatchReader.from_batches(READINGS, batches())
