"""Shards spread over the nodes of a Ray cluster; a node is killed, and its shards come back on another."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.host import CONTEXTS
from actors.verify import verify
from schemas.registry import read_event
from schemas.settings import Settings
from streams.connection import Connection, access_of
from streams.log import read_batches
from streams.server import EmbeddedServer
from streams.topology import RETENTION, Topology, ensure_streams
from tests.cluster.nodes import FACILITIES, ROUNDS, WORKERS
from tests.faults.shards import operating

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]
SHARDS = {name: Settings().shards(name) for name in CONTEXTS}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "data") as running:
        async with operating(running) as nc:
            await ensure_streams(nc, Topology(SHARDS, max_mb=dict.fromkeys(RETENTION, 64)))
        yield running


async def limits(server: EmbeddedServer) -> dict[str, list[float]]:
    """Every limit that was set, per facility, in the order of the log; all shards hold under `verify`."""
    connection = await Connection.open(access_of(Settings(data=server.folder)), "reader")
    found: dict[str, list[float]] = {}
    try:
        await verify(connection, [(name, number) for name, count in SHARDS.items() for number in range(count)])
        for number in range(SHARDS["facility"]):
            async for batch in read_batches(connection.store("facility", number)):
                for record in batch.events:
                    event = read_event(record.type, record.data)
                    if event.name == "thresholds-changed":
                        found.setdefault(event.entity, []).append(event.model_dump()["limits"][0]["on"])
    finally:
        await connection.close()
    return found


async def test_the_shards_of_a_killed_node_come_back_on_another_with_all_that_was_acknowledged(
    server: EmbeddedServer,
) -> None:
    environment = {
        **os.environ,
        "BOMNAE_DATA": str(server.folder),
        "BOMNAE_SHARD_HOSTS": str(WORKERS),
        "BOMNAE_SNAPSHOT_EVERY_S": "2",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.cluster.nodes"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    told = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    hosts = {f"shards-{number}" for number in range(WORKERS)}
    assert set(told["before"]) == set(told["after"]) == hosts
    assert len(set(told["before"].values())) == WORKERS, "the hosts are not spread"
    assert told["killed"] in told["before"].values()
    assert told["killed"] not in told["after"].values()
    assert set(told["shards"].values()) == set(range(SHARDS["facility"]))
    assert told["acknowledged"] == dict.fromkeys(FACILITIES, ROUNDS)
    assert told["repeats"] > 0, "nobody noticed the kill"
    expected = [float(number) for number in range(1, ROUNDS + 1)]
    assert await limits(server) == dict.fromkeys(FACILITIES, expected)
    assert told["took_s"] < 60
