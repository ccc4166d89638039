"""The live stream of the real city: where it begins, how it goes on, and when it cannot."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

import pytest
from nats.aio.client import Client

from schemas.errors import GoneError
from schemas.facility import SensorStale
from serve.backend import Feed
from serve.city import City
from streams import feed
from streams.connection import Connection, access_of
from streams.server import EmbeddedServer
from tests.integration.hosted import create, settings_for
from tests.unit.batches import batch_of

AT = datetime(2026, 1, 15, 3, tzinfo=UTC)
PUBLIC = ["city.pub.>"]


async def publish(nc: Client, *numbers: int) -> None:
    for number in numbers:
        stale = SensorStale(at=AT, facility="bridge-1", sensor=f"tilt-{number}", last_arrival=AT)
        await feed.publish(nc, feed.messages(batch_of([stale], number)))


@pytest.fixture
async def city(nats_server: EmbeddedServer, operator: Client) -> AsyncIterator[City]:
    settings = settings_for(nats_server.folder)
    await create(settings, nats_server)
    made = City(settings)
    # Ray is what `start` would ask for besides: the feed needs NATS alone.
    made._connection = await Connection.open(access_of(settings), "api")
    await publish(operator, 1, 2, 3)
    yield made
    await made._connection.close()


async def heard(opened: Feed, count: int) -> list[int]:
    async with aclosing(opened.items) as items:
        return [(await anext(items)).id for _ in range(count)]


async def test_who_heard_nothing_resumes_where_the_stream_was_opened(city: City, operator: Client) -> None:
    opened = await city.feed(PUBLIC, None)
    await opened.items.aclose()
    await publish(operator, 4)
    again = await city.feed(PUBLIC, opened.last)
    assert again.last == opened.last == 6
    assert await heard(again, 1) == [7]


async def test_a_stream_resumes_behind_the_message_that_was_seen(city: City) -> None:
    first, second, third = await heard(await city.feed(PUBLIC, 0), 3)
    assert await heard(await city.feed(PUBLIC, first), 2) == [second, third]


async def test_behind_what_is_kept_no_stream_goes_on(city: City, operator: Client) -> None:
    await operator.jetstream().purge_stream("FEED", seq=5)
    with pytest.raises(GoneError, match="kept from 5 to 6"):
        await city.feed(PUBLIC, 3)
    await (await city.feed(PUBLIC, 4)).items.aclose()


async def test_a_feed_that_was_made_anew_says_so_instead_of_leaving_out(city: City) -> None:
    with pytest.raises(GoneError, match="does not go on behind 7: read the state again"):
        await city.feed(PUBLIC, 7)
