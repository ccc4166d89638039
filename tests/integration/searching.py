"""A city's sightings without Ray: real nats-server, owners of the logs, search hosts, and a router over them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from actors.host import HostConfig, Request, ShardHost, wall_clock
from actors.meters import Numbers
from schemas.base import Command
from schemas.errors import BomnaeError, InvalidError
from schemas.facility import Position
from schemas.road import Window
from schemas.settings import Settings
from schemas.sighting import SIGHTINGS, CameraFacts, RegisterCamera, SegmentErased
from serve.search.host import SearchHost
from serve.search.place import Place
from serve.search.protocol import Filters, Found, Query, Vector
from serve.search.router import Router
from streams.connection import Connection, access_of
from streams.server import EmbeddedServer
from streams.subjects import SIGHTINGS as KIND
from streams.subjects import partition, raw
from tests.integration.hosted import SHARDS, create, settings_for

MODEL, D = "m-1", 32


def now() -> datetime:
    return datetime.now(UTC)


def people(count: int, seed: int) -> Vector:
    found = np.random.default_rng(seed).standard_normal((count, D)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def message(camera: str, rows: Vector, first: int, at: datetime, **looks: Sequence[Any]) -> bytes:
    """A batch as a camera sends it; ids count from `first` on. `looks`: columns `attributes` and `picture`."""
    table = pa.table(
        {
            "sighting_id": [f"{camera}:{first + number}" for number in range(len(rows))],
            "camera": [camera] * len(rows),
            "time": pa.array([at + timedelta(milliseconds=number) for number in range(len(rows))]).cast(
                SIGHTINGS.field("time").type
            ),
            "model": [MODEL] * len(rows),
            "embedding": pa.array([row.tolist() for row in rows], pa.list_(pa.float32())),
            "quality": pa.array([0.9] * len(rows), pa.float32()),
            "box": pa.nulls(len(rows), SIGHTINGS.field("box").type),
            "attributes": pa.array(looks.get("attributes", [None] * len(rows)), SIGHTINGS.field("attributes").type),
            "picture": pa.array(looks.get("picture", [None] * len(rows)), pa.binary()),
        },
        schema=SIGHTINGS,
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SIGHTINGS) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


class Searching:
    """What a test does with it; `hosts` are the search hosts by name."""

    def __init__(self, settings: Settings, owners: ShardHost, connection: Connection) -> None:
        self.settings, self.owners, self.connection = settings, owners, connection
        self.hosts: dict[str, SearchHost] = {}
        self.meters = Numbers()
        self.router = Router(self.call, settings.search_shards, settings.search_copies, SHARDS["sighting"])

    async def call(self, name: str, method: str, *arguments: Any) -> Any:
        host = self.hosts[name]
        return host.ready if method == "ready" else await getattr(host, method)(*arguments)

    async def submit(self, commands: Sequence[Command]) -> list[BomnaeError | None]:
        asked = [
            Request((one.context, partition(one.entity, SHARDS[one.context])), one, "", "", wall_clock())
            for one in commands
        ]
        return [one if isinstance(one, BomnaeError) else None for one in await self.owners.submit(asked)]

    async def others(self, number: int, sequence: int, camera: str, erasure: str) -> list[SegmentErased]:
        return []

    async def host(self, place: Place | None = None) -> SearchHost:
        place = place or Place()
        host = SearchHost(self.settings, place, self.submit, self.others, self.meters)
        self.hosts[place.name] = host
        await host.start()
        await self.until(lambda: host.ready)
        return host

    async def camera(self, camera: str) -> None:
        position = Position(lat=37.88, lon=127.73)
        facts = CameraFacts(name_ko=camera, name_en=camera, position=position, synthetic=True)
        command = RegisterCamera(camera=camera, facts=facts, at=now(), by="test")
        while (await self.submit([command])) != [None]:
            await asyncio.sleep(0.05)

    async def see(
        self, camera: str, rows: Vector, first: int = 0, at: datetime | None = None, **looks: Sequence[Any]
    ) -> None:
        data = message(camera, rows, first, at or now() - timedelta(seconds=1), **looks)
        await self.connection.observe(raw("sighting", camera, KIND), {}, data)

    async def search(self, query: Vector, limit: int = 10) -> Found:
        window = Window(start=now() - timedelta(hours=1), end=now() + timedelta(hours=1))
        return await self.router.search([Query(MODEL, query)], Filters(window), {}, limit, 10)

    async def scanned(self, query: Vector) -> int:
        try:
            return (await self.search(query)).coverage.rows_scanned
        except InvalidError:
            return 0  # nothing of the model has come yet

    async def until_scanned(self, query: Vector, rows: int) -> None:
        async with asyncio.timeout(20):
            while await self.scanned(query) < rows:
                await asyncio.sleep(0.01)

    async def until(self, holds: Callable[[], Any], seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def searching(folder: Path, **more: Any) -> AsyncIterator[Searching]:
    """Server, streams and owners, until the block ends; hosts of the search are started by the test."""
    settings = settings_for(folder).model_copy(update=more)
    with EmbeddedServer(settings.data) as server:
        await create(settings, server)
        keys = tuple((name, number) for name in ("sighting", "person") for number in range(SHARDS[name]))
        owners = ShardHost(HostConfig(settings, keys))
        await owners.start()
        connection = await Connection.open(access_of(settings), "test")
        city = Searching(settings, owners, connection)
        try:
            yield city
        finally:
            await city.router.stop()
            for host in city.hosts.values():
                await host.stop()
            await connection.close()
            await owners.stop()
