"""MQTT 3.1.1 through nats-server's own listener: a sensor publishes, and only what it may."""

import asyncio
import threading
from collections.abc import Iterator

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from streams import credentials
from streams.credentials import Credential
from streams.server import EmbeddedServer
from streams.subjects import partition
from tests.integration.city import City

TOPIC = "city/raw/facility/bridge-1/readings"


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    with EmbeddedServer(tmp_path_factory.mktemp("city")) as server:
        yield City(server)


class Sensor:
    """A real MQTT client on a thread of its own."""

    def __init__(self, city: City, user: str | None, password: str | None, client_id: str = "") -> None:
        self.connected, self.closed = threading.Event(), threading.Event()
        self.code: mqtt.ReasonCode | None = None
        self.heard: list[str] = []
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv311)
        self.client.username_pw_set(user, password)
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = lambda *_: self.closed.set()
        self.client.on_message = lambda _client, _data, message: self.heard.append(message.topic)
        self.client.connect("127.0.0.1", city.server.bound.mqtt)
        self.client.loop_start()
        assert self.connected.wait(5) or self.closed.wait(5)

    def _on_connect(self, _client: object, _data: object, _flags: object, code: mqtt.ReasonCode, _more: object) -> None:
        self.code = code
        self.connected.set()

    @property
    def accepted(self) -> bool:
        return self.code is not None and not self.code.is_failure

    def publish(self, topic: str, payload: bytes = b'{"sensor": "s"}', qos: int = 1) -> None:
        self.client.publish(topic, payload, qos=qos).wait_for_publish(5)

    def stop(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def sensor(city: City) -> Iterator[Sensor]:
    one = Sensor(city, city.device.user, city.device.password)
    yield one
    one.stop()


async def subjects_in(city: City, *streams: str) -> dict[str, int]:
    async with city.connected(city.operator) as operator:
        found: dict[str, int] = {}
        for stream in streams:
            info = await operator.jetstream().stream_info(stream, subjects_filter=">")
            found |= info.state.subjects or {}
        return found


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_sensor_publishes_over_mqtt_into_its_partition(city: City, sensor: Sensor, qos: int) -> None:
    subject = f"city.in.{partition('bridge-1', 2)}.facility.bridge-1.readings"
    before = (await subjects_in(city, "INGEST_FACILITY")).get(subject, 0)
    assert sensor.accepted
    await asyncio.to_thread(sensor.publish, TOPIC, qos=qos)
    await asyncio.sleep(0.2)
    assert (await subjects_in(city, "INGEST_FACILITY"))[subject] == before + 1


@pytest.mark.parametrize(
    "topic",
    [
        "city/raw/facility/bridge-2/readings",
        "city/raw/facility/bridge-1/gw-north",
        "city/log/facility/0/bridge-1/alarm-raised",
        "city/pub/facility/bridge-1/alarm-raised",
        "city/rejected/facility/bridge-1",
        "$JS/API/STREAM/PURGE/INGEST_FACILITY",
    ],
)
async def test_a_sensor_reaches_no_other_topic_over_mqtt(city: City, sensor: Sensor, topic: str) -> None:
    streams = ("INGEST_FACILITY", "LOG_FACILITY_0", "LOG_FACILITY_1", "FEED", "REJECTED")
    before = await subjects_in(city, *streams)
    await asyncio.to_thread(sensor.publish, topic, qos=0)
    await asyncio.sleep(0.2)
    assert await subjects_in(city, *streams) == before


async def test_a_sensor_hears_nothing_over_mqtt(city: City, sensor: Sensor) -> None:
    for topic in ("#", "city/#", "city/raw/#", "city/pub/#", "$JS/#"):
        sensor.client.subscribe(topic)
    async with city.connected(city.other_device) as other, city.connected(city.host) as host:
        await other.publish("city.raw.facility.bridge-2.readings", b"{}")
        await host.jetstream().publish("city.pub.facility.bridge-2.alarm-raised", b"{}")
        await other.flush()
    await asyncio.sleep(0.3)
    assert sensor.heard == []


def test_a_gateway_comes_in_over_mqtt_and_apps_hosts_and_the_nameless_do_not(city: City) -> None:
    def accepted(who: Credential | None) -> bool:
        one = Sensor(city, who.user if who else None, who.password if who else None)
        one.stop()
        return one.accepted

    assert accepted(city.gateway)
    for who in (city.app, city.staff, city.host, city.operator, None):
        assert not accepted(who)


async def test_a_revoked_sensor_is_cut_off_over_mqtt(city: City) -> None:
    given = credentials.add(city.folder, "device", "fleeting", ("bridge-1",))
    one = Sensor(city, given.user, given.password)
    assert one.accepted
    one.closed.clear()
    credentials.revoke(city.folder, "device", "fleeting")
    assert await asyncio.to_thread(one.closed.wait, 5)
    one.stop()
    again = Sensor(city, given.user, given.password)
    again.stop()
    assert not again.accepted
