"""A counted file as the blocks to store and the commands that tell its days."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import polars as pl

from actors.population.blocks import COUNTS, name_of, packed
from actors.population.counts import Counted
from schemas.population import DayFacts, RecordDay


class Recording(NamedTuple):
    """One day: store `data` under `name` first, then send the command."""

    name: str
    data: bytes
    command: RecordDay


def recordings(found: Counted, source: str, digest: str, at: datetime, by: str) -> Iterator[Recording]:
    """One per day of the file, in order; `digest` is the file's SHA-256. The same file gives the same facts again."""
    by_day = found.counts.partition_by("day", as_dict=True, include_key=False)
    for row in found.days.iter_rows(named=True):
        counts = by_day.get((row["day"],), pl.DataFrame(schema=COUNTS))
        block, data = packed(counts.select(list(COUNTS)))
        told = {name: row[name] for name in DayFacts.model_fields if name in row and name != "rows"}
        facts = DayFacts(**told, block=block, rows=counts.height, total=row["placed"], input=digest)
        yield Recording(name_of(block), data, RecordDay(at=at, by=by, source=source, facts=facts))
