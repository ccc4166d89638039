"""The log of one shard: records, atomic batches, commit records, and the protocol that every store implements.

A batch is written whole or not at all, and its **last record is the commit record** (`kind="committed"` or
`"claimed"`). A reader therefore folds a record only when the commit record of its batch has been read: an incomplete
tail, which a full disk can leave visible, is skipped by `read_batches`.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

MAX_BATCH = 1000
"""Records that JetStream accepts in one atomic batch (ADR-50), the commit record included."""

CLAIMED, COMMITTED = "claimed", "committed"
SHARD_ENTITY = "_shard"
"""Entity token of commit and claim records."""


@dataclass(slots=True)
class Record:
    """One stored fact. `sequence` and `stored_at` (µs UTC) are the log's own and 0 before it is stored.

    Nobody changes one; it is not frozen because making a frozen one takes four times as long.
    """

    subject: str
    type: str
    data: bytes
    id: str
    batch: str
    time: int
    headers: dict[str, str] = field(default_factory=dict)
    sequence: int = 0
    stored_at: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    """How far INGEST is folded: everything up to `sequence`, and `rows` rows of the message behind it."""

    sequence: int = 0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Commit:
    """What a commit record says.

    `start`/`end`: the range of INGEST folded; `clock`: µs UTC used for timers, 0 where no tick ran; `commands`: the
    journal of commands decided, with their keys; `digest`: of the state after it; `fed`: log sequence up to
    which the feed is known to be published.
    """

    kind: str
    context: str
    shard: int
    epoch: int
    number: int
    start: Position
    end: Position
    clock: int
    events: int
    digest: str
    fold_version: int
    fed: int
    commands: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> bytes:
        """The stored form."""
        return orjson.dumps(self)

    @classmethod
    def from_json(cls, data: bytes) -> "Commit":
        """Inverse of `to_json`."""
        fields = orjson.loads(data)
        return cls(**{**fields, "start": Position(**fields["start"]), "end": Position(**fields["end"])})


@dataclass(frozen=True, slots=True)
class Batch:
    """A complete batch: the events, then the commit that sealed them. `sequence` is the commit record's."""

    events: tuple[Record, ...]
    commit: Commit
    id: str
    sequence: int
    stored_at: int


class EventStore(Protocol):
    """The log of one shard.

    Owners call `last_sequence`, then `read`, then `append` in turn, each `append` with the sequence that the one
    before returned. Two owners may call at the same time: exactly one of two appends with the same `expected` lands.
    """

    name: str

    async def last_sequence(self) -> int:
        """Sequence of the newest record, 0 for an empty log. Read from the leader: sees every acknowledged append."""
        ...

    async def append(self, records: Sequence[Record], expected: int) -> int:
        """Append all records or none, and return the sequence of the last; durable when it returns.

        Raises `SequenceConflictError` when the newest sequence is not `expected`, `StorageFullError` when the stream
        is full (nothing stored in either case), `AppendTimeoutError` when the outcome is unknown.
        At most `MAX_BATCH` records, or `ValueError`.
        """
        ...

    def read(self, after: int = 0, subject: str | None = None) -> AsyncIterator[Record]:
        """Records with a sequence above `after` in order, up to the newest at the time of the call, then stop.

        `subject` filters (NATS wildcards). Yields records of incomplete batches too: fold through `read_batches`, and
        look at what is filtered through `sealed_alone`.
        Raises `LogGapError` when messages are missing between two unfiltered records.
        """
        ...

    async def sealed(self, record: Record) -> bool:
        """Whether a stored record belongs to a complete batch: whether the next commit or claim behind it seals it."""
        ...


async def sealed_alone(store: EventStore, records: Sequence[Record]) -> list[Record]:
    """Those of some stored events that belong to complete batches, for who has not read the commits."""
    by_batch = {record.batch: record for record in records}
    sealed = await asyncio.gather(*map(store.sealed, by_batch.values()))
    whole = {batch for batch, known in zip(by_batch, sealed, strict=True) if known}
    return [record for record in records if record.batch in whole]


async def read_batches(store: EventStore, after: int = 0) -> AsyncIterator[Batch]:
    """The complete batches behind `after` (the sequence of a commit record, or 0), in order.

    Records that no commit record of their own batch follows are skipped.
    """
    pending: list[Record] = []
    async for record in store.read(after):
        if pending and pending[0].batch != record.batch:
            pending = []
        if (batch := _sealed(pending, record)) is not None:
            yield batch
            pending = []
        else:
            pending.append(record)


def _sealed(pending: list[Record], record: Record) -> Batch | None:
    if not record.subject.endswith((f"{SHARD_ENTITY}.{COMMITTED}", f"{SHARD_ENTITY}.{CLAIMED}")):
        return None
    commit = Commit.from_json(record.data)
    if commit.events != len(pending):
        return None
    return Batch(tuple(pending), commit, record.batch, record.sequence, record.stored_at)
