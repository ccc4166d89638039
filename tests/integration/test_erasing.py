"""What was erased is in no file: every file below the data folder is searched for the bytes, NATS's included."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nats
import numpy as np
import pytest
from nats.aio.client import Client

from actors.host import HostConfig, Request, ShardHost
from actors.orphans import erase_orphans
from actors.verify import verify
from schemas.base import Command, micros
from schemas.errors import ConflictError, SetupError
from schemas.road import Window
from schemas.settings import Settings
from schemas.sighting import BlockErased, CompleteErasure, RegisterCamera, RequestErasure
from streams import credentials
from streams.api import request
from streams.backup import backup, restore
from streams.connection import Connection, access_of
from streams.log import Position
from streams.rejected import resubmit
from streams.server import EmbeddedServer
from streams.subjects import ingest_stream, partition, raw
from streams.topology import Topology, ensure_streams
from tests.integration.conftest import SMALL
from tests.unit.jpegs import jpeg
from tests.unit.sighting.scenario import arrow, facts, row

CAMERA = "cam-1"
KEY = ("sighting", 0)
NOW = datetime.now(UTC)


class Person:
    """One sighting whose bytes can be told from all others."""

    def __init__(self, number: int) -> None:
        values = np.random.default_rng(number).standard_normal(256).astype(np.float32)
        # Of unit length as far as float32 goes, so that its block holds the very bytes that were sent.
        self.embedding = (values / np.linalg.norm(values.astype(np.float64))).astype(np.float32)
        self.picture = jpeg(np.random.default_rng(1000 + number).bytes(3000))
        more = {"embedding": self.embedding.tolist(), "picture": self.picture, "time": NOW}
        self.row = row(f"person-{number}", CAMERA, **more)

    @property
    def traces(self) -> list[bytes]:
        """Parts of what must be gone: of the embedding at several places, of the picture too."""
        vector = self.embedding.tobytes()
        return [*(vector[place : place + 24] for place in (0, 4, 400, 1000)), self.picture[100:140], self.picture[-40:]]


def found(folder: Path, people: Sequence[Person]) -> dict[str, int]:
    """How many traces each file holds, by its path below the folder; only files that hold any."""
    hits: dict[str, int] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            if count := sum(trace in data for person in people for trace in person.traces):
                hits[str(path.relative_to(folder))] = count
    return hits


class City:
    """A server with the sighting context, and a host of its one shard."""

    def __init__(self, server: EmbeddedServer, settings: Settings, nc: Client, connection: Connection) -> None:
        self.server, self.settings, self.nc, self.connection = server, settings, nc, connection

    @asynccontextmanager
    async def owned(self) -> AsyncIterator[ShardHost]:
        host = ShardHost(HostConfig(self.settings, (KEY,)))
        await host.start()
        try:
            async with asyncio.timeout(20):
                while KEY not in host.published:
                    await asyncio.sleep(0.02)
            yield host
        finally:
            await host.stop()

    async def do(self, host: ShardHost, *commands: Command) -> None:
        asked = [Request(KEY, command, "", "", micros(command.at)) for command in commands]
        for answer in await host.submit(asked):
            if isinstance(answer, Exception):
                raise answer

    async def see(self, *people: Person) -> None:
        await self.connection.observe(raw("sighting", CAMERA, "sightings"), {}, arrow([one.row for one in people]))

    async def waiting(self) -> int:
        state = (await request(self.nc, f"$JS.API.STREAM.INFO.{ingest_stream('sighting')}"))["state"]
        return int(state["messages"])

    async def forgotten(self) -> None:
        async with asyncio.timeout(20):
            while await self.waiting():
                await asyncio.sleep(0.05)

    def in_blocks_alone(self, people: Sequence[Person]) -> bool:
        hits = found(self.settings.data, people)
        return bool(hits) and all(path.startswith("objects/blocks/") for path in hits)

    def in_jetstream(self, people: Sequence[Person]) -> int:
        return sum(count for path, count in found(self.settings.data, people).items() if path.startswith("nats/store/"))

    def blocks(self) -> list[str]:
        return sorted(path.stem for path in (self.settings.data / "objects" / "blocks").rglob("*.arrow"))


@pytest.fixture
async def city(nats_server: EmbeddedServer, operator: Client) -> AsyncIterator[City]:
    await ensure_streams(operator, Topology({"sighting": 1}, max_mb=SMALL))
    settings = Settings(data=nats_server.folder, sighting_shards=1, snapshot_every_s=1)
    connection = await Connection.open(access_of(settings), "test")
    yield City(nats_server, settings, operator, connection)
    await connection.close()


def register() -> RegisterCamera:
    return RegisterCamera(at=NOW, by="test", camera=CAMERA, facts=facts())


async def erase(city: City, host: ShardHost, rows: int) -> None:
    """What a search shard does when an erasure takes everything that the blocks hold."""
    window = Window(start=datetime(2020, 1, 1, tzinfo=UTC), end=datetime.now(UTC))
    whose: dict[str, Any] = {"by": "test", "camera": CAMERA, "erasure": "e-1"}
    await city.do(host, RequestErasure(at=datetime.now(UTC), window=window, reason="test", **whose))
    gone = []
    for block in city.blocks():
        await city.connection.objects().blobs.delete(f"blocks/{block[:2]}/{block}.arrow")
        gone.append(BlockErased(before=block, after="", rows=rows, left=0))
    await city.do(host, CompleteErasure(at=datetime.now(UTC), blocks=tuple(gone), segments=(), **whose))


async def test_embeddings_and_pictures_leave_every_file_when_they_are_committed_and_erased(city: City) -> None:
    people = [Person(number) for number in range(12)]
    async with city.owned() as host:
        await city.do(host, register())
    for start in range(0, 12, 4):
        await city.see(*people[start : start + 4])
    traces = len(people) * len(people[0].traces)
    assert city.in_jetstream(people) == traces

    async with city.owned() as host:
        await city.forgotten()
        assert city.in_blocks_alone(people)
        assert sum(found(city.settings.data, people).values()) == traces
        (held,) = await verify(city.connection, [KEY])
        assert held.objects == 3
        await erase(city, host, 4)
        assert found(city.settings.data, people) == {}
        (held,) = await verify(city.connection, [KEY])
        assert held.objects == 0
    # The owner has left with a snapshot, and the server has written what it writes at its end.
    city.server.stop()
    assert found(city.settings.data, people) == {}
    city.server.start()
    assert found(city.settings.data, people) == {}


async def test_what_is_erased_is_overwritten_where_its_file_stays(
    nats_server: EmbeddedServer, operator: Client
) -> None:
    await ensure_streams(operator, Topology({"sighting": 2}, max_mb=SMALL))
    connection = await Connection.open(access_of(Settings(data=nats_server.folder)), "test")
    theirs = next(f"cam-{n}" for n in range(9) if partition(f"cam-{n}", 2) != partition(CAMERA, 2))
    people, others = [Person(number) for number in range(6)], [Person(100 + number) for number in range(6)]
    for ours, other in zip(people, others, strict=True):
        await connection.observe(raw("sighting", CAMERA, "sightings"), {}, arrow([ours.row]))
        await connection.observe(raw("sighting", theirs, "sightings"), {}, arrow([other.row]))
    (file,) = found(nats_server.folder, people)
    await connection.forget("sighting", partition(CAMERA, 2), Position(12))
    assert found(nats_server.folder, people) == {}
    assert found(nats_server.folder, others) == {file: len(others) * len(others[0].traces)}
    await connection.close()


async def test_what_a_dead_owner_did_not_erase_its_successor_does(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [Person(number) for number in range(3)]

    async def dies(*_: object) -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(Connection, "forget", dies)
        async with city.owned() as host:
            await city.do(host, register())
            await city.see(*people)
            async with asyncio.timeout(20):
                while not city.blocks():
                    await asyncio.sleep(0.02)
                while host.published[KEY].tables["cameras"]["sightings"].to_pylist() != [3]:
                    await asyncio.sleep(0.02)
        assert city.in_jetstream(people) == 3 * len(people[0].traces)
    async with city.owned():
        await city.forgotten()
        assert city.in_blocks_alone(people)


async def test_refused_sightings_are_in_no_file_at_all(city: City) -> None:
    people = [Person(number) for number in range(2)]
    people[0].row["camera"] = "cam-2"
    people[1].row["attributes"] = {"upper": "ultraviolet"}
    async with city.owned() as host:
        await city.do(host, register())
        await city.see(*people)
        await city.connection.observe(
            raw("sighting", CAMERA, "sightings"), {}, b"neither: " + people[0].embedding.tobytes()
        )
        await city.forgotten()
        assert (await request(city.nc, "$JS.API.STREAM.INFO.REJECTED"))["state"]["messages"] == 3
        with pytest.raises(ConflictError, match="the sender has to send"):
            await resubmit(city.nc, 1)
        assert found(city.settings.data, people) == {}
        assert not any(b"ultraviolet" in path.read_bytes() for path in city.settings.data.rglob("*.blk"))


async def test_input_of_the_other_shards_and_what_is_not_committed_stays(
    nats_server: EmbeddedServer, operator: Client
) -> None:
    await ensure_streams(operator, Topology({"sighting": 4}, max_mb=SMALL))
    connection = await Connection.open(access_of(Settings(data=nats_server.folder)), "test")
    sequences = [await connection.observe(f"city.raw.sighting.cam-{n}.sightings", {}, b"x") for n in range(40)]
    stream = ingest_stream("sighting")
    before = {n: await waiting_of(operator, stream, n) for n in range(4)}
    assert all(before.values())
    await connection.forget("sighting", 2, Position(sequences[19]))
    after = {n: await waiting_of(operator, stream, n) for n in range(4)}
    assert {n: after[n] for n in (0, 1, 3)} == {n: before[n] for n in (0, 1, 3)}
    assert after[2] == [sequence for sequence in before[2] if sequence > sequences[19]]
    await connection.forget("sighting", 2, Position(sequences[19]))
    await connection.close()


async def waiting_of(nc: Client, stream: str, shard: int) -> list[int]:
    subscription = await nc.jetstream().pull_subscribe(f"city.in.{shard}.sighting.>", stream=stream)
    info = await subscription.consumer_info()
    messages = await subscription.fetch(info.num_pending, timeout=5) if info.num_pending else []
    await subscription.unsubscribe()
    return [message.metadata.sequence.stream for message in messages]


async def test_a_block_that_is_missing_damaged_or_back_is_noticed(city: City) -> None:
    async with city.owned() as host:
        await city.do(host, register())
        await city.see(Person(1))
        await city.forgotten()
        (block,) = city.blocks()
        path = city.settings.data / "objects" / "blocks" / block[:2] / f"{block}.arrow"
        data = path.read_bytes()
        path.write_bytes(data[:-1])
        assert await wrong(city) == [(CAMERA, f"blocks/{block[:2]}/{block}.arrow", "damaged")]
        path.unlink()
        assert await wrong(city) == [(CAMERA, f"blocks/{block[:2]}/{block}.arrow", "missing")]
        path.write_bytes(data)
        await erase(city, host, 1)
        path.write_bytes(data)
        assert await wrong(city) == [(CAMERA, f"blocks/{block[:2]}/{block}.arrow", "not erased")]


async def wrong(city: City) -> list[tuple[str, str, str]]:
    (held,) = await verify(city.connection, [KEY])
    return [(one.entity, one.object, one.what) for one in held.findings]


async def test_a_city_from_before_gets_the_new_streams_beside_its_own(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "data") as server:
        nc = await nats.connect(server.url, **credentials.local(server.folder, "operator").options())
        before = Topology({"facility": 1, "road": 1}, max_mb=SMALL)
        await ensure_streams(nc, before)
        await ensure_streams(nc, Topology({"facility": 1, "road": 1, "sighting": 2, "person": 1}, max_mb=SMALL))
        names = (await request(nc, "$JS.API.STREAM.NAMES", {}))["streams"]
        assert {"INGEST_SIGHTING", "LOG_SIGHTING_0", "LOG_SIGHTING_1", "LOG_PERSON_0"} <= set(names)
        assert "INGEST_PERSON" not in names
        await nc.close()


async def test_a_backup_holds_the_blocks_and_one_made_after_an_erasure_does_not(city: City, tmp_path: Path) -> None:
    people = [Person(number) for number in range(3)]
    blobs = city.connection.objects().blobs
    async with city.owned() as host:
        await city.do(host, register())
        await city.see(*people)
        await city.forgotten()
        manifest = await backup(city.nc, tmp_path / "before", objects=blobs)
        assert [one.name for one in manifest.objects] == [f"blocks/{city.blocks()[0][:2]}/{city.blocks()[0]}.arrow"]
        await erase(city, host, 3)
    await backup(city.nc, tmp_path / "after", objects=blobs)
    assert found(tmp_path / "before", people)
    assert found(tmp_path / "after", people) == {}

    with EmbeddedServer(tmp_path / "restored") as server:
        nc = await nats.connect(server.url, **credentials.local(server.folder, "operator").options())
        connection = await Connection.open(access_of(Settings(data=server.folder)), "test")
        await restore(nc, tmp_path / "before", objects=connection.objects().blobs)
        orphan = f"blocks/aa/{'a' * 64}.arrow"
        await connection.objects().blobs.put(orphan, b"committed after the copy of the log")
        assert await erase_orphans(connection, [KEY]) == [orphan]
        (held,) = await verify(connection, [KEY])
        assert held.objects == 1
        await connection.close()
        await nc.close()


async def test_a_backup_with_a_damaged_object_is_refused_before_anything_is_written(city: City, tmp_path: Path) -> None:
    async with city.owned() as host:
        await city.do(host, register())
        await city.see(Person(1))
        await city.forgotten()
    await backup(city.nc, tmp_path / "backup", objects=city.connection.objects().blobs)
    (block,) = (tmp_path / "backup" / "objects").rglob("*.arrow")
    block.write_bytes(block.read_bytes()[:-1])
    with pytest.raises(SetupError, match="damaged"):
        await restore(city.nc, tmp_path / "backup", objects=city.connection.objects().blobs)
