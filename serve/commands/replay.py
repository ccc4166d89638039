"""`bomnae replay`: recorded real input through NATS and into the shards, as a city would upload it."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.table import Table

from schemas.base import Command, from_micros, micros
from schemas.errors import InvalidError
from schemas.settings import Settings
from schemas.tables import BAD
from serve import positions
from serve.backend import Piece
from serve.commands.calls import calls
from serve.commands.client import Api
from serve.commands.heard import Heard
from serve.commands.instance import connected, shards_of
from serve.commands.terminal import err, out, progress
from serve.pictures.cards import GALLERY_FACES
from streams import codec, rejected, subjects
from streams.api import request
from streams.connection import Connection
from streams.connectors import cameras
from streams.connectors import faces as gallery
from streams.connectors import montreal as planif_neige
from streams.connectors import openlab as load_test
from streams.connectors.feeder import to_stream
from streams.connectors.pacing import Pace, paced, shifted, slices

BY = "replay"
ROWS_PER_MESSAGE = 5_000
_BRIDGE = f"/v1/facilities/{load_test.FACILITY}"
_TOLD = 5
"""Reasons of rejected input that are printed."""
_SLICE_S = 0.2
"""Seconds of the clock between two messages of a paced replay."""
_FEED_S = 0.5
"""The feed is published behind the commit: how long the last events may take to get here."""


def pace_of(speed: str) -> Pace:
    """`recorded`, `max`, or a factor as the command line gives it. Raises `InvalidError` for anything else."""
    try:
        return Pace({"recorded": 1.0, "max": None}[speed] if speed in ("recorded", "max") else float(speed))
    except ValueError as error:
        raise InvalidError(f"--speed is `recorded`, `max` or a number above 0, not {speed!r}") from error


def files(source: Path, pattern: str) -> list[Path]:
    """The file named, or those in a folder that fit the pattern, sorted. Raises `InvalidError` where there is none."""
    found = sorted(source.glob(pattern)) if source.is_dir() else [source]
    if not found or not found[0].is_file():
        raise InvalidError(f"{source} is neither a file nor a folder with {pattern}")
    return found


def messages(readings: pa.Table, pace: Pace) -> Iterator[tuple[int, pa.Table]]:
    """Readings as messages of at most `ROWS_PER_MESSAGE` rows, each with the time (µs) of its last reading. Pure."""
    if pace.speed is None:
        for part in load_test.chunks(readings, ROWS_PER_MESSAGE):
            yield part["time"].cast(pa.int64())[-1].as_py(), part
        return
    for at, rows in slices(readings, max(1.0, _SLICE_S * pace.speed)):
        for part in load_test.chunks(rows, ROWS_PER_MESSAGE):
            yield at, part


async def openlab(settings: Settings, source: Path, speed: str, shift: bool) -> bool:
    """Register the bridge, send its readings, wait until all are folded, and print what the city made of them.

    Without `shift` a second run sends the same identities, which count as duplicates; with it, each run is a recording
    of its own. To the city it is a later boot of the sensors, so an older recording that it had not seen at all, or
    before two later ones, is rejected. Returns whether every reading was accounted for; the rest is printed, with why.
    """
    pace, now = pace_of(speed), datetime.now(UTC)
    (path,) = files(source, "openlab_tidy_*.csv")[:1]
    readings = load_test.read(path, boot=int(now.timestamp()) if shift else 0)
    times = readings["time"].cast(pa.int64())
    moved = pace.shift(times[0].as_py(), times[-1].as_py(), micros(now)) if shift else 0
    readings = shifted(readings, moved)
    async with _replay(settings, "facility", load_test.FACILITY) as replay:
        before = await replay.registered_at(load_test.commands(now, BY), _BRIDGE)
        subject = subjects.raw("facility", load_test.FACILITY, subjects.READINGS)
        with progress() as bars:
            bar = bars.add_task("readings", total=readings.num_rows)
            async for part in paced(messages(readings, pace), pace, time.monotonic, asyncio.sleep):
                await replay.send(subject, codec.ARROW, to_stream(part.combine_chunks().to_batches()[0]))
                bars.advance(bar, part.num_rows)
        state = await replay.settled(_BRIDGE)
        missing = readings.num_rows - (_accounted(state) - _accounted(before))
        await replay.tell()
        if missing:
            await replay.tell_rejected(f"{missing:,} of {readings.num_rows:,} readings do not count")
    begin, end = (from_micros(times[index].as_py() + moved) for index in (0, -1))
    out.print(f"{readings.num_rows:,} readings of {len(load_test.CHANNELS)} sensors, {begin:%F %T} to {end:%F %T} UTC")
    out.print(f"source: {load_test.ATTRIBUTION}", markup=False)
    bad = pc.value_counts(pc.cast(readings.filter(pc.equal(readings["quality"], BAD))["sensor"], pa.string()))
    faults = ", ".join(f"{one['values']} {one['counts']:,}" for one in bad.to_pylist())
    out.print(f"faults in the recording (outside the instrument's range, marked bad): {faults or 'none'}", markup=False)
    table = Table("sensor", "unit", "counted", "bad", "duplicates", "min", "max", "level now")
    for one in state["sensors"]:
        figures = (f"{one[name]:,}" for name in ("count", "bad", "duplicates"))
        low, high = (f"{one[name]:.4g}" if one[name] is not None else "–" for name in ("min", "max"))
        table.add_row(one["sensor"], one["unit"], *figures, low, high, one["level"])
    out.print(table)
    out.print(f"risk of {load_test.FACILITY}: {state['risk']}; open alarms: {len(state['alarms'])}", markup=False)
    if missing and not shift:
        err.print("after a replay with --shift the recorded times are old: replay with --shift, or into another --data")
    return not missing


def _accounted(facility: Any) -> int:
    """Readings that its sensors know: counted, bad, or seen before."""
    return sum(one["count"] + one["bad"] + one["duplicates"] for one in facility["sensors"])


async def montreal(settings: Settings, source: Path, speed: str, shift: bool) -> None:
    """Register the streets of all polls, send each poll's changes, wait until they are folded, and print the state."""
    pace, now = pace_of(speed), datetime.now(UTC)
    polls, findings = planif_neige.read_polls(files(source, "montreal_planif_neige_*.csv"), now if shift else None)
    registrations = planif_neige.register_commands(polls, now, BY)
    async with _replay(settings, "road") as replay:
        await replay.register(registrations)
        with progress() as bars:
            bar = bars.add_task("polls", total=len(polls))
            previous = None
            timed = ((micros(poll.taken_at), poll) for poll in polls)
            async for poll in paced(timed, pace, time.monotonic, asyncio.sleep):
                for road, payload in planif_neige.messages(poll, previous):
                    await replay.send(subjects.raw("road", road, subjects.CLEARING), codec.JSON, payload)
                previous = poll
                bars.advance(bar)
        states: Counter[str] = Counter()
        for command in registrations:
            found = await replay.settled("/v1/roads", road=command.road)
            states.update(str(one["properties"]["clearing"]) for one in found["features"])
        await replay.tell()
    first, last = polls[0].taken_at, polls[-1].taken_at
    out.print(f"{findings.polls} polls, {first:%F %T} to {last:%F %T} UTC, {findings.rows:,} rows")
    odd = {name: count for name, count in asdict(findings).items() if name not in ("polls", "rows")}
    out.print("in the files: " + ", ".join(f"{name} {count:,}" for name, count in odd.items()), markup=False)
    told = ", ".join(f"{state} {count:,}" for state, count in states.most_common())
    out.print(f"{sum(states.values()):,} street sides on {len(registrations)} roads now: {told}", markup=False)


async def faces(settings: Settings, source: Path, hold_out: int, until: datetime | None) -> None:
    """Register the cameras, send the embeddings as sightings up to `until` (now), and print where the last ones are.

    The `hold_out` last photographs of each person are kept back, to search with. Sent again, each counts once.
    """
    found, now = gallery.read(source), datetime.now(UTC)
    tables = gallery.sightings(found, GALLERY_FACES, until or now, hold_out)
    async with _replay(settings, "sighting") as replay:
        await replay.register(gallery.commands(now, BY))
        before = _counted(await replay.api.get("/v1/cameras"))
        for camera, table in tables.items():
            await cameras.send(table, camera, replay.observe)
        counted = _counted(await replay.settled("/v1/cameras")) - before
    rows = sum(table.num_rows for table in tables.values())
    out.print(f"registered: {replay.registered} events new", markup=False)
    out.print(f"{rows} sightings sent, {counted} counted; model {GALLERY_FACES}", markup=False)
    out.print(f"source: {gallery.ATTRIBUTION}", markup=False)


def _counted(found: Any) -> int:
    return sum(one["sightings"] for one in found["items"] if one["camera"] in gallery.CAMERAS)


@dataclass(slots=True)
class _Replay:
    """A replay under way."""

    connection: Connection
    api: Api
    context: str
    shards: int
    rejected_before: int
    """Sequence of REJECTED when it began."""
    heard: Heard = field(default_factory=Heard)
    registered: int = 0
    sent: dict[int, int] = field(default_factory=dict)
    """Newest sequence of INGEST by shard."""
    sequences: set[int] = field(default_factory=set)
    """All of them."""

    async def register(self, commands: Sequence[Command]) -> str:
        """Make the city know the entities; what it knows already changes nothing. The position of the last."""
        position = ""
        with progress() as bars:
            for call in bars.track(calls(commands), description="registering"):
                position, events = await self.api.send([call])
                self.registered += events
        return position

    async def registered_at(self, commands: Sequence[Command], path: str) -> Any:
        """The same, and a read over HTTP that holds it."""
        return await self.api.get(path, min_position=await self.register(commands))

    async def send(self, subject: str, content_type: str, data: bytes) -> None:
        """Publish one message; durable when this returns."""
        await self.observe(subject, {codec.CONTENT_TYPE: content_type}, data)

    async def observe(self, subject: str, headers: Mapping[str, str], data: bytes) -> None:
        """The same, with the headers of the caller."""
        sequence = await self.connection.observe(subject, headers, data)
        self.sent[subjects.partition(subject.split(".")[3], self.shards)] = sequence
        self.sequences.add(sequence)

    async def settled(self, path: str, **query: str) -> Any:
        """A read over HTTP that holds everything sent."""
        pieces = tuple(Piece(self.context, shard, sequence, True) for shard, sequence in self.sent.items())
        return await self.api.get(path, min_position=positions.encode(pieces), **query)

    async def tell(self) -> None:
        """Print the events heard: alarms and risks one by one, others by their number."""
        await asyncio.sleep(_FEED_S)
        out.print(f"registered: {self.registered} events new", markup=False)
        for line in self.heard.tell():
            out.print(f"heard  {line}", markup=False)
        counts = ", ".join(f"{count:,} {name}" for name, count in self.heard.counts.most_common())
        out.print(f"heard in all: {counts or 'no event, nothing has changed'}", markup=False)

    async def tell_rejected(self, what: str) -> None:
        """Print what of the input sent does not count, and why the city rejected it."""
        err.print(what, markup=False)
        kept = await rejected.listing(self.connection.nc, self.rejected_before, limit=len(self.sequences) + _TOLD)
        reasons = [one.reason for one in kept if one.context == self.context and one.ingest_sequence in self.sequences]
        for reason in reasons[:_TOLD]:
            err.print(f"  {reason}", markup=False)
        if len(reasons) > _TOLD:
            err.print(f"  the same or more in {len(reasons) - _TOLD} other messages: see /v1/rejected", markup=False)


@asynccontextmanager
async def _replay(settings: Settings, context: str, entity: str = "*") -> AsyncIterator[_Replay]:
    async with connected(settings, "replay") as connection, Api(settings, BY) as api:
        shards = (await shards_of(connection, settings))[context]
        before = (await request(connection.nc, f"$JS.API.STREAM.INFO.{subjects.REJECTED}"))["state"]["last_seq"]
        replay = _Replay(connection, api, context, shards, before)
        await replay.heard.listen(connection, context, entity)
        yield replay
