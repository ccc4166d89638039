"""What every `EventStore` promises; each implementation inherits the suite and says how to make one."""

import asyncio

import pytest

from schemas.errors import SequenceConflictError
from streams.log import (
    COMMITTED,
    MAX_BATCH,
    SHARD_ENTITY,
    Commit,
    EventStore,
    Position,
    Record,
    read_batches,
    sealed_alone,
)
from streams.subjects import log_subject


def event(text: str, batch: str = "b", entity: str = "a") -> Record:
    subject = log_subject("facility", 0, entity, "noted")
    return Record(subject, "city.test.noted.v1", text.encode(), f"id-{text}", batch, 1_800_000_000_000_001)


def seal(events: int, batch: str = "b") -> Record:
    commit = Commit(COMMITTED, "facility", 0, 1, 1, Position(), Position(2, 3), 0, events, "", 1, 0)
    subject = log_subject("facility", 0, SHARD_ENTITY, COMMITTED)
    return Record(subject, "city.shard.committed.v1", commit.to_json(), f"c-{batch}", batch, 1_800_000_000_000_002)


class EventStoreContract:
    """Inherit, and give a fixture `store` with an empty log for context facility, shard 0."""

    async def test_an_empty_log_ends_at_zero(self, store: EventStore) -> None:
        assert await store.last_sequence() == 0
        assert [record async for record in store.read()] == []

    async def test_records_come_back_as_they_were_written(self, store: EventStore) -> None:
        written = [event("one"), event("둘"), seal(2)]
        assert await store.append(written, 0) == 3
        read = [record async for record in store.read()]
        assert [(r.subject, r.type, r.data, r.id, r.batch, r.time) for r in read] == [
            (r.subject, r.type, r.data, r.id, r.batch, r.time) for r in written
        ]
        assert [record.sequence for record in read] == [1, 2, 3]

    async def test_an_append_is_seen_at_once_by_who_asks_for_the_end(self, store: EventStore) -> None:
        for number in range(5):
            assert await store.append([event(str(number))], number) == number + 1
            assert await store.last_sequence() == number + 1

    async def test_an_append_behind_a_wrong_sequence_stores_nothing(self, store: EventStore) -> None:
        await store.append([event("one")], 0)
        for wrong in (0, 2):
            with pytest.raises(SequenceConflictError):
                await store.append([event("two"), event("three")], wrong)
        assert await store.last_sequence() == 1

    async def test_of_two_appends_at_once_exactly_one_lands(self, store: EventStore) -> None:
        outcomes = await asyncio.gather(
            *(store.append([event(f"{n}-{i}", f"b{n}") for i in range(20)], 0) for n in range(2)),
            return_exceptions=True,
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["SequenceConflictError", "int"]
        assert len({record.batch async for record in store.read()}) == 1

    async def test_a_batch_holds_at_most_a_thousand_records(self, store: EventStore) -> None:
        assert await store.append([event(str(n)) for n in range(MAX_BATCH)], 0) == MAX_BATCH
        with pytest.raises(ValueError, match="1001"):
            await store.append([event(str(n)) for n in range(MAX_BATCH + 1)], MAX_BATCH)
        with pytest.raises(ValueError, match="not 0"):
            await store.append([], MAX_BATCH)

    async def test_reading_starts_behind_a_sequence_and_filters_by_subject(self, store: EventStore) -> None:
        await store.append([event("one"), event("two", entity="b"), event("three")], 0)
        assert [r.data async for r in store.read(1)] == [b"two", b"three"]
        assert [r.data async for r in store.read(0, log_subject("facility", 0, "a", "*"))] == [b"one", b"three"]

    async def test_only_complete_batches_are_read_as_batches(self, store: EventStore) -> None:
        await store.append([event("a1", "a"), seal(1, "a")], 0)
        await store.append([event("x1", "x"), event("x2", "x")], 2)
        await store.append([event("c1", "c"), seal(1, "c")], 4)
        batches = [batch async for batch in read_batches(store)]
        assert [(batch.id, len(batch.events), batch.sequence) for batch in batches] == [("a", 1, 2), ("c", 1, 6)]
        assert batches[0].commit.end == Position(2, 3)

    async def test_an_event_counts_when_the_next_seal_behind_it_is_that_of_its_batch(self, store: EventStore) -> None:
        await store.append([event("one", "b1"), event("two", "b1", "c"), seal(2, "b1")], 0)
        await store.append([event("cut off", "b2")], 3)
        await store.append([event("three", "b3"), seal(1, "b3"), event("not yet", "b4")], 4)
        events = [record async for record in store.read(0, log_subject("facility", 0, "a", "*"))]
        assert [await store.sealed(record) for record in events] == [True, False, True, False]
        assert [record.data for record in await sealed_alone(store, events)] == [b"one", b"three"]
