"""Idempotency keys of a shard: what was asked under which key, and the first answer, for 24 hours.

The journal is rebuilt from the commit records and kept in snapshots, so a repeat after a restart, or through another
replica, gives the first answer.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import orjson
import pyarrow as pa

from schemas.errors import IdempotencyConflictError

KEPT = 24 * 3600 * 1_000_000
UNANSWERED = "[]"


@dataclass(slots=True)
class Entry:
    """The answer to one keyed command: its events as JSON, at log `sequence` (0 until committed).

    A claim, which is no command, has `UNANSWERED`, until it is given what its request was answered with, as JSON.
    `repeated` marks a first answer that is given again.
    """

    digest: str
    at: int
    sequence: int = 0
    events: str = UNANSWERED
    repeated: bool = field(default=False, compare=False)


class Journal:
    """Entries by key. Times are µs UTC; an entry is forgotten 24 hours after its commit."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def find(self, key: str, digest: str, now: int) -> Entry | None:
        """The first answer under a key. Raises `IdempotencyConflictError` when the request was another one."""
        entry = self._entries.get(key) if key else None
        if entry is None or entry.at + KEPT < now:
            return None
        if entry.digest != digest:
            raise IdempotencyConflictError(key.rsplit("#", 1)[0].rsplit("\n", 1)[-1])
        return entry

    def keep(self, key: str, entry: Entry) -> None:
        """Remember an answer, and forget what is a day older than it."""
        self._entries.pop(key, None)
        self._entries[key] = entry
        while self._entries[first := next(iter(self._entries))].at + KEPT < entry.at:
            del self._entries[first]

    def dump(self) -> pa.Table:
        """All entries, for a snapshot."""
        rows = [{"key": key, "entry": orjson.dumps(entry)} for key, entry in self._entries.items()]
        return pa.Table.from_pylist(rows, pa.schema({"key": pa.string(), "entry": pa.binary()}))

    @classmethod
    def load(cls, table: pa.Table, newest: Callable[[str], str] = str) -> "Journal":
        """Inverse of `dump`; each answer as `newest` makes it."""
        journal = cls()
        for row in table.to_pylist():
            entry = Entry(**orjson.loads(row["entry"]))
            entry.events = newest(entry.events)
            journal._entries[row["key"]] = entry
        return journal
