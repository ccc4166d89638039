"""What officers hear over NATS and WebSocket, and every way around it attacked; nobody else hears of a case."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.errors import TimeoutError as NatsTimeoutError

from schemas.errors import InvalidError
from schemas.settings import Settings
from serve.commands import credentials as commands
from streams import credentials, feed
from streams.api import request
from streams.officers import ensure_consumers, forget_case
from streams.server import EmbeddedServer
from tests.integration.city import City, deaf, refused
from tests.unit.batches import batch_of
from tests.unit.person.scenario import AUTHORISED, given, hits, seen, watch

HIT = "city.case.case-1.watch-hit"
SHARED = "city.case.case-2.watch-hit"
OTHER = "city.case.case-3.watch-hit"
LISTENERS = pytest.mark.parametrize("websocket", [False, True], ids=["nats", "websocket"])
STREAMS = ["LOG_PERSON_0", "LOG_SIGHTING_0", "INGEST_SIGHTING", "CASES", "FEED", "REJECTED", "LOG_FACILITY_0"]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    with EmbeddedServer(tmp_path_factory.mktemp("city")) as server:
        yield City(server)


async def sequences(city: City) -> list[int]:
    async with city.connected(city.operator) as operator:
        found = [await request(operator, f"$JS.API.STREAM.INFO.{stream}") for stream in STREAMS]
    return [int(one["state"]["last_seq"]) for one in found]


async def pulled(officer: Client, user: str) -> list[str]:
    consumer = await officer.jetstream().pull_subscribe_bind(user, stream="CASES")
    found: list[str] = []
    try:
        while True:
            for message in await consumer.fetch(20, timeout=0.5):
                found.append(message.subject)
                await message.ack_sync(timeout=10)
    except TimeoutError:
        return found


@LISTENERS
async def test_an_officer_hears_live_of_its_own_cases_alone(city: City, websocket: bool) -> None:
    async with city.connected(city.host) as host, city.connected(city.officer, websocket) as officer:
        heard = [await officer.subscribe(f"city.case.{case}.>") for case in ("case-1", "case-2")]
        await officer.flush()
        for subject in (OTHER, HIT, SHARED):
            await host.jetstream().publish(subject, b"{}")
        assert (await heard[0].next_msg(timeout=10)).subject == HIT
        assert (await heard[1].next_msg(timeout=10)).subject == SHARED
        assert not any(one.pending_msgs for one in heard)


@LISTENERS
async def test_an_officer_reads_past_hits_of_its_own_cases_alone_and_each_once(city: City, websocket: bool) -> None:
    async with city.connected(city.host) as host, city.connected(city.officer, websocket) as officer:
        await pulled(officer, city.officer.user)
        for subject in (OTHER, HIT, SHARED):
            await host.jetstream().publish(subject, b"{}")
        assert await pulled(officer, city.officer.user) == [HIT, SHARED]
        assert await pulled(officer, city.officer.user) == []


async def test_a_hit_goes_from_the_log_to_the_officers_of_the_case_and_once_into_the_stream(city: City) -> None:
    case = given(*AUTHORISED, watch())
    events = [*case.when(hits(seen("s-2"), seen("s-3"))).events, *case.when(watch("w-2", 7)).events]
    messages = feed.messages(batch_of(events))
    async with city.connected(city.host) as host, city.connected(city.officer) as officer:
        heard = await officer.subscribe("city.case.case-1.>")
        await officer.flush()
        before = await sequences(city)
        for _ in range(2):
            await feed.publish(host, messages)
        got = [await heard.next_msg(timeout=10) for _ in range(2)]
        assert [json.loads(one.data)["candidate"]["sighting"] for one in got] == ["s-2", "s-3"]
        assert {(one.headers or {})["ce-type"] for one in got} == {"city.person.watch-hit.v1"}
        after = await sequences(city)
        assert [now - then for now, then in zip(after, before, strict=True)] == [0, 0, 0, 2, 0, 0, 0]
        await pulled(officer, city.officer.user)


@LISTENERS
@pytest.mark.parametrize(
    "subject",
    [
        ">",
        "city.>",
        "city.case.>",
        "city.case.*.watch-hit",
        "city.case.case-3.>",
        OTHER,
        "city.log.>",
        "city.log.person.0.case-1.>",
        "city.raw.>",
        "city.in.>",
        "city.pub.>",
        "city.staff.>",
        "city.rejected.>",
        "_INBOX.>",
        "_INBOX_officer-lee.>",
        "$JS.>",
        "$SYS.>",
    ],
)
async def test_an_officer_hears_nothing_else(city: City, websocket: bool, subject: str) -> None:
    async with city.connected(city.officer, websocket) as officer:
        assert await deaf(officer, subject)


@pytest.mark.parametrize(
    "subject",
    [
        HIT,
        OTHER,
        "city.log.person.0.case-1.watch-hit",
        "city.raw.sighting.cam-1.sightings",
        "city.pub.x",
        "$JS.API.INFO",
        *(f"$JS.API.STREAM.{act}.{stream}" for act in ("MSG.GET", "INFO", "PURGE", "DELETE") for stream in STREAMS),
        *(f"$JS.API.DIRECT.GET.{stream}" for stream in STREAMS),
        f"$JS.API.DIRECT.GET.CASES.{HIT}",
        "$JS.API.STREAM.MSG.DELETE.CASES",
        "$JS.API.STREAM.CREATE.MINE",
        "$JS.API.STREAM.NAMES",
        "$JS.API.CONSUMER.CREATE.CASES",
        "$JS.API.CONSUMER.CREATE.CASES.officer-kim",
        f"$JS.API.CONSUMER.CREATE.CASES.officer-kim.{HIT}",
        "$JS.API.CONSUMER.DURABLE.CREATE.CASES.officer-kim",
        "$JS.API.CONSUMER.CREATE.LOG_PERSON_0.officer-kim",
        "$JS.API.CONSUMER.NAMES.CASES",
        "$JS.API.CONSUMER.DELETE.CASES.officer-kim",
        "$JS.API.CONSUMER.INFO.CASES.officer-lee",
        "$JS.API.CONSUMER.MSG.NEXT.CASES.officer-lee",
        "$JS.API.CONSUMER.MSG.NEXT.LOG_PERSON_0.officer-kim",
        "$JS.ACK.CASES.officer-lee.1.1.1.1.0",
        "$JS.ACK.LOG_PERSON_0.officer-kim.1.1.1.1.0",
        "_INBOX_officer-lee.x",
        "$SYS.REQ.SERVER.PING",
    ],
)
async def test_an_officer_asks_and_says_nothing_else(city: City, subject: str) -> None:
    async with city.connected(city.officer) as officer:
        assert await refused(officer, subject, b"{}")


@pytest.mark.parametrize("target", [HIT, SHARED, OTHER, "city.log.person.0.case-3.watch-hit", "_INBOX_officer-lee.x"])
async def test_an_answer_that_is_aimed_at_a_case_reaches_nobody_else_and_no_stream(city: City, target: str) -> None:
    async with (
        city.connected(city.host) as host,
        city.connected(city.officer) as officer,
        city.connected(city.other_officer) as other,
    ):
        await host.jetstream().publish(HIT, b"{}")
        heard = [await other.subscribe(subject) for subject in (SHARED, OTHER, "_INBOX_officer-lee.>")]
        heard.append(await host.subscribe("city.>"))
        await asyncio.gather(other.flush(), host.flush())
        before = await sequences(city)
        for asked in ("MSG.NEXT", "INFO"):
            await officer.publish(f"$JS.API.CONSUMER.{asked}.CASES.officer-kim", b"{}", reply=target)
        await officer.publish("$JS.ACK.CASES.officer-kim.1.1.1.1.0", b"+NXT", reply=target)
        await officer.flush()
        await asyncio.sleep(0.2)
        assert await sequences(city) == before
        assert [one.pending_msgs for one in heard] == [0, 0, 0, 0]
        await pulled(officer, city.officer.user)


@pytest.mark.parametrize("who", ["app", "staff", "device", "gateway", "nobody"])
async def test_nobody_else_hears_of_a_case_or_asks_for_it(city: City, who: str) -> None:
    credential = None if who == "nobody" else getattr(city, who)
    async with city.connected(credential) as outsider:
        for subject in (">", "city.>", "city.case.>", HIT, "city.log.person.>", "city.raw.sighting.>"):
            assert await deaf(outsider, subject)
        asks = ["STREAM.MSG.GET", "DIRECT.GET", "CONSUMER.CREATE", "STREAM.INFO"]
        for subject in (HIT, *(f"$JS.API.{ask}.{stream}" for ask in asks for stream in STREAMS[:4])):
            assert await refused(outsider, subject, b"{}")
        assert await refused(outsider, f"$JS.API.CONSUMER.CREATE.CASES.{who}.{HIT}", b"{}")


@pytest.mark.parametrize("who", ["app", "staff", "nobody"])
async def test_a_hit_and_every_event_of_a_case_pass_by_whoever_hears_all_that_it_may(city: City, who: str) -> None:
    credential = None if who == "nobody" else getattr(city, who)
    async with city.connected(city.host) as host, city.connected(credential) as outsider:
        heard = [await outsider.subscribe("city.pub.>")]
        heard += [await outsider.subscribe("city.staff.>")] if who == "staff" else []
        await outsider.flush()
        await host.jetstream().publish(HIT, b"{}")
        await host.jetstream().publish("city.log.person.0.case-1.case-opened", b"{}")
        await host.jetstream().publish("city.log.sighting.0.cam-1.sightings-observed", b"{}")
        await host.flush()
        await asyncio.sleep(0.2)
        assert [one.pending_msgs for one in heard] == [0] * len(heard)


async def test_a_forgotten_case_is_gone_from_the_stream_and_the_others_stay(city: City) -> None:
    async with city.connected(city.host) as host, city.connected(city.officer) as officer:
        await pulled(officer, city.officer.user)
        for subject in (HIT, SHARED, HIT):
            await host.jetstream().publish(subject, b"{}")
        assert await forget_case(host, "case-1") >= 2
        assert await forget_case(host, "case-1") == 0
        assert await pulled(officer, city.officer.user) == [SHARED]


@LISTENERS
async def test_an_officer_that_comes_or_goes_leaves_the_others_connected(city: City, websocket: bool) -> None:
    name = f"new-{websocket}".lower()
    hit = f"city.case.case-{name}.watch-hit"
    async with city.connected(city.host) as host, city.connected(city.officer, websocket) as officer:
        heard = await officer.subscribe(HIT)
        await officer.flush()
        added = credentials.add(city.folder, "officer", name, (f"case-{name}",))
        await ensure_consumers(host, credentials.entries(city.folder))
        async with city.connected(added, websocket) as new:
            theirs = await new.subscribe(hit)
            await new.flush()
            for subject in (hit, HIT):
                await host.jetstream().publish(subject, b"{}")
            assert await first_heard(host, theirs) == hit
            assert (await heard.next_msg(timeout=10)).subject == HIT
            assert set(await pulled(new, added.user)) == {hit}
            credentials.revoke(city.folder, "officer", name)
            await ensure_consumers(host, credentials.entries(city.folder))
            async with asyncio.timeout(10):
                while not new.is_closed:
                    await asyncio.sleep(0.05)
        names = await request(host, "$JS.API.CONSUMER.NAMES.CASES")
        assert sorted(names["consumers"]) == ["officer-kim", "officer-lee"]
        await host.jetstream().publish(HIT, b"{}")
        assert (await heard.next_msg(timeout=10)).subject == HIT
        assert HIT in await pulled(officer, city.officer.user)
        assert host.is_connected


async def first_heard(host: Client, new: Subscription) -> str:
    """What a new account hears first. About once in 60 nats-server 2.15.1 loses that message on its way, never a second
    one, whatever the time between; the stream CASES has it all the same.
    """
    try:
        return (await new.next_msg(timeout=2)).subject
    except NatsTimeoutError:
        await host.jetstream().publish(new.subject, b"{}")
        return (await new.next_msg(timeout=10)).subject


@pytest.mark.parametrize("cases", [(), ("Case 1",), tuple(f"case-{number}" for number in range(51))])
def test_an_officers_credential_names_its_cases(city: City, cases: tuple[str, ...]) -> None:
    with pytest.raises(InvalidError):
        credentials.add(city.folder, "officer", "park", cases)


async def test_the_command_gives_an_officer_a_user_and_a_consumer_and_takes_both_away(city: City) -> None:
    settings = Settings(data=city.folder)
    await asyncio.to_thread(commands.add, settings, "officer", "cho", ["case-1"], json=True)
    async with city.connected(city.operator) as operator:
        found = await request(operator, "$JS.API.CONSUMER.INFO.CASES.officer-cho")
        assert found["config"]["filter_subjects"] == ["city.case.case-1.>"]
        await asyncio.to_thread(commands.revoke, settings, "officer", "cho")
        assert "officer-cho" not in (await request(operator, "$JS.API.CONSUMER.NAMES.CASES"))["consumers"]
