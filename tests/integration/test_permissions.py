"""Every permission is attacked over NATS and WebSocket, beside what it allows; MQTT has its own file."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError

from streams import backup as backups
from streams import credentials
from streams.api import request
from streams.server import EmbeddedServer
from tests.integration.city import City, deaf, opened, refused

OWN = "city.raw.facility.bridge-1.readings"
LOG = "city.log.facility.0.bridge-1.alarm-raised"
ALARM = "city.pub.facility.bridge-1.alarm-raised"
STAFF_ALARM = "city.staff.facility.bridge-1.alarm-raised"
LISTENERS = pytest.mark.parametrize("websocket", [False, True], ids=["nats", "websocket"])


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    with EmbeddedServer(tmp_path_factory.mktemp("city")) as server:
        yield City(server)


async def stored(city: City, stream: str) -> int:
    async with city.connected(city.operator) as operator:
        return int((await request(operator, f"$JS.API.STREAM.INFO.{stream}"))["state"]["last_seq"])


def create(user: str, filter_subject: str | None, **more: object) -> bytes:
    config: dict[str, object] = {"name": user, "ack_policy": "explicit", "inactive_threshold": 5_000_000_000, **more}
    if filter_subject:
        config["filter_subject"] = filter_subject
    return json.dumps({"stream_name": "FEED", "config": config}).encode()


async def answer(nc: Client, subject: str, body: bytes = b"") -> dict[str, object]:
    reply: dict[str, object] = json.loads((await nc.request(subject, body, timeout=2)).data)
    return reply


@LISTENERS
async def test_a_device_publishes_on_its_own_subject_and_learns_that_it_is_stored(city: City, websocket: bool) -> None:
    async with city.connected(city.device, websocket) as device:
        assert "seq" in await answer(device, OWN, b"{}")


@LISTENERS
@pytest.mark.parametrize(
    "subject",
    [
        "city.raw.facility.bridge-2.readings",
        "city.raw.facility.bridge-1.gw-north",
        "city.raw.road.main-road.clearing",
        "city.in.0.facility.bridge-1.readings",
        LOG,
        ALARM,
        STAFF_ALARM,
        "city.rejected.facility.bridge-1",
        "$JS.API.STREAM.PURGE.INGEST_FACILITY",
        "$JS.API.STREAM.DELETE.$MQTT_sess",
        "$JS.API.INFO",
        "_INBOX_device-meter-2.x",
    ],
)
async def test_a_device_publishes_nowhere_else(city: City, websocket: bool, subject: str) -> None:
    async with city.connected(city.device, websocket) as device:
        assert await refused(device, subject, b"x")


@pytest.mark.parametrize(
    "subject", [">", "city.>", "city.raw.>", "city.pub.>", "_INBOX.>", "_INBOX_device-meter-2.>", "$JS.>", "$MQTT.>"]
)
async def test_a_device_hears_nothing_but_its_own_inbox(city: City, subject: str) -> None:
    async with city.connected(city.device) as device:
        assert await deaf(device, subject)
        assert not await deaf(device, "_INBOX_device-meter-1.x")


@pytest.mark.parametrize(
    "target",
    [
        LOG,
        ALARM,
        "city.raw.facility.bridge-2.readings",
        "city.rejected.facility.bridge-1",
        "$JS.API.STREAM.PURGE.LOG_FACILITY_0",
        "$JS.API.STREAM.DELETE.FEED",
    ],
)
async def test_an_acknowledgement_cannot_be_aimed_at_another_subject(city: City, target: str) -> None:
    streams = ["LOG_FACILITY_0", "LOG_FACILITY_1", "FEED", "REJECTED"]
    before = [await stored(city, stream) for stream in streams]
    ingested = await stored(city, "INGEST_FACILITY")
    async with city.connected(city.device) as device:
        await device.publish(OWN, b"{}", reply=target)
        await device.flush()
        assert await answer(device, OWN, b"{}") == {"stream": "INGEST_FACILITY", "seq": ingested + 2}
    await asyncio.sleep(0.1)
    assert [await stored(city, stream) for stream in streams] == before
    assert await stored(city, "INGEST_FACILITY") == ingested + 2


async def test_a_gateway_speaks_in_its_own_name_for_any_facility_and_for_its_roads(city: City) -> None:
    async with city.connected(city.gateway) as gateway:
        for subject in ("city.raw.facility.bridge-1.gw-north", "city.raw.facility.bridge-9.gw-north"):
            assert (await answer(gateway, subject, b"{}"))["stream"] == "INGEST_FACILITY"
        assert (await answer(gateway, "city.raw.road.main-road.clearing", b"[]"))["stream"] == "INGEST_ROAD"
        for subject in (OWN, "city.raw.facility.bridge-1.gw-south", "city.raw.road.other-road.clearing", LOG):
            assert await refused(gateway, subject)


@LISTENERS
async def test_an_app_hears_live_public_events_and_no_others(city: City, websocket: bool) -> None:
    async with city.connected(city.host) as host, city.connected(city.app, websocket) as app:
        heard = await app.subscribe("city.pub.>")
        await app.flush()
        for subject in (STAFF_ALARM, ALARM):
            await host.jetstream().publish(subject, b"now")
        assert (await heard.next_msg(timeout=2)).subject == ALARM
        for subject in ("city.staff.>", "city.>", ">", "city.log.>", "city.raw.>", "_INBOX.>", "_INBOX_app-signs.>"):
            assert await deaf(app, subject)


@LISTENERS
async def test_an_app_reads_past_public_events_through_its_own_consumer(city: City, websocket: bool) -> None:
    async with city.connected(city.host) as host, city.connected(city.app, websocket) as app:
        for subject in (STAFF_ALARM, ALARM):
            await host.jetstream().publish(subject, b"then")
        made = await answer(app, "$JS.API.CONSUMER.CREATE.FEED.app-map.city.pub.>", create("app-map", "city.pub.>"))
        assert "error" not in made
        feed = await app.jetstream().pull_subscribe_bind("app-map", stream="FEED")
        messages = await feed.fetch(10, timeout=1)
        assert messages
        assert {m.subject for m in messages} == {ALARM}
        await messages[0].ack_sync(timeout=2)
        assert "error" not in await answer(app, "$JS.API.CONSUMER.DELETE.FEED.app-map")


async def test_an_app_may_have_its_consumer_push_to_its_inbox(city: City) -> None:
    async with city.connected(city.host) as host, city.connected(city.app) as app:
        await host.jetstream().publish(ALARM, b"pushed")
        inbox = app.new_inbox()
        heard = await app.subscribe(inbox)
        body = create("app-map", "city.pub.>", deliver_subject=inbox, ack_policy="none")
        assert "error" not in await answer(app, "$JS.API.CONSUMER.CREATE.FEED.app-map.city.pub.>", body)
        assert (await heard.next_msg(timeout=2)).subject == ALARM
        await answer(app, "$JS.API.CONSUMER.DELETE.FEED.app-map")


async def test_a_consumer_whose_body_names_another_filter_is_refused(city: City) -> None:
    async with city.connected(city.app) as app:
        for other in ("city.staff.>", "city.>", ">", None):
            body = create("app-map", other)
            reply = await answer(app, "$JS.API.CONSUMER.CREATE.FEED.app-map.city.pub.>", body)
            assert "error" in reply, other


@pytest.mark.parametrize("user", ["app", "staff"])
@pytest.mark.parametrize(
    "subject",
    [
        "$JS.API.CONSUMER.CREATE.FEED",
        "$JS.API.CONSUMER.CREATE.FEED.{me}",
        "$JS.API.CONSUMER.CREATE.FEED.{me}.city.>",
        "$JS.API.CONSUMER.CREATE.FEED.app-signs.city.pub.>",
        "$JS.API.CONSUMER.DURABLE.CREATE.FEED.{me}",
        "$JS.API.CONSUMER.CREATE.LOG_FACILITY_0.{me}.city.pub.>",
        "$JS.API.CONSUMER.MSG.NEXT.FEED.app-signs",
        "$JS.API.CONSUMER.DELETE.FEED.app-signs",
        "$JS.API.CONSUMER.LIST.FEED",
        "$JS.API.STREAM.MSG.GET.FEED",
        "$JS.API.DIRECT.GET.FEED",
        "$JS.API.DIRECT.GET.FEED.city.staff.facility.bridge-1.alarm-raised",
        "$JS.API.STREAM.CREATE.MINE",
        "$JS.API.STREAM.UPDATE.FEED",
        "$JS.API.STREAM.DELETE.FEED",
        "$JS.API.STREAM.PURGE.FEED",
        "$JS.API.STREAM.MSG.DELETE.FEED",
        "$JS.API.STREAM.INFO.FEED",
        "$JS.CITY.API.CONSUMER.CREATE.FEED",
        "$JS.ACK.FEED.app-signs.1.1.1.1.0",
        "$SYS.REQ.SERVER.PING",
        ALARM,
        STAFF_ALARM,
        LOG,
        OWN,
        "_INBOX_app-signs.x",
    ],
)
async def test_an_app_asks_and_says_nothing_else(city: City, user: str, subject: str) -> None:
    credential = getattr(city, user)
    async with city.connected(credential) as app:
        assert await refused(app, subject.format(me=credential.user), b"{}")


async def test_an_app_may_not_read_the_staff_feed_by_any_consumer(city: City) -> None:
    async with city.connected(city.app) as app:
        assert await refused(
            app, "$JS.API.CONSUMER.CREATE.FEED.app-map.city.staff.>", create("app-map", "city.staff.>")
        )


@pytest.mark.parametrize("target", [LOG, OWN, ALARM, "city.rejected.facility.bridge-1"])
async def test_a_consumer_that_delivers_elsewhere_writes_into_no_stream(city: City, target: str) -> None:
    async with city.connected(city.host) as host, city.connected(city.app) as app:
        await host.jetstream().publish(ALARM, b"x")
        streams = ["LOG_FACILITY_0", "LOG_FACILITY_1", "INGEST_FACILITY", "FEED", "REJECTED"]
        before = [await stored(city, stream) for stream in streams]
        subject = "$JS.API.CONSUMER.CREATE.FEED.app-map.city.pub.>"
        body = create("app-map", "city.pub.>", deliver_subject=target, ack_policy="none")
        await answer(app, subject, body)
        # The answers themselves, too, can be aimed: at a stream, or at the door to the original feed.
        for reply in (target, "$JS.CITY.API.CONSUMER.CREATE.FEED", "$JS.API.STREAM.PURGE.FEED"):
            await app.publish(subject, body, reply=reply)
        await app.flush()
        await asyncio.sleep(0.2)
        assert [await stored(city, stream) for stream in streams] == before
        assert (await request(host, "$JS.API.CONSUMER.NAMES.FEED"))["consumers"] in (None, [])
        await answer(app, "$JS.API.CONSUMER.DELETE.FEED.app-map")


async def test_an_answer_aimed_at_a_live_subject_has_no_event_id_and_reaches_no_public_listener(city: City) -> None:
    async with (
        city.connected(city.app) as app,
        city.connected(city.other_app) as other,
        city.connected(None) as nobody,
        city.connected(city.host) as host,
    ):
        heard = [await listener.subscribe("city.pub.>") for listener in (other, nobody, host)]
        await asyncio.gather(other.flush(), nobody.flush(), host.flush())
        await app.publish("$JS.API.CONSUMER.INFO.FEED.app-map", b"", reply=ALARM)
        await app.flush()
        assert "ce-id" not in ((await heard[0].next_msg(timeout=2)).headers or {})
        for outside in heard[1:]:
            with pytest.raises(NatsTimeoutError):
                await outside.next_msg(timeout=0.2)


async def test_a_staff_app_reads_both_audiences(city: City) -> None:
    async with city.connected(city.host) as host, city.connected(city.staff) as staff:
        heard = await staff.subscribe("city.staff.>")
        await staff.flush()
        await host.jetstream().publish(STAFF_ALARM, b"x")
        assert (await heard.next_msg(timeout=2)).subject == STAFF_ALARM
        body = create("staff-app-desk", "city.staff.>")
        assert "error" not in await answer(staff, "$JS.API.CONSUMER.CREATE.FEED.staff-app-desk.city.staff.>", body)
        feed = await staff.jetstream().pull_subscribe_bind("staff-app-desk", stream="FEED")
        assert {m.subject for m in await feed.fetch(10, timeout=1)} == {STAFF_ALARM}


@LISTENERS
async def test_who_gives_no_name_hears_live_public_events_only(city: City, websocket: bool) -> None:
    async with city.connected(city.host) as host, city.connected(None, websocket) as nobody:
        heard = await nobody.subscribe("city.pub.>")
        await nobody.flush()
        await host.jetstream().publish(ALARM, b"x")
        assert (await heard.next_msg(timeout=2)).subject == ALARM
        for subject in (">", "city.staff.>", "_INBOX.>", "$SYS.>", "$JS.>"):
            assert await deaf(nobody, subject)
        for subject in (ALARM, OWN, "$JS.API.INFO", "$JS.API.CONSUMER.CREATE.FEED.x.city.pub.>", "_INBOX.x"):
            assert await refused(nobody, subject)


async def test_a_shard_host_writes_the_log_but_cannot_delete_from_it(city: City) -> None:
    async with city.connected(city.host) as host:
        sequence = (await host.jetstream().publish(LOG, b"x")).seq
        reply = await answer(host, "$JS.API.STREAM.MSG.DELETE.LOG_FACILITY_0", json.dumps({"seq": sequence}).encode())
        assert "error" in reply
        assert "error" in await answer(host, "$JS.API.STREAM.PURGE.LOG_FACILITY_0")
        assert await refused(host, "$SYS.REQ.SERVER.PING")


CASE = "city.log.person.0.case-1.search-recorded"
SEEN = "city.raw.sighting.cam-1.sightings"
HIT = "city.case.case-1.watch-hit"
OF_PERSONS = ("LOG_PERSON_0", "LOG_SIGHTING_0", "INGEST_SIGHTING", "CASES", "OBJ_SNAPSHOTS")


async def test_an_operator_that_is_given_out_sees_how_full_streams_are_and_hears_what_is_no_secret_to_it(
    city: City,
) -> None:
    async with city.connected(city.host) as host, city.connected(city.handed_operator) as operator:
        heard = [await operator.subscribe(f"city.{audience}.>") for audience in ("pub", "staff", "rejected")]
        await operator.flush()
        for subject in (ALARM, STAFF_ALARM, "city.rejected.facility.bridge-1"):
            await host.jetstream().publish(subject, b"x")
        assert [(await one.next_msg(timeout=2)).data for one in heard] == [b"x"] * 3
        listed = await answer(operator, "$JS.CITY.API.STREAM.LIST")
        names = {one["config"]["name"] for one in listed["streams"]}  # type: ignore[attr-defined]
        assert {"FEED", *OF_PERSONS} <= names
        assert "error" not in await answer(operator, "$JS.CITY.API.STREAM.INFO.FEED")
        got = await answer(operator, "$JS.CITY.API.STREAM.MSG.GET.REJECTED", b'{"last_by_subj": "city.rejected.>"}')
        assert "error" not in got


@pytest.mark.parametrize("stream", OF_PERSONS)
@pytest.mark.parametrize(
    "asked",
    [
        "STREAM.INFO.{stream}",
        "STREAM.MSG.GET.{stream}",
        "DIRECT.GET.{stream}",
        "STREAM.SNAPSHOT.{stream}",
        "STREAM.PURGE.{stream}",
        "CONSUMER.NAMES.{stream}",
        "CONSUMER.LIST.{stream}",
        "CONSUMER.CREATE.{stream}",
        "CONSUMER.CREATE.{stream}.ops.>",
        "CONSUMER.DURABLE.CREATE.{stream}.ops",
        "CONSUMER.MSG.NEXT.{stream}.ops",
    ],
)
async def test_an_operator_that_is_given_out_asks_nothing_of_a_stream_with_persons(
    city: City, stream: str, asked: str
) -> None:
    async with city.connected(city.handed_operator) as operator:
        for prefix in ("$JS.API", "$JS.CITY.API"):
            assert await refused(operator, f"{prefix}.{asked.format(stream=stream)}", b"{}")


@pytest.mark.parametrize(
    "subject",
    [
        "$JS.CITY.API.STREAM.CREATE.COPY",
        "$JS.CITY.API.STREAM.UPDATE.FEED",
        "$JS.CITY.API.STREAM.RESTORE.COPY",
        "$JS.CITY.API.STREAM.DELETE.REJECTED",
        "$JS.CITY.API.CONSUMER.CREATE.FEED.ops.>",
        "$JS.CITY.API.DIRECT.GET.REJECTED",
        CASE,
        SEEN,
        HIT,
        ALARM,
        "$SYS.REQ.SERVER.PING",
    ],
)
async def test_an_operator_that_is_given_out_copies_no_stream_and_says_nothing(city: City, subject: str) -> None:
    async with city.connected(city.handed_operator) as operator:
        assert await refused(operator, subject, b"{}")


@pytest.mark.parametrize(
    "subject", [">", "city.>", "city.case.>", "city.log.>", "city.raw.>", "city.in.>", "$JS.>", "_INBOX.>", "$O.>"]
)
async def test_an_operator_that_is_given_out_hears_nothing_of_persons(city: City, subject: str) -> None:
    async with city.connected(city.handed_operator) as operator:
        assert await deaf(operator, subject)


@pytest.mark.parametrize(
    "target", ["$JS.API.CONSUMER.CREATE.LOG_PERSON_0", "$JS.API.STREAM.PURGE.FEED", CASE, SEEN, HIT]
)
async def test_an_answer_to_an_operator_cannot_be_aimed_into_the_city(city: City, target: str) -> None:
    async with city.connected(city.host) as host, city.connected(city.handed_operator) as operator:
        await host.jetstream().publish("city.rejected.facility.bridge-1", b"{}")
        streams = ["LOG_PERSON_0", "INGEST_SIGHTING", "CASES"]
        before = [await stored(city, stream) for stream in streams]
        heard = await host.subscribe("city.>")
        await host.flush()
        wanted = b'{"last_by_subj": "city.rejected.>"}'
        await operator.publish("$JS.CITY.API.STREAM.MSG.GET.REJECTED", wanted, reply=target)
        await operator.publish("$JS.CITY.API.STREAM.LIST", b"", reply=target)
        await operator.flush()
        with pytest.raises(NatsTimeoutError):
            await heard.next_msg(timeout=0.3)
        assert [await stored(city, stream) for stream in streams] == before
        assert (await request(host, "$JS.API.CONSUMER.NAMES.LOG_PERSON_0"))["consumers"] in (None, [])


async def test_a_backup_credential_copies_every_stream(city: City, tmp_path: Path) -> None:
    async with city.connected(city.host) as host, city.connected(city.backup) as backup:
        await host.jetstream().publish(CASE, b"x")
        manifest = await backups.backup(backup, tmp_path / "copy")
    assert set(OF_PERSONS) <= {one.name for one in manifest.streams}


@pytest.mark.parametrize(
    ("user", "password"), [("device-meter-1", "wrong"), ("device-nobody", "x"), ("operator-local", "")]
)
async def test_a_wrong_password_opens_nothing(city: City, user: str, password: str) -> None:
    with pytest.raises(NatsError):
        async with opened(city.server.url, user=user, password=password):
            pass


async def test_a_host_may_not_come_in_through_the_websocket(city: City) -> None:
    with pytest.raises(NatsError):
        async with city.connected(city.host, websocket=True) as host:
            await host.flush()


@LISTENERS
async def test_a_revoked_user_is_cut_off_at_once_and_others_stay(city: City, websocket: bool) -> None:
    name = f"fleeting-{websocket}".lower()
    credential = credentials.add(city.folder, "device", name, ("bridge-1",))
    async with city.connected(credential, websocket) as device, city.connected(city.device) as other:
        assert "seq" in await answer(device, OWN, b"{}")
        credentials.revoke(city.folder, "device", name)
        await asyncio.sleep(0.2)
        assert device.is_closed
        assert "seq" in await answer(other, OWN, b"{}")
    with pytest.raises(NatsError):
        async with city.connected(credential, websocket) as device:
            await device.flush()
