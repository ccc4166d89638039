"""`bomnae cameras`: sightings from a video file or from cameras' snapshots, sent through NATS.

The city's encoder finds the people in each picture, this process follows them from picture to picture.
"""

import asyncio
import logging
import signal
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import aiohttp
import pyarrow as pa

from schemas.base import micros
from schemas.errors import BomnaeError, InvalidError, UnavailableError
from schemas.models import ModelCard
from schemas.settings import Settings
from serve.commands.encoders import Here, OfCity, People
from serve.commands.instance import connected
from serve.commands.terminal import out, progress
from serve.pictures.cards import cards
from serve.pictures.decode import frames, jpeg
from serve.pictures.encoder import Encoder
from serve.pictures.follow import GAP_US, Follower, Looks, for_snapshots
from serve.pictures.sandbox import Limits, Pixels
from serve.pictures.track import Detection, Tracker
from streams.connectors.cameras import Manners, Publish, Snapshots, Source, send, watch

logger = logging.getLogger(__name__)
T = TypeVar("T")

AT_ONCE = 8
"""Frames of a film that are at the city's encoder at once."""
PATIENCE_S, LOOK_S = 60.0, 1.0


def sources(urls: list[str], ids: list[str], every_s: float) -> list[Source]:
    """One camera for each URL, in order. Raises `InvalidError` where they do not fit together, or for other schemes."""
    if len(urls) != len(ids) or len(set(ids)) != len(ids):
        raise InvalidError("name one --camera, each its own, for every --url")
    if wrong := [url for url in urls if not url.startswith(("http://", "https://"))]:
        raise InvalidError(f"{wrong[0]} is no http or https URL")
    if not every_s > 0:
        raise InvalidError("--every must be above 0 seconds")
    return [Source(camera, url, every_s) for camera, url in zip(ids, urls, strict=True)]


def moment(text: str) -> datetime:
    """A moment with its zone. Raises `InvalidError` for anything else."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = datetime.min  # noqa: DTZ901 - without a zone, so refused below
    if found.tzinfo is None:
        raise InvalidError(f"a moment comes with its zone, as 2026-01-15T09:00:00+09:00, not {text!r}")
    return found


async def video(settings: Settings, path: Path, camera: str, start: datetime, step: int, *, local: bool) -> None:
    """Send the sightings of a video file that began at `start`, every `step`-th frame, as fast as it can be encoded.

    With `local` this process encodes, else the city. Sent again, the same file counts once. Raises `InvalidError` for a
    file that is no video, `UnavailableError` where the city's encoder does not answer for a minute.
    """
    began, rows = time.monotonic(), 0
    film = Film(path, step, micros(start))
    async with connected(settings, "cameras") as connection, AsyncExitStack() as stack:
        if local:
            tables = _threaded(Encoder.of(settings).session(film.pixels(), camera))
            _tell(cards(settings))
        else:
            people = await stack.enter_async_context(OfCity(settings))
            tables = filmed(film, people, Follower(camera, list, Tracker[Looks](GAP_US)))
            _tell(await people.models())
        with progress() as bars:
            bar = bars.add_task("sightings", total=None)
            async for table in tables:
                await send(table, camera, connection.observe)
                rows += table.num_rows
                bars.update(bar, completed=rows)
    took = time.monotonic() - began
    out.print(f"{film.read:,} frames, {rows:,} sightings of {camera}, {film.read / took:.1f} frames/s", markup=False)


class Film:
    """The frames of a video file with their times; `read` counts them."""

    def __init__(self, path: Path, step: int, begin_us: int) -> None:
        self._path, self._step, self._begin_us, self.read = path, step, begin_us, 0

    def pixels(self) -> Iterator[tuple[int, Pixels]]:
        """Time in µs and pixels. Raises as `frames`."""
        for frame in frames(self._path, self._step):
            self.read += 1
            yield self._begin_us + frame.at_us, frame.pixels

    def pictures(self) -> Iterator[tuple[int, bytes]]:
        """Time in µs and the frame as a JPEG."""
        for at_us, pixels in self.pixels():
            yield at_us, jpeg(pixels, Limits().bytes, Limits().longest, quality=95)


async def filmed(film: Film, people: People, follower: Follower[Looks]) -> AsyncIterator[pa.Table]:
    """The sightings of a film: several frames at the encoder at once, followed in their order."""
    under_way: deque[tuple[int, asyncio.Task[list[Detection[Looks]]]]] = deque()
    try:
        async for at_us, picture in _threaded(film.pictures()):
            under_way.append((at_us, asyncio.create_task(_patiently(people, picture))))
            if len(under_way) == AT_ONCE:
                at, asked = under_way.popleft()
                yield follower.add(at, await asked)
        while under_way:
            at, asked = under_way.popleft()
            yield follower.add(at, await asked)
        yield follower.finish()
    finally:
        for _, asked in under_way:
            asked.cancel()


async def _patiently(people: People, picture: bytes) -> list[Detection[Looks]]:
    """Wait for an encoder that is starting or busy."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await people.people(picture)
        except UnavailableError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(1)


async def _threaded(items: Iterator[T]) -> AsyncIterator[T]:
    """Each made in a thread; what does not wait keeps nobody waiting."""
    while (item := await asyncio.to_thread(next, items, None)) is not None:
        yield item


async def snapshots(settings: Settings, cameras: list[Source], *, local: bool) -> None:
    """Ask the cameras until Ctrl-C. One that fails is asked less and less often, and does not hold up the others.

    With `local` this process encodes, one picture at a time; else the city. Raises `UnavailableError` where it does not
    answer at the start.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with (
        connected(settings, "cameras") as connection,
        aiohttp.ClientSession(auto_decompress=False) as session,
        Here(settings) if local else OfCity(settings) as people,
    ):
        _tell(await people.models())
        taking = [Snapshots(session, source, Manners(bytes=Limits().bytes)) for source in cameras]
        out.print(f"{len(taking)} cameras; Ctrl-C ends it", markup=False)
        await Watching(people, cameras, connection.observe).run(taking, stop)
    out.print(", ".join(f"{one.source.camera}: {one.taken} snapshots" for one in taking), markup=False)


class Watching:
    """Follows people through the snapshots of some cameras, each camera for itself, and publishes their sightings."""

    def __init__(self, people: People, cameras: list[Source], publish: Publish) -> None:
        self._people, self._publish = people, publish
        self._followers = {one.camera: Follower(one.camera, list, for_snapshots(one.every_s)) for one in cameras}

    async def run(self, taking: list[Snapshots], stop: asyncio.Event) -> None:
        """Take snapshots until `stop`, and send what is left then."""
        async with asyncio.TaskGroup() as group:
            group.create_task(watch(taking, self.turn, self._publish, stop))
            group.create_task(self._end_in_time(stop))
        for camera, follower in self._followers.items():
            await self._send(camera, follower.finish())

    async def turn(self, camera: str, picture: bytes, at: datetime) -> pa.Table:
        """The sightings that have ended by a snapshot. Raises as `People.people`."""
        return self._followers[camera].add(micros(at), await self._people.people(picture))

    async def _end_in_time(self, stop: asyncio.Event) -> None:
        """A camera that falls silent, or shows the same picture for long, must not keep its last sightings back."""
        while not stop.is_set():
            now = micros(datetime.now(UTC))
            for camera, follower in self._followers.items():
                await self._send(camera, follower.until(now))
            try:
                async with asyncio.timeout(LOOK_S):
                    await stop.wait()
            except TimeoutError:
                continue

    async def _send(self, camera: str, sightings: pa.Table) -> None:
        try:
            await send(sightings, camera, self._publish)
        except BomnaeError as error:
            logger.warning("%d sightings of camera %s are lost: %s", sightings.num_rows, camera, error)


def _tell(shown: list[ModelCard]) -> None:
    for card in shown[:3]:
        out.print(f"{card.kind}: {card.id}{' (weak)' if card.weak else ''}, {card.licence}", markup=False)
