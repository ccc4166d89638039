"""The history of an entity on a real log: what was committed, and nothing else."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from schemas.facility import SensorStale
from serve.city import City
from streams.connection import Connection, access_of
from streams.log import COMMITTED, SHARD_ENTITY, Record
from streams.server import EmbeddedServer
from streams.subjects import log_subject, partition
from tests.integration.hosted import SHARDS, create, settings_for
from tests.unit.batches import batch_of

AT = datetime(2026, 1, 15, 3, tzinfo=UTC)
SHARD = partition("bridge-1", SHARDS["facility"])


def batch(first: int, *sensors: str) -> list[Record]:
    """Events about the sensors, and the record that seals them."""
    stale = [SensorStale(at=AT, facility="bridge-1", sensor=sensor, last_arrival=AT) for sensor in sensors]
    made = batch_of(stale, SHARD, first)
    subject = log_subject("facility", SHARD, SHARD_ENTITY, COMMITTED)
    return [*made.events, Record(subject, "city.shard.committed.v1", made.commit.to_json(), f"c-{first}", made.id, 0)]


async def told(city: City, limit: int) -> Sequence[str]:
    found, after = [], 0
    while page := await city.history("facility", "bridge-1", after, limit):
        found += [item.data["sensor"] for item in page]
        after = page[-1].sequence
        if len(page) < limit:
            break
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_events_of_a_batch_that_was_cut_off_are_not_told(nats_server: EmbeddedServer, limit: int) -> None:
    settings = settings_for(nats_server.folder)
    await create(settings, nats_server)
    city = City(settings)
    city._connection = connection = await Connection.open(access_of(settings), "api")
    try:
        store = connection.store("facility", SHARD)
        last = await store.append(batch(1, "a", "b"), 0)
        # As a full disk leaves it: the events without what seals them, in the middle of the log and at its end.
        last = await store.append(batch(4, "never", "neither")[:-1], last)
        last = await store.append(batch(6, "c"), last)
        await store.append(batch(8, "not-yet")[:-1], last)
        assert await told(city, limit) == ["a", "b", "c"]
    finally:
        await connection.close()
