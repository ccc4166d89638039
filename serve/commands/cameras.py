"""`bomnae cameras`: sightings from a video file or from cameras' snapshots, encoded here and sent through NATS."""

import asyncio
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import aiohttp
import pyarrow as pa

from schemas.base import micros
from schemas.errors import InvalidError
from schemas.settings import Settings
from serve.commands.instance import connected
from serve.commands.terminal import out, progress
from serve.pictures.cards import cards
from serve.pictures.decode import Decoder, frames
from serve.pictures.encoder import Encoder
from serve.pictures.sandbox import Pixels
from streams.connectors.cameras import Manners, Snapshots, Source, send, watch


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


async def video(settings: Settings, path: Path, camera: str, start: datetime, step: int) -> None:
    """Send the sightings of a video file that began at `start`, every `step`-th frame, as fast as it can be encoded.

    Sent again, the same file counts once. Raises `InvalidError` for a file that is no video.
    """
    encoder, begin, began, rows, read = Encoder.of(settings), micros(start), time.monotonic(), 0, 0
    _tell(settings)

    def timed() -> Iterator[tuple[int, Pixels]]:
        nonlocal read
        for frame in frames(path, step):
            read += 1
            yield begin + frame.at_us, frame.pixels

    async with connected(settings, "cameras") as connection:
        tables = encoder.session(timed(), camera)
        with progress() as bars:
            bar = bars.add_task("sightings", total=None)
            while (table := await asyncio.to_thread(next, tables, None)) is not None:
                await send(table, camera, connection.observe)
                rows += table.num_rows
                bars.update(bar, completed=rows)
    took = time.monotonic() - began
    out.print(f"{read:,} frames, {rows:,} sightings of {camera}, {read / took:.1f} frames/s", markup=False)


async def snapshots(settings: Settings, cameras: list[Source]) -> None:
    """Ask the cameras until Ctrl-C. One that fails is asked less and less often, and does not hold up the others."""
    encoder, decoder, turn_taken, stop = Encoder.of(settings), Decoder(), asyncio.Lock(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    _tell(settings)

    async def turn(camera: str, picture: bytes, at: datetime) -> pa.Table:
        pixels = await asyncio.to_thread(decoder.decode, picture)
        async with turn_taken:
            return await asyncio.to_thread(encoder.sightings, [pixels], camera, [micros(at)])

    try:
        async with (
            connected(settings, "cameras") as connection,
            aiohttp.ClientSession(auto_decompress=False) as session,
        ):
            manners = Manners(bytes=decoder.limits.bytes)
            taking = [Snapshots(session, source, manners) for source in cameras]
            out.print(f"{len(taking)} cameras; Ctrl-C ends it", markup=False)
            await watch(taking, turn, connection.observe, stop)
    finally:
        decoder.close()
    out.print(", ".join(f"{one.source.camera}: {one.taken} snapshots" for one in taking), markup=False)


def _tell(settings: Settings) -> None:
    for card in cards(settings)[:3]:
        out.print(f"{card.kind}: {card.id}{' (weak)' if card.weak else ''}, {card.licence}", markup=False)
