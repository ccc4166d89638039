"""Live streams: the right audience, resumed where they were left, bounded per client."""

import asyncio

import httpx
import orjson
import pytest

from schemas.errors import GoneError
from serve.app import Config
from serve.backend import Feed, FeedItem
from serve.routes import live
from tests.unit.api.conftest import SAFETY, bearer


def events(text: str) -> list[tuple[str, dict]]:
    frames = [frame.split("\n") for frame in text.split("\n\n") if frame.startswith("id: ")]
    return [(lines[0][4:], orjson.loads(lines[2].removeprefix("data: "))) for lines in frames]


async def test_a_citizen_sees_the_public_feed_and_staff_theirs(city):
    await city.post("/v1/facilities/bridge-1/maintenance", json={"reason": "secret"}, headers=SAFETY)
    answer = await city.get("/v1/live")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "maintenance-begun" in answer.text
    assert "secret" not in answer.text
    assert "secret" not in (await city.get("/v1/live", headers=bearer("citizen"))).text
    assert "secret" in (await city.get("/v1/live", headers=bearer("staff"))).text


async def test_the_data_of_an_event_is_a_cloud_event(city):
    _, event = events((await city.get("/v1/live?event=road-registered&entity=alley")).text)[0]
    assert event["specversion"] == "1.0"
    assert event["type"] == "city.road.road-registered.v1"
    assert event["subject"] == "alley"
    assert event["synthetic"] is True
    assert event["data"]["facts"]["rank"] == "108"


async def test_a_stream_resumes_behind_the_last_event(city):
    seen = events((await city.get("/v1/live")).text)
    rest = events((await city.get("/v1/live", headers={"last-event-id": seen[1][0]})).text)
    assert rest == seen[2:]


@pytest.mark.parametrize("last", [b"x", b"", b"-1", b"\xb2", "１".encode(), b"9" * 19])
async def test_what_is_no_id_of_an_event_is_422(city, last):
    answer = await city.get("/v1/live", headers={"last-event-id": last})
    assert (answer.status_code, "Last-Event-ID" in answer.json()["detail"]) == (422, True)


async def test_an_event_that_the_feed_has_not_reached_is_410(city):
    assert (await city.get("/v1/live", headers={"last-event-id": "9999"})).status_code == 410


async def test_filters_narrow_the_stream(city):
    found = events((await city.get("/v1/live?context=road")).text)
    assert {event["type"].split(".")[1] for _, event in found} == {"road"}
    found = events((await city.get("/v1/live?entity=bridge-2")).text)
    assert {event["subject"] for _, event in found} == {"bridge-2"}


async def test_streams_per_client_are_bounded_and_given_back(make_app, backend):
    waiting = asyncio.Event()

    async def endless(subjects, last):
        async def items():
            await waiting.wait()
            for _ in ():
                yield FeedItem(1, "city.pub.x", {}, b"{}")

        return Feed(0, items())

    backend.feed = endless
    app = make_app(Config(live_per_client=2, live_per_staff=3))
    transport = httpx.ASGITransport(app, client=("10.0.0.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://city") as client:
        open_streams = [asyncio.create_task(client.get("/v1/live")) for _ in range(2)]
        await asyncio.sleep(0.05)
        third = await client.get("/v1/live")
        assert third.status_code == 429
        assert third.headers["retry-after"] == "10"
        waiting.set()
        assert [one.status_code for one in await asyncio.gather(*open_streams)] == [200, 200]
        assert (await client.get("/v1/live")).status_code == 200


async def test_silence_is_filled_with_comments_and_the_stream_ends_with_the_token(monkeypatch):
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.01)

    async def silence():
        await asyncio.Event().wait()
        yield FeedItem(1, "city.pub.x", {}, b"{}")

    frames = [frame async for frame in live._events(Feed(7, silence()), 0.1)]
    assert frames[0] == b"retry: 2000\nid: 7\n: open\n\n"
    assert len(frames) > 3
    assert set(frames[1:]) == {b": still here\n\n"}


async def test_a_reader_who_falls_too_far_behind_is_told(monkeypatch):
    async def breaking():
        yield FeedItem(1, "city.pub.x", {"ce-type": "t"}, b'{"a":\n1}')
        raise GoneError("too far behind")

    frames = [frame async for frame in live._events(Feed(0, breaking()), None)]
    assert frames[1].startswith(b"id: 1\nevent: t\ndata: ")
    assert frames[1].count(b"\n") == 4
    assert frames[-1] == b'event: error\ndata: {"detail":"too far behind"}\n\n'


@pytest.mark.parametrize("staff", [True, False])
def test_what_a_client_closes_it_may_open_again(staff):
    streams = live.Streams(1, 1, 1)
    for _ in range(3):
        streams.enter("kim", staff)
        streams.leave("kim")
    assert not streams._open
