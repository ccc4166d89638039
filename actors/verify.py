"""`bomnae verify`: every shard is rebuilt from the truth and compared with what the log and the snapshots say.

Every commit since the beginning is derived again: its input observed, its commands decided, its timers run; events and
digests must be those of the log (`actors.replay.apply`). Then the same state must come out of every stored snapshot and
the commits behind it. A running city is compared as of the newest commit that was read. Last, each erasable object that
the state names must be there with its digest (`actors.presence.check`).
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from actors.context import Context
from actors.host import CONTEXTS, ShardKey
from actors.presence import ERASABLE, Finding, check
from actors.replay import ShardState, catch_up, committed_digest, load, restored
from schemas.errors import DivergenceError
from streams.connection import Connection
from streams.ingest import IngestSource
from streams.log import EventStore, Record
from streams.snapshots import Snapshots

Report = Callable[[str, int, int], None]
"""A log, the sequence reached, and its newest one."""


@dataclass(frozen=True, slots=True)
class Verified:
    """The shard of a log that holds: replayed up to `sequence`, in `commits` commits, its state has `digest`.

    `snapshots` lead to the same; `passed_over` are damaged or of a fold version that is no longer known, so that no
    start uses them. `objects` are there with their digests; `findings` tells of those that are not, and of those that
    are still there though they were erased.
    """

    log: str
    sequence: int
    commits: int
    digest: str
    snapshots: int
    passed_over: int
    objects: int = 0
    findings: tuple[Finding, ...] = ()


async def verify(
    connection: Connection, shards: Iterable[ShardKey], report: Report = lambda *_: None
) -> list[Verified]:
    """Check the shards one after the other; writes nothing, and may run beside their owners.

    Raises `DivergenceError` for the first difference, `LogGapError` where input or log is missing. What is wrong with
    objects raises nothing: all of it is told, in `Verified.findings`.
    """
    found = []
    for name, number in shards:
        store = Watched(connection.store(name, number), report)
        snapshots = await connection.snapshots(name, number)
        verified, whole = await _verified(CONTEXTS[name](), store, connection.ingest(name, number), snapshots)
        if name in ERASABLE:
            objects, findings = await check((name, number), store, whole.domain, connection.objects().blobs)
            verified = replace(verified, objects=objects, findings=tuple(findings))
        found.append(verified)
    return found


async def verify_shard(
    context: Context[Any], store: EventStore, ingest: IngestSource, snapshots: Snapshots
) -> Verified:
    """Check one shard, without its objects; see `verify`.

    The replay compares every commit with the log. A snapshot must hold the state that its own commit record tells, and
    the newest one, with the commits behind it, must lead to the state that the replay reached.
    """
    return (await _verified(context, store, ingest, snapshots))[0]


async def _verified(
    context: Context[Any], store: EventStore, ingest: IngestSource, snapshots: Snapshots
) -> tuple[Verified, ShardState[Any]]:
    # The list first: what is saved later may stand behind the newest commit that the replay reads.
    listed = await snapshots.index()
    whole = await load(context, store, ingest, None, every_digest=True)
    newest: ShardState[Any] | None = None
    good = 0
    for info in listed:
        found = await snapshots.newest(info.clock, context.fold_versions)
        if found is None or found.info != info:
            continue
        newest = restored(context, found)
        if {context.digest(newest.domain), info.digest} != {await committed_digest(store, info.sequence)}:
            raise DivergenceError(store.name, info.sequence, "state from the snapshot")
        good += 1
    if newest is not None:
        await catch_up(context, newest, store, ingest, whole.stored_at)
        _compare(whole, newest, store.name)
    found_here = Verified(store.name, whole.sequence, whole.number, whole.digest, good, len(listed) - good)
    return found_here, whole


class Watched:
    """An `EventStore` that reports how far it is read."""

    def __init__(self, store: EventStore, report: Report) -> None:
        self.name, self._store, self._report = store.name, store, report

    async def last_sequence(self) -> int:
        """See `EventStore`."""
        return await self._store.last_sequence()

    async def append(self, records: Sequence[Record], expected: int) -> int:
        """See `EventStore`."""
        return await self._store.append(records, expected)

    async def read(self, after: int = 0, subject: str | None = None) -> AsyncIterator[Record]:
        """See `EventStore`."""
        newest = await self.last_sequence()
        self._report(self.name, after, newest)
        async for record in self._store.read(after, subject):
            yield record
            self._report(self.name, record.sequence, max(newest, record.sequence))

    async def sealed(self, record: Record) -> bool:
        """See `EventStore`."""
        return await self._store.sealed(record)


def _compare(whole: ShardState[Any], again: ShardState[Any], log: str) -> None:
    """Whether two rebuilt states are one. The domain's part is in the digests."""
    pairs = {
        "newest commit": (whole.sequence, again.sequence),
        "position in INGEST": (whole.position, again.position),
        "epoch": (whole.epoch, again.epoch),
        "commit number": (whole.number, again.number),
        "digest": (whole.digest, again.digest),
        "journal of answers": (whole.journal.dump(), again.journal.dump()),
    }
    for what, (one, other) in pairs.items():
        if one != other:
            raise DivergenceError(log, whole.sequence, f"{what} from the newest snapshot")
