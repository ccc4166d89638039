"""The feed on a real server: every event arrives, publishing again changes nothing, and no call hangs."""

import asyncio
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime

import nats
import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from schemas.errors import UnavailableError
from schemas.facility import SensorStale
from streams import feed
from streams.api import JetStreamApiError
from streams.batch import Message
from streams.codec import head
from streams.server import EmbeddedServer
from tests.integration.city import City
from tests.unit.batches import batch_of

AT = datetime(2026, 1, 15, 3, tzinfo=UTC)


@pytest.fixture
def city(nats_server: EmbeddedServer) -> Iterator[City]:
    return City(nats_server)


def stale(number: int) -> SensorStale:
    return SensorStale(at=AT, facility="bridge-1", sensor=f"tilt-{number}", last_arrival=AT)


async def test_every_event_reaches_subscribers_in_order_and_once_in_the_stream(city: City) -> None:
    messages = feed.messages(batch_of([stale(number) for number in range(700)]))
    async with city.connected(city.host) as host, city.connected(city.app) as app:
        heard = await app.subscribe("city.pub.>")
        await app.flush()
        await feed.publish(host, messages)
        got = [await heard.next_msg(timeout=2) for _ in range(700)]
        assert [m.data for m in got] == [m.data for m in messages if m.subject.startswith("city.pub.")]
        await feed.publish(host, messages)
        assert (await host.jetstream().stream_info("FEED")).state.messages == 1400


async def test_apps_find_the_same_events_in_their_copy(city: City) -> None:
    async with city.connected(city.host) as host, city.connected(city.feed_admin) as admin:
        await feed.publish(host, feed.messages(batch_of([stale(1), stale(2)])))
        reader = await admin.jetstream().subscribe(
            "", stream="FEED", ordered_consumer=False, config=ConsumerConfig(ack_policy=AckPolicy.NONE)
        )
        copies = [await reader.next_msg(timeout=5) for _ in range(4)]
        for sequence, copy in enumerate(copies, 1):
            original = await host.jetstream().get_msg("FEED", sequence)
            # The server takes the marks of a batch off when it copies.
            headers = {name: text for name, text in (original.headers or {}).items() if "Nats-Batch" not in name}
            assert (copy.subject, copy.data, copy.headers) == (original.subject, original.data, headers)


async def test_without_a_stream_publishing_ends_at_its_deadline_with_the_reason(city: City) -> None:
    async with city.connected(city.operator) as operator:
        await operator.jetstream().delete_stream("FEED")
        with pytest.raises(UnavailableError, match=r"2 messages were not stored in 0.3 s .*503"):
            await feed.publish(operator, feed.messages(batch_of([stale(1)])), deadline_s=0.3)


async def test_a_message_that_the_stream_refuses_is_told_at_once(city: City) -> None:
    refused = Message("city.pub.facility.bridge-1.x", b"{}", head({"Nats-Expected-Last-Sequence": "99"}))
    async with city.connected(city.host) as host:
        with pytest.raises(JetStreamApiError, match="wrong last sequence"):
            await feed.publish(host, [refused], deadline_s=0.3)


async def test_publishing_goes_on_when_the_server_is_killed_and_comes_back(city: City) -> None:
    messages = feed.messages(batch_of([stale(number) for number in range(400)]))
    nc = await nats.connect(city.server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, **city.host.options())
    pid = city.server.pid
    assert pid is not None
    publishing = asyncio.create_task(feed.publish(nc, messages, deadline_s=30))
    await asyncio.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(city.server.start)
    await publishing
    assert (await nc.jetstream().stream_info("FEED")).state.messages == 800
    await nc.close()
