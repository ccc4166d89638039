"""Rows of datasets on a real nats-server: sent by their provider alone, kept until they are taken in, or refused."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import orjson
import pytest
from nats.aio.client import Client
from nats.js.errors import APIError

from schemas.errors import InvalidError
from streams import credentials, rejected
from streams.inbox import Inbox, NatsInbox
from streams.server import EmbeddedServer
from streams.topology import MOST_WAITING, Topology, ensure_streams
from tests.contracts.inbox import InboxContract
from tests.integration.city import City, refused
from tests.integration.conftest import SMALL

STOPS = "city.raw.catalogue.stops.rows"
Send = Callable[[str, bytes], Awaitable[None]]


class TestNatsInbox(InboxContract):
    @pytest.fixture
    async def inbox(self, operator: Client) -> Inbox:
        await ensure_streams(operator, Topology({"catalogue": 3}, max_mb=SMALL))
        return NatsInbox(operator)

    @pytest.fixture
    def send(self, operator: Client) -> Send:
        async def send(dataset: str, data: bytes) -> None:
            await operator.jetstream().publish(f"city.raw.catalogue.{dataset}.rows", data)

        return send

    async def test_of_one_dataset_so_many_wait_at_most_and_others_have_their_own_room(
        self, inbox: Inbox, send: Send
    ) -> None:
        for start in range(0, MOST_WAITING, 100):
            await asyncio.gather(*(send("stops", b"x") for _ in range(min(100, MOST_WAITING - start))))
        with pytest.raises(APIError):
            await send("stops", b"x")
        await send("lamps", b"x")
        found = await inbox.read("stops", 1_000_000)
        assert len(found) == MOST_WAITING
        await inbox.clear("stops", found[9].sequence)
        await send("stops", b"y")
        assert len(await inbox.read("stops", 1_000_000)) == MOST_WAITING - 9


@pytest.fixture
def city(nats_server: EmbeddedServer) -> Iterator[City]:
    return City(nats_server)


@pytest.mark.parametrize("websocket", [False, True], ids=["nats", "websocket"])
async def test_a_provider_sends_rows_of_its_datasets_and_learns_that_they_are_kept(city: City, websocket: bool) -> None:
    async with city.connected(city.provider, websocket) as provider:
        told = orjson.loads((await provider.request(STOPS, b"[]", timeout=2)).data)
        assert told["stream"] == "INGEST_CATALOGUE"
        for subject in (
            "city.raw.catalogue.others.rows",
            "city.raw.catalogue.stops.readings",
            "city.in.0.catalogue.stops.rows",
            "city.log.catalogue.0.stops.dataset-refreshed",
            "city.raw.facility.bridge-1.readings",
            "$JS.API.STREAM.PURGE.INGEST_CATALOGUE",
        ):
            assert await refused(provider, subject, b"x")


async def test_nobody_else_outside_sends_rows(city: City) -> None:
    for who in (city.device, city.gateway, city.app, city.staff, city.officer, city.handed_operator, None):
        async with city.connected(who) as nc:
            assert await refused(nc, STOPS, b"x")


async def test_what_was_refused_is_kept_with_its_reason_and_waits_again_when_it_is_sent_again(city: City) -> None:
    async with city.connected(city.provider) as provider, city.connected(city.host) as host:
        sent = {"content-type": "text/csv"}
        await provider.request(STOPS, b"stop\nA1\n", timeout=2, headers=sent)
        inbox = NatsInbox(host)
        (one,) = await inbox.read("stops", 100)
        for _ in range(2):
            await inbox.refuse("stops", one, "행이 없음")
        (kept,) = await rejected.listing(host)
        assert (kept.context, kept.entity, kept.reason, kept.data) == ("catalogue", "stops", "행이 없음", one.data)
        assert not await inbox.waiting()
        again = await rejected.resubmit(host, kept.sequence)
        assert (again.context, again.entity, again.now) == ("catalogue", "stops", True)
        (back,) = await inbox.read("stops", 100)
        assert (back.data, back.content_type, back.sequence) == (one.data, "text/csv", again.sequence)


def test_a_provider_names_its_datasets(nats_server: EmbeddedServer) -> None:
    with pytest.raises(InvalidError, match="name them"):
        credentials.add(nats_server.folder, "provider", "bus-desk")
