"""Batches as a shard's owner commits them, for tests of what happens behind the commit."""

from collections.abc import Sequence

from schemas.base import Event, micros
from streams.log import COMMITTED, Batch, Commit, Position, Record
from streams.subjects import log_subject


def batch_of(events: Sequence[Event], shard: int = 0, first: int = 1, **headers: str) -> Batch:
    """A committed batch of events of one context, its records from sequence `first` on."""
    context = events[0].context
    records = tuple(
        Record(
            subject=log_subject(context, shard, event.entity, event.name),
            type=event.type,
            data=event.model_dump_json().encode(),
            id=f"{context}-{shard}-{first}-{number}",
            batch=f"batch-{first}",
            time=micros(event.at),
            headers=headers,
            sequence=first + number,
            stored_at=micros(event.at),
        )
        for number, event in enumerate(events)
    )
    commit = Commit(COMMITTED, context, shard, 1, first, Position(), Position(), 0, len(records), "", 1, 0)
    return Batch(records, commit, f"batch-{first}", first + len(records), records[-1].stored_at)
