"""What the routes need of the city behind them: one protocol, so that the app is the same in a test and on Serve."""

from collections.abc import AsyncGenerator, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import polars as pl
import pyarrow as pa

from actors.context import Published
from schemas.base import Command
from schemas.registry import read_event
from schemas.tables import PUBLISHED
from serve.search.protocol import Search
from streams.codec import SYNTHETIC
from streams.log import Record
from streams.rejected import Rejected


def part_of(key: str | None, command: Command) -> str:
    """The key of one command of a request under `key`, none without: by its entity, whatever stands beside it."""
    return "" if key is None else f"{key}#{command.entity}"


class Piece(NamedTuple):
    """A place in one shard's history: a sequence of its LOG, or, with `ingest`, of its context's INGEST."""

    context: str
    shard: int
    sequence: int
    ingest: bool = False


Position = tuple[Piece, ...]
"""What a write answers with and a read can wait for; opaque outside (`serve.positions`)."""


class Tables(Mapping[str, pa.Table]):
    """The tables of several shards by name, each concatenated (without copying) when first asked for."""

    __slots__ = ("_context", "_joined", "_parts")

    def __init__(self, context: str, parts: Sequence[Mapping[str, pa.Table]]) -> None:
        self._context, self._parts, self._joined = context, parts, dict[str, pa.Table]()

    def __getitem__(self, name: str) -> pa.Table:
        if name not in self._joined:
            schema = PUBLISHED[self._context][name]
            tables = [part[name] for part in self._parts if name in part]
            self._joined[name] = pa.concat_tables(tables) if tables else schema.empty_table()
        return self._joined[name]

    def __iter__(self) -> Iterator[str]:
        return iter(PUBLISHED[self._context])

    def __len__(self) -> int:
        return len(PUBLISHED[self._context])


@dataclass(frozen=True, slots=True)
class View:
    """The state of a context's shards, immutable. Two views of one context with equal `version` read the same."""

    context: str
    tables: Tables
    positions: Mapping[int, int]
    ingested: Mapping[int, int]
    version: Hashable

    @classmethod
    def of(cls, context: str, published: Sequence[Published]) -> "View":
        """A view of what shards published. Keep it while nothing newer came: it caches the joined tables."""
        shards = sorted(published, key=lambda one: one.shard)
        return cls(
            context,
            Tables(context, [one.tables for one in shards]),
            {one.shard: one.position for one in shards},
            {one.shard: one.ingested for one in shards},
            tuple((one.shard, one.position, one.clock) for one in shards),
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What a write led to: where it is on disk, and the events (`type` beside the fields), none if it was already so.

    `repeated`: the Idempotency-Key was known and this is the first answer again.
    """

    position: Position
    events: list[dict[str, Any]] = field(default_factory=list)
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class FeedItem:
    """One message of FEED. `id` is what `Last-Event-ID` resumes behind; `headers` are those of CloudEvents."""

    id: int
    subject: str
    headers: Mapping[str, str]
    data: bytes


class Feed(NamedTuple):
    """A live stream of feed messages; they follow the message `last`, whether that was one of them or not."""

    last: int
    items: AsyncGenerator[FeedItem, None]


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One stored event of an entity, in the newest version of its type. `time` is µs UTC.

    `synthetic`: it tells of something made up.
    """

    sequence: int
    id: str
    type: str
    time: int
    data: dict[str, Any]
    synthetic: bool = False

    @classmethod
    def of(cls, record: Record) -> "HistoryItem":
        """The stored event that a record of the log holds."""
        event, synthetic = read_event(record.type, record.data), SYNTHETIC in record.headers
        return cls(record.sequence, record.id, event.type, record.time, event.model_dump(mode="json"), synthetic)


class Backend(Protocol):
    """The city as the routes see it. Errors are `schemas.errors`; `UnavailableError` while a part is away."""

    def now(self) -> datetime:
        """The clock of the edge, UTC: what `at` of a command is stamped with."""
        ...

    def shards(self, context: str) -> int:
        """Number of shards of a context."""
        ...

    def view(self, context: str) -> View:
        """The newest published state of all shards; no await, no actor call, the same object while nothing is newer.

        Raises `UnavailableError` until every shard has published once.
        """
        ...

    async def view_at(self, context: str, as_of: datetime, entity: str | None) -> View:
        """The state at a past moment: of all shards, or with `entity` of the shard that holds it alone.

        Raises `GoneError` before the oldest snapshot. A moment in the future is the present.
        """
        ...

    async def wait_for(self, position: Position, timeout_s: float) -> None:
        """Return as soon as `view` holds everything up to `position`. Raises `UnavailableError` after `timeout_s`."""
        ...

    async def submit(
        self, commands: Sequence[Command], key: str | None, request_digest: str | None, trace: str = ""
    ) -> Answer:
        """Decide commands, each in its shard, in order within a shard; all durable when it returns.

        With a key each is to another entity. `trace` is the `traceparent` that their events carry on.

        With a `key` (scoped to the principal), a repeat with the same digest gives the first answer, from any replica
        and after a restart; with another digest `IdempotencyConflictError`. Raises what the decider raises.
        """
        ...

    async def claim(self, key: str, request_digest: str, answer: str = "") -> str:
        """Claim a key for a request that is no command; with `answer` (JSON), keep what it was answered with.

        The answer that was kept first, empty where there is none yet; durable when it returns. Raises
        `IdempotencyConflictError` where the key is another request's.
        """
        ...

    async def ingest(self, subject: str, headers: Mapping[str, str], data: bytes) -> tuple[str, int]:
        """Publish observations on a `city.raw` subject; the stream and sequence they are stored at, durable then."""
        ...

    async def history(self, context: str, entity: str, after: int, limit: int) -> list[HistoryItem]:
        """At most `limit` events of an entity behind log sequence `after`, in order; empty at the end."""
        ...

    async def feed(self, subjects: Sequence[str], last: int | None) -> Feed:
        """Open a live stream of feed messages on subjects (wildcards): new ones, or all behind the id `last`.

        Raises `GoneError` where what follows `last` is no longer kept, or `last` is not of this feed.
        The caller closes the items (`aclose`). Bounded: a reader who falls too far behind meets `GoneError` in the
        iteration.
        """
        ...

    async def rejected(self, entity: str | None, reason: str, after: int, limit: int) -> list[Rejected]:
        """At most `limit` items of refused input behind sequence `after`, oldest first.

        Of one entity or all, and with `reason` those whose reason contains it.
        """
        ...

    async def resubmit(self, sequence: int) -> tuple[bool, Position]:
        """Publish refused input again, and where it stands then; False where that was done before.

        Raises `NotFoundError`, or `ConflictError` where only a part of it was kept.
        """
        ...

    async def facts(self, tables: Sequence[str]) -> Mapping[str, pl.LazyFrame]:
        """These tables of `schemas.archive` with everything that has happened, each row once, lazily.

        Raises `UnavailableError` while the archive's writer still reads the logs.
        """
        ...

    @property
    def search(self) -> Search:
        """The sightings. Raises `UnavailableError` where no search runs."""
        ...

    async def people(self, picture: bytes) -> bytes:
        """Who is in a camera's picture, as `serve.pictures.wire` has it; keeps nothing.

        Raises `InvalidError` for what is no picture or too large a one, `UnavailableError` where no encoder runs.
        """
        ...

    async def put_object(self, name: str, data: bytes) -> None:
        """Store an object durably under a name; safe to repeat."""
        ...

    async def get_object(self, name: str) -> bytes | None:
        """The object of that name; None where there is none."""
        ...

    async def delete_object(self, name: str) -> None:
        """Delete an object; safe to repeat."""
        ...

    def ready(self) -> dict[str, str]:
        """The parts that are not ready, with the reason; empty when all are."""
        ...

    async def metrics(self) -> bytes:
        """Prometheus text of every process of Ray on the node, with key figures of nats-server."""
        ...
