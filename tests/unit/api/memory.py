"""The city in memory: real shard owners on memory stores, driven by each call, so that no task outlives a request."""

import itertools
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import polars as pl
import pyarrow as pa

from actors.archiving.rollups import rolled
from actors.archiving.shard import ShardArchiver
from actors.catalogue.context import CatalogueContext
from actors.commit import Asked
from actors.facility.context import FacilityContext
from actors.journal import UNANSWERED
from actors.person.context import PersonContext
from actors.population.context import PopulationContext
from actors.replay import load
from actors.road.context import RoadContext
from actors.shard import Shard
from actors.sighting.context import SightingContext
from schemas.archive import PERSONAL, ROLLUPS, TABLES
from schemas.base import Command, from_micros, micros
from schemas.errors import GoneError, InvalidError, NotFoundError, UnavailableError
from serve.backend import Answer, Feed, FeedItem, HistoryItem, Piece, Position, View, part_of
from serve.pictures.wire import to_bytes
from streams.archive import Reached
from streams.blobs import MemoryBlobs
from streams.feed import messages
from streams.ingest import Observed
from streams.log import SHARD_ENTITY, read_batches
from streams.log import Position as LogPosition
from streams.memory import MemoryIngest, MemoryStore, matches
from streams.rejected import RESUBMITTED, Rejected, Rejection
from streams.snapshots import Snapshots
from streams.subjects import partition
from tests.unit.api.searching import MemorySearch

START = datetime(2026, 1, 15, 3, tzinfo=UTC)
CONTEXTS = {
    "facility": FacilityContext,
    "road": RoadContext,
    "sighting": SightingContext,
    "person": PersonContext,
    "population": PopulationContext,
    "catalogue": CatalogueContext,
}
COUNTS = {"facility": 2, "road": 2, "sighting": 2, "person": 2, "population": 1, "catalogue": 1}


@dataclass
class Owned:
    shard: Shard[Any]
    store: MemoryStore
    ingest: MemoryIngest


class MemoryBackend:
    def __init__(self) -> None:
        self._clock = itertools.count(micros(START), 1000)
        self.feed_items: list[FeedItem] = []
        self.refused: list[Rejected] = []
        self.objects: dict[str, bytes] = {}
        self.search = MemorySearch()
        self.sequences = dict.fromkeys(COUNTS, 0)
        self.not_ready: dict[str, str] = {}
        self.stuck = False
        self._views: dict[str, tuple[Any, View]] = {}
        self.owned = {
            (context, number): self._own(context, number)
            for context, count in COUNTS.items()
            for number in range(count)
        }

    def _own(self, context: str, number: int) -> Owned:
        store = MemoryStore(f"LOG_{context.upper()}_{number}", self._micros)
        ingest = MemoryIngest([])
        snapshots = Snapshots(MemoryBlobs(), context, number)
        shard: Shard[Any] = Shard(CONTEXTS[context](), number, store, ingest, snapshots, self, self._micros)
        return Owned(shard, store, ingest)

    def _micros(self) -> int:
        return next(self._clock)

    async def start(self) -> "MemoryBackend":
        for owned in self.owned.values():
            await owned.shard.start()
        return self

    async def settle(self) -> None:
        for owned in self.owned.values():
            while await owned.shard.step():
                pass
            while (batch := owned.shard.feeding.take()) is not None:
                self._publish(batch)

    def _publish(self, batch: Any) -> None:
        for message in messages(batch):
            self.feed_items.append(FeedItem(len(self.feed_items) + 1, message.subject, message.headers, message.data))

    async def reject(self, context: str, rejections: Sequence[Rejection]) -> None:
        for one in rejections:
            self.refused.append(
                Rejected(
                    len(self.refused) + 1,
                    self._micros(),
                    context,
                    one.entity,
                    one.reason,
                    one.content_type,
                    one.sequence,
                    one.data,
                    truncated=False,
                    resubmitted=False,
                )
            )

    # What `serve.backend.Backend` asks for.

    def now(self) -> datetime:
        return from_micros(self._micros())

    def shards(self, context: str) -> int:
        return COUNTS[context]

    def pass_time(self, hours: float) -> None:
        self._clock = itertools.count(next(self._clock) + int(hours * 3.6e9), 1000)

    def view(self, context: str) -> View:
        shards = [owned.shard for (name, _), owned in self.owned.items() if name == context]
        version = tuple(shard.state.sequence for shard in shards)
        known, view = self._views.get(context, (None, None))
        if view is None or known != version:
            view = View.of(context, [shard.published() for shard in shards])
            self._views[context] = (version, view)
        return view

    async def view_at(self, context: str, as_of: datetime, entity: str | None) -> View:
        if as_of < START:
            raise GoneError("before the oldest snapshot")
        numbers = range(COUNTS[context]) if entity is None else [partition(entity, COUNTS[context])]
        published = []
        for number in numbers:
            owned = self.owned[context, number]
            was = owned.shard.state
            past = self._own(context, number).shard
            past.state = await load(CONTEXTS[context](), owned.store, owned.ingest, None, micros(as_of))
            assert past.state.sequence <= was.sequence
            published.append(past.published())
        return View.of(context, published)

    async def facts(self, tables: Sequence[str]) -> dict[str, pl.LazyFrame]:
        """All events and readings, as the archive's writer gives them."""
        found = {name: [TABLES[name].empty_table()] for name in ("events", "readings")}
        for (context, number), owned in self.owned.items():
            if context not in PERSONAL:
                snapshots = Snapshots(MemoryBlobs(), context, number)
                archiver = ShardArchiver(CONTEXTS[context](), number, owned.store, owned.ingest, snapshots)
                await archiver.open([Reached()])
                async for batch in read_batches(owned.store):
                    for name, rows in (await archiver.take(batch)).items():
                        found[name].append(rows)
        whole = {name: pa.concat_tables(rows) for name, rows in found.items()}
        whole |= {name: rolled(whole["readings"], every) for name, every in ROLLUPS.items()}
        return {name: pl.DataFrame(whole[name]).lazy() for name in tables}

    async def wait_for(self, position: Position, timeout_s: float) -> None:
        if self.stuck:
            raise UnavailableError(f"not there after {timeout_s} s")
        await self.settle()
        for piece in position:
            view = self.view(piece.context)
            reached = view.ingested if piece.ingest else view.positions
            if reached[piece.shard] < piece.sequence:
                raise UnavailableError(f"not there after {timeout_s} s")

    async def submit(
        self, commands: Sequence[Command], key: str | None, request_digest: str | None, trace: str = ""
    ) -> Answer:
        at = self._micros()
        if key is not None:
            await self.claim(key, request_digest or "")
        asked = []
        for command in commands:
            number = partition(command.entity, COUNTS[command.context])
            one = Asked(command, part_of(key, command), request_digest or "", at, trace=trace)
            self.owned[command.context, number].shard.submit(one)
            asked.append((command.context, number, one))
        await self.settle()
        entries = [(context, number, one.done.result()) for context, number, one in asked]
        last = {(context, number): entry.sequence for context, number, entry in entries}
        events = [event for *_, entry in entries for event in orjson.loads(entry.events)]
        pieces = tuple(Piece(context, number, sequence) for (context, number), sequence in last.items())
        return Answer(pieces, events, any(entry.repeated for *_, entry in entries))

    async def claim(self, key: str, request_digest: str, answer: str = "") -> str:
        asked = Asked(None, f"{key}#", request_digest, self._micros(), answer=answer)
        self.owned["facility", partition(key, COUNTS["facility"])].shard.submit(asked)
        await self.settle()
        events = asked.done.result().events
        return "" if events == UNANSWERED else events

    async def ingest(self, subject: str, headers: Mapping[str, str], data: bytes) -> tuple[str, int]:
        _, _, context, entity, kind = subject.split(".")
        self.sequences[context] += 1
        message = Observed(self.sequences[context], entity, kind, self._micros(), dict(headers), data)
        self.owned[context, partition(entity, COUNTS[context])].ingest.add(message)
        return f"INGEST_{context.upper()}", message.sequence

    async def history(self, context: str, entity: str, after: int, limit: int) -> list[HistoryItem]:
        store = self.owned[context, partition(entity, COUNTS[context])].store
        return [
            HistoryItem.of(one)
            async for one in store.read(after)
            if one.subject.split(".")[4] == entity and entity != SHARD_ENTITY
        ][:limit]

    async def feed(self, subjects: Sequence[str], last: int | None) -> Feed:
        """New events never come here: from now on is from the beginning."""
        if last is not None and last > len(self.feed_items):
            raise GoneError("the feed does not go on there")
        return Feed(last or 0, self._feed(subjects, last or 0))

    async def _feed(self, subjects: Sequence[str], after: int) -> AsyncGenerator[FeedItem, None]:
        for item in self.feed_items[after:]:
            if any(matches(pattern, item.subject) for pattern in subjects):
                yield item

    async def keep(self, context: str, shard: int, objects: Sequence[tuple[str, bytes]]) -> None:
        self.objects |= dict(objects)

    async def sweep(self, context: str, shard: int, held: Collection[str]) -> None: ...

    async def forget(self, context: str, shard: int, position: LogPosition) -> None: ...

    async def people(self, picture: bytes) -> bytes:
        if not picture.startswith(b"jpeg"):
            raise InvalidError("the picture cannot be read")
        return to_bytes([])

    async def put_object(self, name: str, data: bytes) -> None:
        self.objects[name] = data

    async def get_object(self, name: str) -> bytes | None:
        return self.objects.get(name)

    async def delete_object(self, name: str) -> None:
        self.objects.pop(name, None)

    async def rejected(self, entity: str | None, reason: str, after: int, limit: int) -> list[Rejected]:
        return [one for one in self.refused[after:] if entity in (None, one.entity) and reason in one.reason][:limit]

    async def resubmit(self, sequence: int) -> tuple[bool, Position]:
        if sequence > len(self.refused):
            raise NotFoundError("rejected input", str(sequence))
        one = self.refused[sequence - 1]
        headers = {RESUBMITTED: str(sequence)}
        _, at = await self.ingest(f"city.raw.{one.context}.{one.entity}.readings", headers, one.data)
        return True, (Piece(one.context, partition(one.entity, COUNTS[one.context]), at, True),)

    def ready(self) -> dict[str, str]:
        return self.not_ready

    async def metrics(self) -> bytes:
        return b"bomnae_up 1\n"
