"""Backup and restore on real servers: what comes back, from a city that runs, and what is refused."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from os import urandom
from pathlib import Path
from typing import Any

import nats
import orjson
import pytest
from nats.aio.client import Client

from actors.commit import Asked
from actors.facility.context import FacilityContext
from actors.replay import ShardState, load
from actors.shard import Shard
from schemas import facility as f
from schemas.base import micros
from schemas.errors import SetupError
from schemas.settings import Settings
from streams import credentials
from streams.backup import MANIFEST, backup, restore
from streams.connection import Connection, access_of
from streams.jetstream import read_stream
from streams.pull import stream_position
from streams.server import EmbeddedServer
from streams.subjects import FEED, ingest_stream, log_stream, raw
from streams.topology import SNAPSHOTS, Topology, ensure_streams
from tests.integration.conftest import SMALL
from tests.unit.facility.scenario import BRIDGE, DANGER, HIGH, T0, arrow, facts

TOPOLOGY = Topology({"facility": 1}, max_mb=SMALL)
READINGS = raw("facility", "bridge-1", "readings")


@pytest.fixture
async def city(operator: Client) -> Client:
    await ensure_streams(operator, TOPOLOGY)
    return operator


@asynccontextmanager
async def fresh(folder: Path) -> AsyncIterator[tuple[EmbeddedServer, Client]]:
    with EmbeddedServer(folder) as server:
        nc = await nats.connect(server.url, **credentials.local(folder, "operator").options())
        try:
            yield server, nc
        finally:
            await nc.close()


async def contents(nc: Client, stream: str) -> list[tuple[Any, ...]]:
    return [
        (*stream_position(msg), msg.subject, dict(msg.headers or {}), msg.data)
        async for msg in read_stream(nc, stream, 0, None)
    ]


def owner(connection: Connection, snapshots: Any) -> Shard[Any]:
    store, ingest = connection.store("facility", 0), connection.ingest("facility", 0)
    return Shard(FacilityContext(), 0, store, ingest, snapshots, connection, lambda: time.time_ns() // 1000)


@asynccontextmanager
async def running(server: EmbeddedServer) -> AsyncIterator[Shard[Any]]:
    """An owner of the facility shard, at work."""
    connection = await Connection.open(access_of(Settings(data=server.folder)), "owner")
    shard = owner(connection, await connection.snapshots("facility", 0))
    task = asyncio.create_task(shard.run())
    try:
        yield shard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await connection.close()


async def register(shard: Shard[Any]) -> None:
    now = datetime.now(UTC)
    for command in (
        f.RegisterFacility(at=now, by="test", facility="bridge-1", facts=BRIDGE),
        f.RegisterSensor(at=now, by="test", facility="bridge-1", sensor="tilt-1", facts=facts(HIGH, DANGER)),
    ):
        asked = Asked(command, "", "", micros(now))
        shard.submit(asked)
        await asyncio.wait_for(asked.done, 10)


async def publish(nc: Client, number: int) -> int:
    """One message of ten readings around the limits; its INGEST sequence."""
    second = (datetime.now(UTC) - T0).total_seconds()
    rows = [("tilt-1", second, 40.0 + (number * 7 + k) % 60, number * 10 + k, 1, 0) for k in range(10)]
    return (await nc.jetstream().publish(READINGS, arrow(rows))).seq


async def folded(shard: Shard[Any], sequence: int) -> None:
    async with asyncio.timeout(20):
        while shard.state.position.sequence < sequence:
            await asyncio.sleep(0.02)


async def loaded(connection: Connection, snapshots: bool, until: int | None = None) -> ShardState[Any]:
    found = await connection.snapshots("facility", 0) if snapshots else None
    store, ingest = connection.store("facility", 0), connection.ingest("facility", 0)
    return await load(FacilityContext(), store, ingest, found, until)


async def test_every_message_comes_back_with_its_sequence_time_and_headers(city: Client, tmp_path: Path) -> None:
    for number in range(300):
        await publish(city, number)
        await city.publish("city.pub.facility.bridge-1.alarm-raised", b"x" * 5000, headers={"Nats-Msg-Id": f"{number}"})
    await city.jetstream().delete_msg(FEED, 7)
    store = await city.jetstream().object_store(SNAPSHOTS)
    # More than the server sends without an acknowledgement, in a form that it cannot compress.
    for name, size in (("facility/0/1.arrow", 20_000_000), ("facility/0/index.json", 9), ("facility/0/index.json", 8)):
        await store.put(name, urandom(size))
    seen: dict[str, tuple[int, int]] = {}
    manifest = await backup(city, tmp_path / "backup", lambda name, *step: seen.update({name: step}))
    names = [saved.name for saved in manifest.streams]
    assert names == [f"OBJ_{SNAPSHOTS}", "FEED", "CASES", "LOG_FACILITY_0", "REJECTED", "INGEST_FACILITY"]
    assert seen == {saved.name: (saved.size, saved.size) for saved in manifest.streams}
    async with fresh(tmp_path / "other") as (_, nc):
        await restore(nc, tmp_path / "backup")
        await ensure_streams(nc, TOPOLOGY)
        for name in names:
            assert await contents(nc, name) == await contents(city, name), name
        assert (await contents(nc, FEED))[6][0] == 8
        assert await publish(nc, 300) == 301


async def test_a_city_that_runs_is_restored_to_the_same_state_and_goes_on(
    city: Client, nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    stop = asyncio.Event()

    async def sensor() -> int:
        number = 100
        while not stop.is_set():
            number = await publish(city, number)
        return number

    async with running(nats_server) as shard:
        await register(shard)
        for number in range(100):
            acknowledged = await publish(city, number)
        await folded(shard, acknowledged)
        await shard.saving.save(shard.state)
        publishing = asyncio.create_task(sensor())
        await folded(shard, acknowledged + 20)
        before = shard.state.position.sequence
        await backup(city, tmp_path / "backup")
        stop.set()
        await folded(shard, await publishing)
    async with fresh(tmp_path / "other") as (server, nc):
        await restore(nc, tmp_path / "backup")
        old = await Connection.open(access_of(Settings(data=nats_server.folder)), "old")
        new = await Connection.open(access_of(Settings(data=server.folder)), "new")
        replayed, resumed = await loaded(new, snapshots=False), await loaded(new, snapshots=True)
        original = await loaded(old, snapshots=False, until=replayed.stored_at)
        assert replayed.position.sequence >= before
        assert FacilityContext().tables(replayed.domain)["alarms"].num_rows > 0
        assert replayed.digest == resumed.digest == original.digest
        assert (replayed.sequence, replayed.position) == (original.sequence, original.position)
        await asyncio.gather(old.close(), new.close())
        async with running(server) as shard:
            await folded(shard, await publish(nc, 5_000))
            assert shard.state.epoch == original.epoch + 1


async def test_a_city_that_has_streams_is_not_overwritten(city: Client, tmp_path: Path) -> None:
    last = await publish(city, 1)
    await backup(city, tmp_path / "backup")
    with pytest.raises(SetupError, match="has 6 streams already"):
        await restore(city, tmp_path / "backup")
    assert await publish(city, 2) == last + 1


async def test_a_backup_is_not_written_over_another_one(city: Client, tmp_path: Path) -> None:
    await backup(city, tmp_path / "backup")
    with pytest.raises(SetupError, match="not empty"):
        await backup(city, tmp_path / "backup")


async def test_without_a_city_there_is_nothing_to_back_up(operator: Client, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no streams"):
        await backup(operator, tmp_path / "backup")


def flip(folder: Path) -> None:
    path = folder / f"{log_stream('facility', 0)}.tar.s2"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(folder: Path) -> None:
    path = folder / f"{ingest_stream('facility')}.tar.s2"
    path.write_bytes(path.read_bytes()[:-1])


def lose(folder: Path) -> None:
    (folder / f"{FEED}.tar.s2").unlink()


def break_off(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def garble(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b'{"format": 1, "streams": [{}], "bomnae": ""}')


def modernise(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b'{"format": 2}')


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (flip, "LOG_FACILITY_0.*damaged"),
        (cut, "INGEST_FACILITY.*damaged"),
        (lose, "FEED.*cannot be read"),
        (break_off, "no complete backup"),
        (garble, "damaged"),
        (modernise, "format 2"),
    ],
)
async def test_a_damaged_backup_is_refused_before_anything_is_written(
    damage: Callable[[Path], None], what: str, city: Client, tmp_path: Path
) -> None:
    await publish(city, 1)
    await backup(city, tmp_path / "backup")
    damage(tmp_path / "backup")
    async with fresh(tmp_path / "other") as (_, nc):
        with pytest.raises(SetupError, match=what):
            await restore(nc, tmp_path / "backup")
        assert await nc.jetstream().streams_info() == []


async def test_streams_restored_before_the_server_refuses_one_are_removed_again(city: Client, tmp_path: Path) -> None:
    await publish(city, 1)
    await backup(city, tmp_path / "backup")
    path = tmp_path / "backup" / MANIFEST
    fields = orjson.loads(path.read_bytes())
    last = fields["streams"][-1]
    (tmp_path / "backup" / last["file"]).write_bytes(b"not a snapshot")
    last["sha256"] = hashlib.sha256(b"not a snapshot").hexdigest()
    path.write_bytes(orjson.dumps(fields))
    async with fresh(tmp_path / "other") as (_, nc):
        with pytest.raises(SetupError, match="restoring INGEST_FACILITY failed"):
            await restore(nc, tmp_path / "backup")
        assert await nc.jetstream().streams_info() == []
