"""The log and the ingest of one shard in memory: the same contracts as JetStream, for unit tests and simulations."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from schemas.errors import SequenceConflictError
from streams.ingest import Observed, take_upto
from streams.log import MAX_BATCH, SHARD_ENTITY, Position, Record


class MemoryStore:
    """An `EventStore` in a list. `clock` gives the time of storage in µs UTC."""

    def __init__(self, name: str = "LOG_MEMORY_0", clock: Callable[[], int] = lambda: 0) -> None:
        self.name = name
        self.records: list[Record] = []
        self._clock = clock

    async def last_sequence(self) -> int:
        """See `EventStore`."""
        return len(self.records)

    async def append(self, records: Sequence[Record], expected: int) -> int:
        """See `EventStore`."""
        if not 0 < len(records) <= MAX_BATCH:
            raise ValueError(f"an atomic batch holds 1 to {MAX_BATCH} records, not {len(records)}")
        if expected != len(self.records):
            raise SequenceConflictError(self.name, expected)
        now = self._clock()
        self.records += [
            replace(record, sequence=expected + number, stored_at=now) for number, record in enumerate(records, 1)
        ]
        return len(self.records)

    async def read(self, after: int = 0, subject: str | None = None) -> AsyncIterator[Record]:
        """See `EventStore`."""
        for record in self.records[after:]:
            if subject is None or matches(subject, record.subject):
                yield record

    async def sealed(self, record: Record) -> bool:
        """See `EventStore`."""
        behind = self.records[record.sequence :]
        return next((one.batch == record.batch for one in behind if f".{SHARD_ENTITY}." in one.subject), False)


class MemoryIngest:
    """An `IngestSource` over a list that several owners may share; `add` is what a publisher would do."""

    def __init__(self, messages: list[Observed]) -> None:
        self.messages = messages
        self._next = 0
        self._wake = asyncio.Event()

    def add(self, message: Observed) -> None:
        """Store one more message; sequences must rise."""
        self.messages.append(message)
        self._wake.set()

    async def open(self, after: Position, wake: asyncio.Event) -> None:
        """See `IngestSource`."""
        self._wake = wake
        self._next = sum(1 for message in self.messages if message.sequence <= after.sequence)
        wake.set()

    def pull(self, limit: int) -> list[Observed]:
        """See `IngestSource`."""
        taken = self.messages[self._next : self._next + limit]
        self._next += len(taken)
        return taken

    @property
    def caught_up(self) -> bool:
        """See `IngestSource`."""
        return self._next >= len(self.messages)

    @property
    def waiting(self) -> int:
        """See `IngestSource`."""
        return max(len(self.messages) - self._next, 0)

    async def replay(self, after: Position) -> "MemoryReplay":
        """See `IngestSource`."""
        return MemoryReplay(self.messages, after)

    async def close(self) -> None:
        """See `IngestSource`."""


class MemoryReplay:
    """An `IngestReplay` over a list."""

    def __init__(self, messages: list[Observed], after: Position) -> None:
        self._after = after.sequence
        self._left = deque(message for message in messages if message.sequence > after.sequence)

    async def upto(self, end: Position) -> list[Observed]:
        """See `IngestReplay`."""
        taken = take_upto(self._left, self._after, end, "INGEST_MEMORY")
        self._after = end.sequence
        return taken

    async def close(self) -> None:
        """See `IngestReplay`."""


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject matches a NATS pattern (`*` one token, `>` the rest)."""
    wanted, given = pattern.split("."), subject.split(".")
    for index, word in enumerate(wanted):
        if word == ">":
            return len(given) > index
        if index >= len(given) or word not in ("*", given[index]):
            return False
    return len(wanted) == len(given)
