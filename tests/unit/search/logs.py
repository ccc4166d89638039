"""Logs with committed batches of events, in memory."""

from collections.abc import Sequence
from dataclasses import replace

from schemas.base import Event
from streams.log import COMMITTED, SHARD_ENTITY
from streams.memory import MemoryStore
from streams.subjects import log_subject
from tests.unit.batches import batch_of


async def commit(store: MemoryStore, events: Sequence[Event], shard: int = 0, whole: bool = True) -> int:
    """Append a batch as a shard's owner does; without its commit record where it is not `whole`."""
    sealed = batch_of(events, shard, len(store.records) + 1)
    context = sealed.commit.context
    records = list(sealed.events)
    if whole:
        subject = log_subject(context, shard, SHARD_ENTITY, COMMITTED)
        records.append(
            replace(records[-1], subject=subject, type="city.shard.committed.v1", data=sealed.commit.to_json())
        )
    return await store.append(records, len(store.records))
