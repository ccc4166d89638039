"""The log and the ingest of a shard on a real nats-server."""

import asyncio
import os
import signal
from dataclasses import replace

import pytest
from nats.aio.client import Client

from schemas.errors import AppendTimeoutError, LogGapError, StorageFullError
from streams.jetstream import JetStreamIngest, JetStreamStore
from streams.log import EventStore, Position
from streams.server import EmbeddedServer
from streams.subjects import partition
from streams.topology import Topology, ensure_streams
from tests.contracts.event_store import EventStoreContract, event
from tests.integration.conftest import SMALL


@pytest.fixture
async def city(operator: Client) -> Client:
    await ensure_streams(operator, Topology({"facility": 4, "road": 2}, max_mb=SMALL))
    return operator


class TestJetStreamStore(EventStoreContract):
    @pytest.fixture
    def store(self, city: Client) -> EventStore:
        return JetStreamStore(city, "facility", 0)


async def test_the_server_chooses_the_partition_that_we_compute(city: Client) -> None:
    for entity in ("bridge-1", "a", "market-07", "openlab-bridge", "x" * 63):
        ack = await city.jetstream().publish(f"city.raw.facility.{entity}.readings", b"")
        stored = await city.jetstream().get_msg("INGEST_FACILITY", ack.seq)
        assert stored.subject == f"city.in.{partition(entity, 4)}.facility.{entity}.readings"


async def test_a_full_log_says_so_and_takes_the_write_when_there_is_room(operator: Client) -> None:
    await ensure_streams(operator, Topology({"facility": 1}, max_mb={**SMALL, "log": 1}))
    store = JetStreamStore(operator, "facility", 0)
    large = replace(event("one"), data=b"x" * 300_000)
    last = await store.append([large, large], 0)
    with pytest.raises(StorageFullError, match="raise max_bytes"):
        await store.append([large, large], last)
    assert await store.last_sequence() == last
    await ensure_streams(operator, Topology({"facility": 1}, max_mb={**SMALL, "log": 10}))
    assert await store.append([large, large], last) == last + 2


async def test_an_append_without_a_server_ends_with_a_timeout(city: Client, nats_server: EmbeddedServer) -> None:
    store = JetStreamStore(city, "facility", 0, timeout_s=0.5)
    await store.append([event("one")], 0)
    nats_server.stop()
    with pytest.raises(AppendTimeoutError):
        await store.append([event("two")], 1)


async def fill(city: Client, count: int, entity: str = "bridge-1") -> None:
    for number in range(count):
        await city.jetstream().publish(f"city.raw.facility.{entity}.readings", f"{number}".encode())


async def drained(source: JetStreamIngest, wake: asyncio.Event, count: int) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < count:
        wake.clear()
        if batch := source.pull(100):
            found += [message.data for message in batch]
        else:
            await asyncio.wait_for(wake.wait(), 10)
    return found


async def test_an_owner_reads_its_partition_in_order_from_its_committed_position(city: Client) -> None:
    shard = partition("bridge-1", 4)
    await fill(city, 700)
    source, wake = JetStreamIngest(city, "facility", shard, batch=50), asyncio.Event()
    await source.open(Position(100), wake)
    assert await drained(source, wake, 600) == [f"{n}".encode() for n in range(100, 700)]
    assert source.caught_up
    await fill(city, 1)
    assert await drained(source, wake, 1) == [b"0"]
    await source.close()


async def test_reading_goes_on_after_the_server_was_killed_and_forgot_the_consumer(
    city: Client, nats_server: EmbeddedServer
) -> None:
    source, wake = JetStreamIngest(city, "facility", partition("bridge-1", 4), batch=10), asyncio.Event()
    await fill(city, 30)
    await source.open(Position(), wake)
    assert len(await drained(source, wake, 30)) == 30
    assert nats_server.pid is not None
    os.kill(nats_server.pid, signal.SIGKILL)
    while nats_server.pid is not None:
        await asyncio.sleep(0.01)
    nats_server.start()
    while city.stats["reconnects"] == 0:
        await asyncio.sleep(0.05)
    await fill(city, 25)
    assert await drained(source, wake, 25) == [f"{n}".encode() for n in range(25)]
    await source.close()


async def test_committed_ranges_are_read_again_one_after_the_other(city: Client) -> None:
    await fill(city, 6)
    source = JetStreamIngest(city, "facility", partition("bridge-1", 4))
    replay = await source.replay(Position(1))
    assert [m.data for m in await replay.upto(Position(3))] == [b"1", b"2"]
    assert [m.data for m in await replay.upto(Position(3, rows=7))] == [b"3"]
    assert [m.data for m in await replay.upto(Position(5))] == [b"3", b"4"]
    with pytest.raises(LogGapError):
        await replay.upto(Position(99))
    await replay.close()
