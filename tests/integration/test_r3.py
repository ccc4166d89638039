"""Three nats-servers, every stream three times: one server at a time is killed, the stream's leader among them."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nats
import pytest
import yaml
from nats.aio.client import Client

from schemas.errors import AppendTimeoutError, SequenceConflictError, UnavailableError
from streams import credentials
from streams.api import JetStreamApiError, request
from streams.backup import backup, restore
from streams.erasing import erase
from streams.jetstream import JetStreamStore, read_stream
from streams.server import EmbeddedServer, executable
from streams.topology import Topology, ensure_streams
from tests.contracts.event_store import event
from tests.integration.conftest import SMALL
from tests.integration.test_erasing import Person, found
from tests.unit.sighting.scenario import arrow

DOCS = Path(__file__).parents[2] / "docs"
CITY = Topology({"facility": 1, "road": 1}, replicas=3, max_mb=SMALL)


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[list[EmbeddedServer]]:
    """Three servers that know the same users."""
    ports = free_ports(3)
    block = (DOCS / "nats" / "cluster.conf").read_text()
    for number, port in enumerate(ports, 1):
        block = block.replace(f"nats-{number}:6222", f"127.0.0.1:{port}")
    servers = []
    for number, port in enumerate(ports):
        own = block.replace("0.0.0.0:6222", f"127.0.0.1:{port}")
        servers.append(EmbeddedServer(tmp_path / f"server-{number}", extra=own))
    credentials.render(made := tmp_path / "made")
    for server in servers:
        shutil.copytree(made / "credentials", server.folder / "credentials")
    try:
        with ThreadPoolExecutor() as pool:
            # Together: a server is healthy only when a majority is there.
            list(pool.map(EmbeddedServer.start, servers))
        yield servers
    finally:
        for server in servers:
            server.stop()


@pytest.fixture
async def operator(cluster: list[EmbeddedServer]) -> AsyncIterator[Client]:
    options = credentials.local(cluster[0].folder, "operator").options()
    urls = [server.url for server in cluster]
    nc = await nats.connect(urls, max_reconnect_attempts=-1, reconnect_time_wait=0.1, **options)
    await ensure_streams(nc, CITY)
    yield nc
    await nc.close()


async def leader(nc: Client, stream: str, servers: list[EmbeddedServer]) -> EmbeddedServer:
    async with asyncio.timeout(20):
        while True:
            try:
                name = (await request(nc, f"$JS.API.STREAM.INFO.{stream}"))["cluster"].get("leader", "")
            except (JetStreamApiError, UnavailableError):
                name = ""
            for server in servers:
                if name and f"server_name: {name}\n" in (server.folder / "nats" / "nats.conf").read_text():
                    return server
            await asyncio.sleep(0.1)


async def sent(nc: Client, subject: str, data: bytes) -> None:
    """Until the server at hand has heard that there is a stream for it: another of the three may have made it."""
    async with asyncio.timeout(20):
        while True:
            try:
                await nc.request(subject, data, timeout=10)
                return
            except nats.errors.NoRespondersError:
                await asyncio.sleep(0.05)


async def test_the_input_of_cameras_is_erased_on_every_server(operator: Client, cluster: list[EmbeddedServer]) -> None:
    await ensure_streams(operator, Topology({"sighting": 1}, replicas=3, max_mb=SMALL))
    people = [Person(number) for number in range(4)]
    for person in people:
        await sent(operator, "city.raw.sighting.cam-1.sightings", arrow([person.row]))
    assert sum(bool(found(server.folder, people)) for server in cluster) == 1
    assert await erase(operator, "sighting", 0, len(people)) == len(people)
    assert [found(server.folder, people) for server in cluster] == [{}, {}, {}]


class Writer:
    """Appends numbered batches of two until told to stop, as an owner does: what it is unsure of it looks up."""

    def __init__(self, store: JetStreamStore) -> None:
        self.store, self.acknowledged, self.last, self.unsure = store, [], 0, 0
        self.stop = asyncio.Event()

    async def run(self) -> None:
        number = 0
        while not self.stop.is_set():
            ids = [f"{number}-a", f"{number}-b"]
            try:
                self.last = await self.store.append([event(one, batch=f"b{number}") for one in ids], self.last)
            except (AppendTimeoutError, JetStreamApiError, SequenceConflictError):
                self.unsure += 1
                if not await self.landed(ids[-1]):
                    continue
            self.acknowledged += ids
            number += 1

    async def landed(self, newest: str) -> bool:
        while True:
            try:
                self.last = await self.store.last_sequence()
                return [record.data.decode() async for record in self.store.read(max(0, self.last - 2))][-1:] == [
                    newest
                ]
            except (JetStreamApiError, UnavailableError):
                await asyncio.sleep(0.1)


async def kill(server: EmbeddedServer) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    while server.pid is not None:
        await asyncio.sleep(0.01)


async def grown(writer: Writer, by: int = 20) -> None:
    goal = len(writer.acknowledged) + by
    async with asyncio.timeout(30):
        while len(writer.acknowledged) < goal:
            await asyncio.sleep(0.05)


async def caught_up(nc: Client, stream: str) -> None:
    """Returns when both followers have everything."""
    async with asyncio.timeout(20):
        while True:
            cluster = (await request(nc, f"$JS.API.STREAM.INFO.{stream}"))["cluster"]
            if [replica["current"] for replica in cluster.get("replicas", [])] == [True, True]:
                return
            await asyncio.sleep(0.1)


async def test_nothing_acknowledged_is_lost_when_a_follower_loses_its_disk_and_then_the_leader_is_killed(
    cluster: list[EmbeddedServer], operator: Client
) -> None:
    store = JetStreamStore(operator, "facility", 0, timeout_s=1.0)
    writer = Writer(store)
    writing = asyncio.create_task(writer.run())
    await grown(writer)
    stale = writer.last
    for follower in (True, False):
        leads = await leader(operator, store.name, cluster)
        victim = next(server for server in cluster if server is not leads) if follower else leads
        await kill(victim)
        if follower:
            shutil.rmtree(victim.folder / "nats" / "store")
        await grown(writer)
        with pytest.raises(SequenceConflictError):
            await store.append([event("zombie")], stale)
        await asyncio.to_thread(victim.start)
        await caught_up(operator, store.name)
    writer.stop.set()
    await writing
    read = [record.data.decode() async for record in store.read()]
    assert read == writer.acknowledged
    assert await store.last_sequence() == len(read)


async def test_input_is_taken_and_read_while_a_server_is_away(cluster: list[EmbeddedServer], operator: Client) -> None:
    await kill(await leader(operator, "INGEST_FACILITY", cluster))
    acknowledged: list[bytes] = []
    async with asyncio.timeout(30):
        while len(acknowledged) < 50:
            data = f"{len(acknowledged)}".encode()
            try:
                await operator.jetstream().publish("city.raw.facility.bridge-1.readings", data, timeout=1)
            except (nats.errors.Error, nats.js.errors.Error):
                # Not acknowledged is not lost: it may be stored, and comes again.
                await asyncio.sleep(0.1)
                continue
            acknowledged.append(data)
    async with asyncio.timeout(30):
        while (read := await readable(operator, "INGEST_FACILITY")) is None:
            await asyncio.sleep(0.1)
    assert list(dict.fromkeys(read)) == acknowledged


async def readable(nc: Client, stream: str) -> list[bytes] | None:
    """What a stream holds; None where the server gave the reader's consumer to the one that is away."""
    try:
        return [msg.data async for msg in read_stream(nc, stream, 0, None)]
    except UnavailableError:
        return None


async def test_a_city_of_one_server_is_restored_onto_three(
    cluster: list[EmbeddedServer], operator: Client, nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    for config in CITY.streams():
        await request(operator, f"$JS.API.STREAM.DELETE.{config['name']}")
    one = await nats.connect(nats_server.url, **credentials.local(nats_server.folder, "operator").options())
    await ensure_streams(one, Topology(CITY.shards, max_mb=SMALL))
    written = [event(f"{number}") for number in range(100)]
    await JetStreamStore(one, "facility", 0).append(written, 0)
    await backup(one, tmp_path / "backup")
    await one.close()
    await restore(operator, tmp_path / "backup", replicas=3)
    await ensure_streams(operator, CITY)
    store = JetStreamStore(operator, "facility", 0)
    assert [record.data async for record in store.read()] == [record.data for record in written]
    await caught_up(operator, store.name)


def on_machines(folder: Path) -> None:
    for name in ("nats.conf", "cluster.conf"):
        shutil.copy(DOCS / "nats" / name, folder)


def on_kubernetes(folder: Path) -> None:
    (config,) = (
        one["data"]["nats.conf"]
        for one in yaml.safe_load_all((DOCS / "kuberay" / "nats.yaml").read_text())
        if one["kind"] == "ConfigMap"
    )
    (folder / "nats.conf").write_text(config)


@pytest.mark.parametrize(("place", "users"), [(on_machines, "conf"), (on_kubernetes, "nats-users")])
def test_the_documented_configuration_is_one_that_the_server_takes(
    place: Callable[[Path], None], users: str, tmp_path: Path
) -> None:
    for folder in ("conf", "nats-users"):
        (tmp_path / folder).mkdir()
    place(tmp_path / "conf")
    credentials.render(tmp_path / "made")
    shutil.copy(tmp_path / "made" / "nats" / "users.conf", tmp_path / users)
    command = [executable(), "--config", str(tmp_path / "conf" / "nats.conf"), "-t"]
    checked = subprocess.run(command, env={"NATS_NAME": "nats-1"}, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
