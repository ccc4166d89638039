"""Readings on every road into the city, and hostile ones beside them, through real servers to the published state."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nats
import orjson
import pyarrow as pa
import pytest

from actors.verify import verify
from schemas.settings import Settings
from serve.commands.calls import Call
from serve.commands.client import Api
from streams import credentials, instance, rejected
from streams.connection import Connection, access_of
from streams.credentials import Credential
from tests.integration.hosted import SHARDS, running, settings_for
from tests.integration.test_connection import named, say
from tests.integration.test_mqtt import Sensor
from tests.unit.facility.scenario import ipc

FACTS = {"name_ko": "다리", "name_en": "Bridge", "kind": "bridge", "grade": "C", "synthetic": True}
SENSOR = {"kind": "tilt", "unit": "mm", "limits": [], "synthetic": True, "gateway": "north"}
DEVICES, GATEWAYS = "city.raw.facility.bridge-1.readings", "city.raw.facility.bridge-1.gw-north"


def table(sequence: int, *sensors: str, **more: Any) -> bytes:
    sensors = sensors or ("tilt-1",)
    time = pa.array([datetime.now(UTC) - timedelta(seconds=1)] * len(sensors), pa.timestamp("us", "UTC"))
    columns = {"sensor": list(sensors), "time": time, "value": [1.0] * len(sensors)}
    return ipc(pa.table({**columns, "sequence": [sequence] * len(sensors), **more}))


def reading(sequence: int) -> bytes:
    return orjson.dumps({"sensor": "tilt-1", "time": datetime.now(UTC), "value": 1.0, "sequence": sequence})


class Town:
    """A running city with one bridge, its sensor, and a device and a gateway with credentials of their own."""

    def __init__(self, settings: Settings, api: Api) -> None:
        found = instance.load(settings.data)
        assert found is not None
        self.server = SimpleNamespace(bound=found.ports, url=f"nats://127.0.0.1:{found.ports.nats}")
        self.settings, self.api = settings, api
        self.device = credentials.add(settings.data, "device", "meter", ("bridge-1",))
        self.gateway = credentials.add(settings.data, "gateway", "north")

    async def register(self, sensor: str = "tilt-1") -> None:
        await self.api.ask(Call("PUT", "/v1/facilities/bridge-1", FACTS))
        answer = await self.api.ask(Call("PUT", f"/v1/facilities/bridge-1/sensors/{sensor}", SENSOR))
        await self.api.get("/v1/facilities/bridge-1", min_position=answer["position"])

    async def counted(self, wanted: int) -> dict[str, Any]:
        """The sensor, once so many readings of it count."""
        async with asyncio.timeout(20):
            while True:
                sensor = (await self.api.get("/v1/facilities/bridge-1"))["sensors"][0]
                if sensor["count"] >= wanted:
                    return dict(sensor)
                await asyncio.sleep(0.05)

    async def over_nats(self, who: Credential, subject: str, data: bytes, **headers: str) -> None:
        nc = await nats.connect(self.server.url, **who.options())
        answer = await nc.request(subject, data, timeout=5, headers=headers or None)
        assert "seq" in orjson.loads(answer.data), answer.data
        await nc.close()

    async def over_mqtt(self, who: Credential, subject: str, data: bytes) -> None:
        def publish() -> None:
            sensor = Sensor(self, who.user, who.password, who.user)  # type: ignore[arg-type]
            assert sensor.accepted
            sensor.publish(subject.replace(".", "/"), data)
            sensor.stop()

        await asyncio.to_thread(publish)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with running(settings_for(tmp_path / "data")) as settings, Api(settings, "test") as api:
        found = await asyncio.to_thread(Town, settings, api)
        await found.register()
        yield found


async def test_readings_of_devices_and_gateways_count_over_mqtt_and_nats_as_json_and_as_arrow(town: Town) -> None:
    sequence = 0
    for who, subject in ((town.device, DEVICES), (town.gateway, GATEWAYS)):
        for publish in (town.over_mqtt, town.over_nats):
            for written in (reading, table):
                await publish(who, subject, written(sequence))
                sequence += 1
                sensor = await town.counted(sequence)
    assert (sensor["count"], sensor["sequence"], sensor["gaps"], sensor["duplicates"]) == (8, 7, 0, 0)


async def test_no_sender_stops_a_shard_or_keeps_its_refusal_out_and_the_state_is_that_of_a_replay(town: Town) -> None:
    await town.over_nats(town.device, DEVICES, table(0))
    views = pa.array(["a", "b"], pa.string_view())
    struct = pa.array([{"a" * 70_000: 1}])
    await town.over_nats(town.device, DEVICES, table(1, "tilt-1", "nobody", note=views))
    await town.over_nats(town.device, DEVICES, table(2, value=struct))
    await town.over_nats(town.device, DEVICES, b"hello", **{"content-type": "y" * 65_000})
    await town.over_nats(town.device, DEVICES, reading(2), **{"ce-type": "가" * 20_000})
    odd = [b"\xff", b"\xff\xfe", b"a\x0bb", b"b\x0ca", "다리".encode(), b"a" * 3_900]
    assert await say(town.server, town.gateway, *map(named, odd)) == b"PONG\r\n"
    await asyncio.sleep(0.5)
    await town.over_nats(town.device, DEVICES, table(3))
    sensor = await town.counted(3)
    assert (sensor["count"], sensor["sequence"], sensor["gaps"]) == (3, 3, 1)
    await asyncio.wait_for(town.register("tilt-2"), 20)
    connection = await Connection.open(access_of(town.settings), "test")
    try:
        async with asyncio.timeout(20):
            while len(kept := await rejected.listing(connection.nc)) < 4 + len(odd):
                await asyncio.sleep(0.1)
        assert len(kept) == 4 + len(odd)
        assert sorted(one.reason[:9] for one in kept if one.entity == "bridge-1") == [
            "1 of 2 re", "CloudEven", "column 'v", "the messa",
        ]  # fmt: skip
        await verify(connection, [("facility", shard) for shard in range(SHARDS["facility"])])
    finally:
        await connection.close()
