"""Both recordings through NATS and Ray: read over HTTP, heard by a subscriber without a name, an MQTT sensor beside."""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import nats
import paho.mqtt.client as mqtt
import pytest
from nats.aio.msg import Msg

from streams import credentials
from streams.connectors.openlab import FACILITY
from tests.cluster.running import Running
from tests.cluster.test_end_to_end import alarms, reading, register
from tests.faults.test_kills import history
from tests.integration.test_replay import BRIDGE, SNOW
from tests.integration.test_verify import bomnae

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not BRIDGE.is_dir(), reason=f"the recorded data is not at {BRIDGE}: set BOMNAE_SHARED"),
]

SPEED, RECORDED_S = 5_000, 35_218
"""Times as fast as the load test took, which is 7 s."""
BESIDE = "replay-beside"


@dataclass
class Subscriber:
    """What reached somebody without credentials, each event once, by its name."""

    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)

    async def on_event(self, msg: Msg) -> None:
        headers = msg.headers or {}
        if headers["ce-id"] not in self.ids:
            self.ids.add(headers["ce-id"])
            self.events.setdefault(headers["ce-type"].split(".")[2], []).append(json.loads(msg.data))

    def count(self, name: str) -> int:
        return len(self.events.get(name, []))


@asynccontextmanager
async def subscribed(city: Running, subject: str) -> AsyncIterator[Subscriber]:
    """A subscriber without credentials on a subject, in place when this begins."""
    nc = await nats.connect(f"nats://127.0.0.1:{city.ports.nats}")
    subscriber = Subscriber()
    await nc.subscribe(subject, cb=subscriber.on_event)
    await nc.flush()
    try:
        yield subscriber
    finally:
        await nc.close()


async def replay(city: Running, *arguments: str) -> Counter[str]:
    """Run `bomnae replay`; how many events of each name it says that it heard before it ended."""
    code, out, err = await bomnae(city.settings, "replay", *arguments)
    assert code == 0, err
    (line,) = re.findall(r"heard in all: (.*)", out)
    return Counter({name: int(count.replace(",", "")) for count, name in re.findall(r"(\d[\d,]*) ([a-z-]+)", line)})


async def until_heard(subscriber: Subscriber, expected: Counter[str]) -> None:
    """Until the subscriber has heard at least these events of each name."""
    deadline = time.monotonic() + 20
    while any(subscriber.count(name) < count for name, count in expected.items()):
        heard = {name: subscriber.count(name) for name in expected}
        assert time.monotonic() < deadline, (expected, heard)
        await asyncio.sleep(0.1)


def send_over_mqtt(city: Running, device: credentials.Credential) -> None:
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=BESIDE)
    client.username_pw_set(device.user, device.password)
    client.connect("127.0.0.1", city.ports.mqtt)
    client.loop_start()
    payload = json.dumps(reading(f"{BESIDE}-tilt", 1.5, 1))
    client.publish(f"city/raw/facility/{BESIDE}/readings", payload, qos=1).wait_for_publish(10)
    client.loop_stop()


async def test_the_load_test_alarms_in_its_own_rhythm_and_an_mqtt_sensor_beside_it(city: Running) -> None:
    await asyncio.to_thread(register, city, BESIDE, f"{BESIDE}-tilt")
    device = await asyncio.to_thread(credentials.add, city.folder, "device", BESIDE, (BESIDE,))
    here, there = (f"city.pub.facility.{name}.>" for name in (FACILITY, BESIDE))
    async with subscribed(city, here) as heard, subscribed(city, there) as beside:
        began = time.monotonic()
        replaying = asyncio.create_task(replay(city, "openlab", "--from", str(BRIDGE), "--speed", str(SPEED)))
        await asyncio.to_thread(send_over_mqtt, city, device)
        await asyncio.to_thread(city.until, lambda: alarms(city, BESIDE))
        assert not replaying.done(), "the MQTT sensor was not beside the replay but after it"
        told = await replaying
        assert time.monotonic() - began > RECORDED_S / SPEED
        stored = Counter(event["type"].split(".")[2] for event in await asyncio.to_thread(history, city, FACILITY))
        expected = Counter({name: stored[name] for name in ("alarm-raised", "alarm-returned", "risk-level-changed")})
        await until_heard(heard, expected)
    assert {name: heard.count(name) for name in expected} == expected
    assert 0 < told["alarm-raised"] <= expected["alarm-raised"]
    raised = {event["alarm"] for event in heard.events["alarm-raised"]}
    open_now = alarms(city, FACILITY)
    assert open_now
    assert {alarm["alarm"] for alarm in open_now} <= raised
    state = city.get(f"/v1/facilities/{FACILITY}")
    assert state["risk"] == heard.events["risk-level-changed"][-1]["risk"]
    assert [alarm["level"] for alarm in alarms(city, BESIDE)] == ["warning"]
    assert beside.count("alarm-raised") == 1
    await asyncio.to_thread(credentials.revoke, city.folder, "device", BESIDE)


async def test_each_street_side_stands_as_its_last_change_of_clearing_said(city: Running) -> None:
    async with subscribed(city, "city.pub.road.*.clearing-changed") as heard:
        told = await replay(city, "montreal", "--from", str(SNOW))
        assert told["clearing-changed"] > 10_000
        await until_heard(heard, Counter({"clearing-changed": told["clearing-changed"]}))
        changes = heard.events["clearing-changed"]
        roads = sorted({event["road"] for event in changes})

        def stands() -> bool:
            pages = [city.get("/v1/roads", road=road) for road in roads]
            sides = [one["properties"] for page in pages for one in page["features"]]
            read = {side["segment"]: side["clearing"] for side in sides}
            last = {event["segment"]: event["state"] for event in list(changes)}
            return {segment: read[segment] for segment in last} == last

        await asyncio.to_thread(city.until, stands)
