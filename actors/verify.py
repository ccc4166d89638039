"""`bomnae verify`: every shard is rebuilt from the truth and compared with what the log and the snapshots say.

Every commit since the beginning is derived again: its input observed, its commands decided, its timers run; events and
digests must be those of the log (`actors.replay.apply`). Then the same state must come out of every stored snapshot and
the commits behind it. A running city is compared as of the newest commit that was read.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from actors.context import Context
from actors.host import CONTEXTS, ShardKey
from actors.replay import ShardState, catch_up, committed_digest, load, restored
from actors.sighting import presence
from actors.sighting.context import SightingContext
from schemas.errors import DivergenceError, ObjectError
from schemas.registry import read_event
from schemas.sighting import BlocksExpired, BlocksLost, SightingsErased
from streams.blobs import Blobs
from streams.connection import Connection
from streams.ingest import IngestSource
from streams.log import EventStore, Record, read_batches
from streams.snapshots import Snapshots

_ERASING = frozenset({SightingsErased.type, BlocksExpired.type, BlocksLost.type})
_ERASING_S, _ERASING_TRIES = 5.0, 10
"""How long a running city may take to delete what its log has just told to be gone."""

Report = Callable[[str, int, int], None]
"""A log, the sequence reached, and its newest one."""


@dataclass(frozen=True, slots=True)
class Verified:
    """The shard of a log that holds: replayed up to `sequence`, in `commits` commits, its state has `digest`.

    `snapshots` lead to the same; `passed_over` are damaged or of a fold version that is no longer known, so that no
    start uses them. `objects` are there with their digests, and none that was erased or has expired.
    """

    log: str
    sequence: int
    commits: int
    digest: str
    snapshots: int
    passed_over: int
    objects: int = 0


async def verify(
    connection: Connection, shards: Iterable[ShardKey], report: Report = lambda *_: None
) -> list[Verified]:
    """Check the shards one after the other; writes nothing, and may run beside their owners.

    Raises `DivergenceError` for the first difference (`ObjectError` for an object), `LogGapError` where input or log is
    missing.
    """
    found = []
    for name, number in shards:
        store = Watched(connection.store(name, number), report)
        snapshots = await connection.snapshots(name, number)
        context = CONTEXTS[name]()
        objects = connection.objects().blobs if isinstance(context, SightingContext) else None
        found.append(await verify_shard(context, store, connection.ingest(name, number), snapshots, objects))
    return found


async def verify_shard(
    context: Context[Any], store: EventStore, ingest: IngestSource, snapshots: Snapshots, objects: Blobs | None = None
) -> Verified:
    """Check one shard; see `verify`. `objects`: where the blocks of sightings lie, which are then checked too.

    The replay compares every commit with the log. A snapshot must hold the state that its own commit record tells, and
    the newest one, with the commits behind it, must lead to the state that the replay reached.
    """
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
    checked = await _verify_objects(store, whole, objects) if objects is not None else 0
    return Verified(store.name, whole.sequence, whole.number, whole.digest, good, len(listed) - good, checked)


async def _verify_objects(store: EventStore, whole: ShardState[Any], objects: Blobs) -> int:
    """Whether every block is there with its digest, and none that is gone; how many are there."""
    held = presence.expected(whole.domain)
    missing = [name for name, digest in held.items() if not _is(await objects.get(name), digest)]
    # To the newest record, not to `whole`: what a running city has erased meanwhile is rightly missing.
    gone = await _gone(store)
    for name in missing:
        if name not in gone:
            raise ObjectError(store.name, whole.sequence, "is missing or damaged", name)
    for _ in range(_ERASING_TRIES):
        left = [name for name in gone if await objects.get(name) is not None]
        if not left:
            return len(held)
        await asyncio.sleep(_ERASING_S / _ERASING_TRIES)
    raise ObjectError(store.name, whole.sequence, "is still there, though it was erased or has expired", left[0])


async def _gone(store: EventStore) -> set[str]:
    return {
        name
        async for batch in read_batches(store)
        for record in batch.events
        if record.type in _ERASING
        for name in presence.gone(read_event(record.type, record.data))
    }


def _is(data: bytes | None, digest: str) -> bool:
    return data is not None and hashlib.sha256(data).hexdigest() == digest


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
