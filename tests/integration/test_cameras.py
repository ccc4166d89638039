"""Snapshots from cameras of every sort: good, unchanged, broken, hanging, endless, redirecting."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pyarrow as pa
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from nats.aio.client import Client
from nats.js.api import ConsumerConfig

from schemas.errors import InvalidError, UnavailableError
from schemas.models import ModelCard
from schemas.settings import Settings
from schemas.sighting import SIGHTINGS
from serve.auth import Principal, Verifier
from serve.commands import cameras as command
from serve.commands.encoders import Here, OfCity
from serve.pictures.decode import Frame
from serve.pictures.encoder import Encoder
from serve.pictures.follow import Follower, Looks
from serve.pictures.track import Detection, Tracker
from serve.pictures.wire import to_bytes
from serve.secret import ensure_secret
from streams import subjects
from streams.connection import Access, Connection
from streams.connectors.cameras import Manners, Snapshots, Source, messages, send, watch
from streams.server import EmbeddedServer
from streams.topology import Topology, ensure_streams
from tests.integration.conftest import SMALL
from tests.unit.pictures.fakes import BLUE, RED, MeanColour, Rectangles, street
from tests.unit.pictures.samples import encoded
from tests.unit.pictures.shared import DETECTOR, ENCODER, VIDEO, needs_models, needs_video

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
HASTE = Manners(timeout_s=0.5, bytes=200_000, longest_pause_s=0.2)


@asynccontextmanager
async def camera(handler: Handler, every_s: float = 0.02) -> AsyncIterator[Snapshots]:
    app = web.Application()
    app.router.add_get("/snapshot.jpg", handler)
    async with TestServer(app) as server, aiohttp.ClientSession(auto_decompress=False) as session:
        yield Snapshots(session, Source("cam-1", str(server.make_url("/snapshot.jpg")), every_s), HASTE)


async def test_a_snapshot_is_taken() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=b"picture")

    async with camera(handler) as one:
        assert await one.fetch() == b"picture"
        assert await one.fetch() is None  # the very same bytes


@pytest.mark.parametrize(("told", "asked"), [("ETag", "If-None-Match"), ("Last-Modified", "If-Modified-Since")])
async def test_an_unchanged_picture_is_not_sent_again(told: str, asked: str) -> None:
    value = {"ETag": '"7"', "Last-Modified": "Mon, 23 Nov 2026 10:00:00 GMT"}[told]
    bodies = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal bodies
        if request.headers.get(asked) == value:
            return web.Response(status=304)
        bodies += 1
        return web.Response(body=b"picture", headers={told: value})

    async with camera(handler) as one:
        assert [await one.fetch() for _ in range(3)] == [b"picture", None, None]
        assert bodies == 1


async def giant(_: web.Request) -> web.Response:
    return web.Response(body=bytes(300_000))


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(1_000):
        await response.write(bytes(10_000))
    return response


async def hanging(_: web.Request) -> web.Response:
    await asyncio.sleep(5)
    return web.Response()


async def cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"x" * 10)
    assert request.transport is not None
    request.transport.close()
    return response


async def failing(_: web.Request) -> web.Response:
    return web.Response(status=500)


async def redirecting(_: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/secret"})


async def squeezed(_: web.Request) -> web.Response:
    return web.Response(body=b"x", headers={"Content-Encoding": "gzip"})


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (giant, InvalidError),
        (endless, InvalidError),
        (hanging, UnavailableError),
        (cut, UnavailableError),
        (failing, UnavailableError),
        (redirecting, UnavailableError),
        (squeezed, UnavailableError),
    ],
)
async def test_bad_answers_are_clear_errors(handler: Handler, error: type[Exception]) -> None:
    async with camera(handler) as one:
        with pytest.raises(error, match="camera cam-1"):
            await one.fetch()


async def test_a_camera_that_is_away_is_a_clear_error() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(UnavailableError, match="cam-1 does not answer"):
            await Snapshots(session, Source("cam-1", "http://127.0.0.1:1/x", 1), HASTE).fetch()


def test_the_pause_doubles_with_failures_up_to_the_longest() -> None:
    one = Snapshots(None, Source("cam-1", "http://x", 2.0), Manners(longest_pause_s=60))  # type: ignore[arg-type]
    assert (one.pause_s(0.5), one.pause_s(9.0)) == (1.5, 0.0)
    told = []
    for failures in (1, 2, 3, 10, 10_000):
        one.failures = failures
        told.append(one.pause_s(0.5))
    assert told == [4.0, 8.0, 16.0, 60.0, 60.0]


async def test_a_camera_is_never_asked_twice_at_once_and_comes_back_after_failures() -> None:
    asked, now, most = 0, 0, 0
    enough = asyncio.Event()

    async def handler(_: web.Request) -> web.Response:
        nonlocal asked, now, most
        asked, now = asked + 1, now + 1
        most = max(most, now)
        try:
            await asyncio.sleep(0.03)  # longer than the interval
            return web.Response(status=500) if asked in (2, 3) else web.Response(body=b"picture %d" % asked)
        finally:
            now -= 1

    taken: list[bytes] = []

    async def turn(_: str, picture: bytes, at: datetime) -> pa.Table:
        assert at.tzinfo is UTC
        taken.append(picture)
        if len(taken) == 4:
            enough.set()
        return SIGHTINGS.empty_table()

    async def publish(*_: object) -> None:
        raise AssertionError("there is nothing to publish")

    async with camera(handler, every_s=0.01) as one:
        await asyncio.wait_for(watch([one], turn, publish, enough), 10)
        assert (one.failures, one.taken) == (0, 4)
    assert most == 1
    assert taken == [b"picture 1", b"picture 4", b"picture 5", b"picture 6"]


@pytest.fixture
async def here() -> AsyncIterator[Here]:
    """Real decoding in a child process; the networks are fakes."""
    async with Here(Settings(), Encoder(Rectangles(), MeanColour(), None)) as made:
        yield made


class Sent:
    """What was published."""

    def __init__(self) -> None:
        self.subjects: list[str] = []
        self.tables: list[pa.Table] = []

    async def publish(self, subject: str, headers: object, data: bytes) -> None:
        self.subjects.append(subject)
        self.tables.append(pa.ipc.open_stream(data).read_all())

    @property
    def colours(self) -> list[str]:
        return sorted(row["upper"] for table in self.tables for row in table["attributes"].to_pylist())


async def test_people_in_snapshots_become_one_sighting_each_on_the_cameras_subject(here: Here) -> None:
    """Broken pictures between good ones harm nobody."""
    served = [street((50, RED), (200, BLUE)), None, street((50, RED), (202, BLUE)), street((52, RED), (204, BLUE))]
    number, stop, sent = 0, asyncio.Event(), Sent()

    async def handler(_: web.Request) -> web.Response:
        nonlocal number
        if number >= len(served):
            stop.set()
        pixels = served[min(number, len(served) - 1)]
        number += 1
        return web.Response(body=b"\xff\xd8\xff broken" if pixels is None else encoded(pixels))

    async with camera(handler) as one:
        await asyncio.wait_for(command.Watching(here, [one.source], sent.publish).run([one], stop), 30)
        assert one.taken == 3
    assert set(sent.subjects) == {subjects.raw("sighting", "cam-1", "sightings")}
    assert sent.tables[0].schema == SIGHTINGS
    assert sent.colours == ["blue", "red"]


async def test_one_who_was_seen_once_is_told_soon_though_the_camera_falls_silent(here: Here) -> None:
    asked, stop, sent = 0, asyncio.Event(), Sent()

    async def handler(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if asked > 1:
            await asyncio.sleep(60)
        return web.Response(body=encoded(street((50, RED))))

    async with camera(handler) as one:
        watching = asyncio.create_task(command.Watching(here, [one.source], sent.publish).run([one], stop))
        async with asyncio.timeout(10):
            while not sent.tables:
                await asyncio.sleep(0.05)
        stop.set()
        await watching
    assert sent.colours == ["red"]


@asynccontextmanager
async def city_of(handler: Handler, folder: Path) -> AsyncIterator[OfCity]:
    app = web.Application()
    app.router.add_post("/v1/encodings", handler)
    async with TestServer(app) as server, OfCity(Settings(data=folder), str(server.make_url(""))) as made:
        yield made


async def test_the_citys_encoder_is_asked_as_a_gateway_and_answers_who_is_in_the_picture(
    here: Here, tmp_path: Path
) -> None:
    told: list[Principal] = []

    async def handler(request: web.Request) -> web.Response:
        bearer = request.headers["authorization"].removeprefix("Bearer ")
        told.append(await Verifier(ensure_secret(Settings(data=tmp_path))).verify(bearer, time.time()))
        return web.Response(body=to_bytes(await here.people(await request.read())))

    async with city_of(handler, tmp_path) as people:
        picture = encoded(street((50, RED), (200, BLUE)))
        found, known = await people.people(picture), await here.people(picture)
    assert [one.box for one in found] == [one.box for one in known]
    assert len(found) == 2
    assert (told[0].roles, told[0].gateway) == ({"gateway"}, "cameras")


@pytest.mark.parametrize(
    ("status", "error", "why"),
    [
        (422, InvalidError, "cannot be read"),
        (413, InvalidError, "cannot be read"),
        (401, UnavailableError, "refuses this instance's token"),
        (503, UnavailableError, "cannot be read"),
    ],
)
async def test_a_refusal_of_the_citys_encoder_is_a_clear_error(
    tmp_path: Path, status: int, error: type[Exception], why: str
) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.json_response({"detail": "the picture cannot be read"}, status=status)

    async with city_of(handler, tmp_path) as people:
        with pytest.raises(error, match=why):
            await people.people(b"x")


async def test_without_a_city_the_error_says_what_to_do(tmp_path: Path) -> None:
    async with OfCity(Settings(data=tmp_path), "http://127.0.0.1:1") as people:
        with pytest.raises(UnavailableError, match="start the city, or encode here with --local"):
            await people.people(b"x")
        with pytest.raises(UnavailableError, match="start the city"):
            await people.models()


async def test_a_film_is_followed_in_its_order_though_several_frames_are_encoded_at_once(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = [street((10 + 3 * n, RED), (250 - 3 * n, BLUE)) for n in range(20)]
    at_once = most = 0

    class Uneven:
        async def models(self) -> list[ModelCard]:
            return []

        async def people(self, picture: bytes) -> list[Detection[Looks]]:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.03 if len(picture) % 2 else 0)
            at_once -= 1
            return await here.people(picture)

    monkeypatch.setattr(
        command, "frames", lambda path, step: (Frame(100_000 * n, pixels) for n, pixels in enumerate(shown))
    )
    film = command.Film(Path("street.avi"), 1, 0)
    follower: Follower[Looks] = Follower("cam-1", list, Tracker())
    tables = [table async for table in command.filmed(film, Uneven(), follower)]
    assert sum(table.num_rows for table in tables) == 2
    assert (film.read, most > 1) == (20, True)


@needs_models
@needs_video
async def test_a_video_file_goes_through_nats_and_counts_once(
    nats_server: EmbeddedServer, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ensure_streams(operator, Topology({"facility": 1, "road": 1, "sighting": 1, "person": 1}, max_mb=SMALL))
    access = Access((nats_server.url,), "", "")

    @asynccontextmanager
    async def connected(*_: object) -> AsyncIterator[Connection]:
        yield Connection(operator, access)

    monkeypatch.setattr(command, "connected", connected)
    settings = Settings(person_detector=DETECTOR, person_encoder=ENCODER)
    start = datetime(2026, 1, 15, tzinfo=UTC)
    told = []
    for _ in range(2):
        await command.video(settings, VIDEO, "cam-1", start, step=5, local=True)
        config = ConsumerConfig(filter_subject="city.in.0.sighting.cam-1.sightings", ack_policy="none")
        consumer = await operator.jetstream().pull_subscribe("", stream="INGEST_SIGHTING", config=config)
        rows = [pa.ipc.open_stream(msg.data).read_all() for msg in await consumer.fetch(1_000, timeout=2)]
        told.append(pa.concat_tables(rows))
    assert 20 <= told[0].num_rows <= 90
    assert told[1].num_rows == 2 * told[0].num_rows
    assert set(told[1]["sighting_id"].to_pylist()) == set(told[0]["sighting_id"].to_pylist())
    assert {time.as_py().date() for time in told[0]["time"]} == {start.date()}


async def test_sightings_are_split_to_fit_into_messages() -> None:
    frames = [street((50, RED), (200, BLUE))] * 5
    times = [n * 5_000_000 for n in range(5)]
    table = Encoder(Rectangles(), MeanColour(), None).sightings(frames, "cam-1", times)
    parts = [pa.ipc.open_stream(data).read_all() for data in messages(table, most=6_000)]
    assert len(parts) > 1
    assert pa.concat_tables(parts).equals(table)
    assert list(messages(SIGHTINGS.empty_table())) == []

    async def refuse(*_: object) -> None:
        raise UnavailableError("full")

    with pytest.raises(UnavailableError):
        await send(table, "cam-1", refuse)
