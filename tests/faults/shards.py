"""Owners of shards on a real nats-server, without Ray."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import nats
from nats.aio.client import Client

from actors.host import HostConfig, Request, ShardHost, wall_clock
from actors.journal import Entry
from actors.verify import Verified, verify
from schemas.base import Command, from_micros
from schemas.facility import RegisterFacility, RegisterSensor, ThresholdsChanged
from schemas.registry import read_event
from schemas.settings import Settings
from streams import credentials
from streams.connection import Connection, access_of
from streams.log import read_batches
from streams.server import EmbeddedServer
from tests.faults.owner import FACILITY, SENSOR, SHARD
from tests.unit.facility.scenario import BRIDGE, facts


@asynccontextmanager
async def operating(server: EmbeddedServer) -> AsyncIterator[Client]:
    nc = await nats.connect(server.url, **credentials.local(server.folder, "operator").options())
    try:
        yield nc
    finally:
        await nc.close()


@asynccontextmanager
async def hosting(server: EmbeddedServer, name: str = "host") -> AsyncIterator[ShardHost]:
    """A host that owns the one facility shard and is well."""
    host = ShardHost(HostConfig(Settings(data=server.folder), (SHARD,)), name)
    await host.start()
    try:
        async with asyncio.timeout(30):
            while not host.published or host.failures:
                await asyncio.sleep(0.02)
        yield host
    finally:
        await host.stop()


async def entry(host: ShardHost, request: Request) -> Entry:
    (answer,) = await host.submit([request])
    assert isinstance(answer, Entry), answer
    return answer


async def register(host: ShardHost, sensors: Sequence[str] = (SENSOR,)) -> None:
    now = wall_clock()
    at = from_micros(now)
    commands: list[Command] = [RegisterFacility(at=at, by="test", facility=FACILITY, facts=BRIDGE)]
    for sensor in sensors:
        known = facts(synthetic=True, recorded=True)
        commands.append(RegisterSensor(at=at, by="test", facility=FACILITY, sensor=sensor, facts=known))
    for command in commands:
        await entry(host, Request(SHARD, command, "", "", now))


async def limits_in(server: EmbeddedServer) -> list[tuple[str, int, float]]:
    """Batch, epoch and limit of every change of thresholds in the log, in order; every shard holds under `verify`."""
    connection = await Connection.open(access_of(Settings(data=server.folder)), "reader")
    try:
        await verify(connection, [SHARD])
        found: list[tuple[str, int, float]] = []
        async for batch in read_batches(connection.store(*SHARD)):
            for record in batch.events:
                event = read_event(record.type, record.data)
                if isinstance(event, ThresholdsChanged):
                    found.append((batch.id, batch.commit.epoch, event.limits[0].on))
        return found
    finally:
        await connection.close()


async def verified(server: EmbeddedServer) -> list[Verified]:
    connection = await Connection.open(access_of(Settings(data=server.folder)), "verify")
    try:
        return await verify(connection, [SHARD])
    finally:
        await connection.close()


def sensor_rows(host: ShardHost) -> list[dict[str, Any]]:
    """The published table of sensors."""
    rows: list[dict[str, Any]] = host.published[SHARD].tables["sensors"].to_pylist()
    return rows
