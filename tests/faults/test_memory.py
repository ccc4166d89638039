"""A reader that never reads and a publisher that never stops: memory stays bounded, and nobody else is hindered."""

import asyncio
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import nats
import pytest

from streams import credentials, instance
from streams.server import MEMORY_LIMIT_MIB
from streams.subjects import raw
from tests.cluster.running import Running
from tests.cluster.test_end_to_end import BRIDGE
from tests.unit.facility.scenario import arrow

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

FACILITY, SENSORS = "flood", tuple(f"flood-{number}" for number in range(20))
WATCHED = 20
SECONDS = 12.0
ROWS = 25
GROWTH_MB = {
    "nats-server --config": MEMORY_LIMIT_MIB * 1.05 + 60,
    "ray::ShardActor": 250,
    "ray::ServeReplica:live": 150,
    "ray::ServeReplica:api": 100,
    "haproxy": 60,
}
"""How much each may grow; a replica of the API maps the tables that the owners publish.

nats-server is told to stay below its memory limit (MiB; 60 MB for what Go does not count). An owner holds two requests
of 16 MB a shard.
"""
OBJECTS = 40
"""How many more objects Ray's store may hold: each published state is one, ten a second, until no reader maps it."""


@contextmanager
def deaf(city: Running, port: int, hello: bytes) -> Iterator[socket.socket]:
    """A client that says hello and then never reads."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(hello)
        yield client


def megabytes(city: Running) -> dict[str, float]:
    """Resident memory by process."""
    return {name: sum(one.memory_info().rss for one in city.descendants(name)) / 1e6 for name in GROWTH_MB}


def objects(city: Running) -> float | None:
    """Objects in Ray's store as the node's metrics tell it, some seconds late; None before they do."""
    found = re.findall(r"^ray_object_store_num_local_objects\{.*\} (\S+)$", city.api.get("/metrics").text, re.MULTILINE)
    return sum(map(float, found)) if found else None


def prepare(city: Running) -> None:
    safety = city.token("safety")
    assert city.api.put(f"/v1/facilities/{FACILITY}", json=BRIDGE, headers=safety).status_code == 200
    limits = [{"condition": "high", "level": "warning", "on": 1.0, "off": 0.5}]
    facts: dict[str, object] = {"kind": "tilt", "unit": "mm/m", "synthetic": True, "recorded": True}
    for number, sensor in enumerate(SENSORS):
        facts["limits"] = limits if number < WATCHED else []
        answer = city.api.put(f"/v1/facilities/{FACILITY}/sensors/{sensor}", json=facts, headers=safety)
        assert answer.status_code == 200, answer.text
    city.get(f"/v1/facilities/{FACILITY}", min_position=answer.json()["position"])


async def flood(city: Running, device: credentials.Credential) -> int:
    """Publish without waiting for any answer until the time is up; how many readings each sensor sent.

    Every second message raises an alarm of each watched sensor, the others end it: the feed that nobody reads.
    """
    nc = await nats.connect(f"nats://127.0.0.1:{city.ports.nats}", **device.options())
    until, sequence = time.monotonic() + SECONDS, 0
    while time.monotonic() < until:
        numbers = range(sequence + 1, sequence + ROWS + 1)
        value = 2.0 * (sequence // ROWS % 2)
        rows = [(sensor, float(n), value, n, 1, 0) for sensor in SENSORS for n in numbers]
        await nc.publish(raw("facility", FACILITY, "readings"), arrow(rows))
        sequence += ROWS
        await nc.flush()
    await nc.close()
    return sequence


def slow_readers(city: Running) -> int:
    """Connections that nats-server closed because they did not read."""
    count: int = instance.monitor(city.ports.monitor, "/varz")[1]["slow_consumers"]
    return count


async def test_memory_stays_bounded_under_a_reader_that_never_reads_and_a_publisher_that_never_stops(
    city: Running,
) -> None:
    prepare(city)
    device = await asyncio.to_thread(credentials.add, city.folder, "device", "flood", (FACILITY,))
    subscribe = b'CONNECT {"verbose":false}\r\nSUB city.pub.> 1\r\n'
    listen = f"GET /v1/live?entity={FACILITY} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    http = urlsplit(city.base).port or 0
    held = await asyncio.to_thread(city.until, lambda: objects(city))
    before, slow = megabytes(city), slow_readers(city)
    with deaf(city, city.ports.nats, subscribe), deaf(city, http, listen):
        sent = await flood(city, device)
        counts: set[int] = set()

        def folded() -> bool:
            counts.clear()
            counts.update(s["count"] for s in city.get(f"/v1/facilities/{FACILITY}")["sensors"])
            return counts == {sent}

        await asyncio.to_thread(city.until, folded, 120)
        after = megabytes(city)
        assert slow_readers(city) > slow, "the subscriber was never slow: the test is too small"
    now = objects(city)
    assert now is not None
    assert now < held + OBJECTS, (held, now)
    grown = {name: after[name] - before[name] for name in before}
    assert all(grown[name] < most for name, most in GROWTH_MB.items()), (before, after)
    await asyncio.to_thread(credentials.revoke, city.folder, "device", "flood")
