"""Streams of a running city that reach their limit: a clear refusal, and the service goes on by itself."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import nats
import orjson
import pytest

from streams import credentials
from streams.api import request
from streams.subjects import ingest_stream, log_stream, partition
from tests.cluster.running import Running
from tests.cluster.test_end_to_end import BRIDGE, reading, register
from tests.faults.test_kills import verify

pytestmark = pytest.mark.cluster


@asynccontextmanager
async def full(city: Running, stream: str) -> AsyncIterator[None]:
    """The stream may hold what it holds and no more, until the end of the block."""
    url, own = f"nats://127.0.0.1:{city.ports.nats}", credentials.local(city.folder, "operator")
    nc = await nats.connect(url, **own.options())
    try:
        found = await request(nc, f"$JS.API.STREAM.INFO.{stream}")
        small = {**found["config"], "max_bytes": found["state"]["bytes"]}
        await request(nc, f"$JS.API.STREAM.UPDATE.{stream}", small)
        yield
        await request(nc, f"$JS.API.STREAM.UPDATE.{stream}", found["config"])
    finally:
        await nc.close()


def refused(answer: Any) -> bool:
    """Whether this is a problem document that says what is full and when to come again."""
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1
    return "size limit" in answer.json()["detail"]


def counted(city: Running, facility: str) -> int:
    (sensor,) = city.get(f"/v1/facilities/{facility}")["sensors"]
    count: int = sensor["count"]
    return count


def maintenance(city: Running, facility: str) -> Callable[[], Any]:
    def ask() -> Any:
        headers = {**city.token("safety"), "idempotency-key": "full-log"}
        return city.api.post(f"/v1/facilities/{facility}/maintenance", json={"reason": "room"}, headers=headers)

    return ask


async def test_commands_to_a_full_log_are_refused_and_go_through_when_there_is_room(city: Running) -> None:
    register(city, "full-log", "full-log-tilt")
    device, ask = city.token("device", facility="full-log"), maintenance(city, "full-log")
    shard = partition("full-log", city.settings.shards("facility"))
    async with full(city, log_stream("facility", shard)):
        # Observing goes on: INGEST has room, and its readings wait there for the log.
        sent = city.api.post("/v1/readings", json=reading("full-log-tilt", 0.5, 1), headers=device)
        assert sent.status_code == 202
        city.until(lambda: refused(ask()))
        assert counted(city, "full-log") == 0
        # What other shards do is not concerned.
        assert city.api.get("/readyz").status_code == 200
    answer = city.until(lambda: answer if (answer := ask()).status_code == 200 else None)
    city.until(lambda: counted(city, "full-log") == 1)
    assert ask().json()["events"] == answer.json()["events"]
    verify(city)


async def test_readings_to_a_full_ingest_are_refused_and_count_once_when_there_is_room(city: Running) -> None:
    register(city, "full-ingest", "full-ingest-tilt")
    headers = city.token("device", facility="full-ingest")
    device = credentials.add(city.folder, "device", "full-ingest", ("full-ingest",))
    nc = await nats.connect(f"nats://127.0.0.1:{city.ports.nats}", **device.options())

    async def publish() -> dict[str, Any]:
        data = orjson.dumps(reading("full-ingest-tilt", 0.5, 2))
        answer: dict[str, Any] = orjson.loads(
            (await nc.request("city.raw.facility.full-ingest.readings", data, 5)).data
        )
        return answer

    def post() -> Any:
        return city.api.post("/v1/readings", json=reading("full-ingest-tilt", 0.5, 1), headers=headers)

    async with full(city, ingest_stream("facility")):
        assert refused(post())
        assert (await publish())["error"]["description"] == "maximum bytes exceeded"
        # Commands need no room in INGEST.
        facts = {**BRIDGE, "grade": "B"}
        changed = city.api.put("/v1/facilities/full-ingest", json=facts, headers=city.token("safety"))
        assert changed.status_code == 200, changed.text
    assert post().status_code == 202
    assert "error" not in await publish()
    city.until(lambda: counted(city, "full-ingest") == 2)
    await nc.close()
    credentials.revoke(city.folder, "device", "full-ingest")
    verify(city)
