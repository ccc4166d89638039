"""Gathers what all shards' logs bring and writes it to the archive, each batch of a log once. A plain class."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa

from actors.archiving.clustering import clustered
from actors.archiving.rollups import merged
from actors.archiving.shard import ShardArchiver, StoppedError
from actors.archiving.tail import RollupTail, Tail
from actors.host import CONTEXTS
from actors.meters import Meters, Metric
from schemas.archive import PERSONAL, ROLLUPS, TABLES
from schemas.base import from_micros
from schemas.errors import (
    BomnaeError,
    DivergenceError,
    LogGapError,
    LostLogError,
    UnavailableError,
    UnknownEventError,
)
from schemas.settings import Settings
from streams.archive import Archive, Merge, Reached
from streams.connection import Connection, access_of
from streams.ending import ended
from streams.follow import Follower
from streams.following import nudge
from streams.log import COMMITTED, SHARD_ENTITY, Batch
from streams.subjects import log_subject

logger = logging.getLogger(__name__)
T = TypeVar("T")

METRICS = (
    Metric("bomnae_archive_rows", "counter", "rows written to a `table` of the archive", ("table",)),
    Metric("bomnae_archive_tail", "gauge", "rows of a `table` that are read and not written yet", ("table",)),
    Metric("bomnae_archive_behind_seconds", "gauge", "since its writer had read the whole log of every shard"),
    Metric("bomnae_archive_stopped", "gauge", "shards that cannot be archived any further: see the log of the actor"),
    Metric("bomnae_archive_write_seconds", "histogram", "of one write of a `table`", ("table",)),
)
"""Of the archive's writer."""

MOST_BYTES = 128_000_000
"""Of facts in memory, from which on they are written at once; at twice as many reading waits for the storage."""
ROLLUPS_S = 300.0
"""Time between two writes of the roll-ups: each adds a row for every sensor."""
COMPACT_S = 600.0
_MERGES: Mapping[str, Merge] = {"readings": clustered, **dict.fromkeys(ROLLUPS, merged)}
_AGAIN_S = 1.0
_LEAVE_S = 15.0
_ARCHIVED = tuple(name for name in CONTEXTS if name not in PERSONAL)


@dataclass(frozen=True, slots=True)
class Hot:
    """A table of the archive at a version, and what has happened since."""

    version: int
    rows: pa.Table


class Archivist:
    """`start`, then it works in the background and for ever: whatever fails begins again from what is written.

    A shard whose log cannot be followed any further is left, and the others go on. `stop` writes what is left. `clock`
    gives µs UTC.
    """

    def __init__(self, settings: Settings, meters: Meters, clock: Callable[[], int]) -> None:
        self._settings, self._meters, self._clock = settings, meters, clock
        self._archive = Archive(url_of(settings))
        self._tails: dict[str, Tail] = {}
        self._room, self._due = asyncio.Event(), asyncio.Event()
        self._wrote: dict[str, float] = {}
        self._followers: list[Follower] = []
        self._shards: list[ShardArchiver[Any]] = []
        self._stopped: set[str] = set()
        self._storing: asyncio.Future[Any] | None = None
        self._connection: Connection | None = None
        self._running: asyncio.Task[None] | None = None
        self._leaving = False
        self.ready = False
        """Whether everything that was in the logs at the start has been read."""

    async def start(self) -> None:
        """Begin to follow."""
        self._running = asyncio.create_task(self._run(), name="archive")

    async def _run(self) -> None:
        while not self._leaving:
            try:
                await self._open()
                await self._work()
            except Exception:
                logger.exception("the archive's writer begins again from what is written")
                await asyncio.sleep(_AGAIN_S)
            finally:
                await self._close()

    async def _open(self) -> None:
        connection = self._connection = await Connection.open(access_of(self._settings), "archive")
        logs = [(name, number) for name in _ARCHIVED for number in range(self._settings.shards(name))]
        names = [connection.store(*log).name for log in logs]
        now = asyncio.get_running_loop().time()
        self._stopped, self._wrote = set(), dict.fromkeys((*TABLES, "compact"), now)
        for table in TABLES:
            version, held = await self._stored(partial(self._archive.held, table, names))
            every = ROLLUPS.get(table)
            self._tails[table] = RollupTail(version, held, every) if every else Tail(version, held, TABLES[table])
        self._room.set()
        events: dict[str, asyncio.Event] = {}
        for log, name in zip(logs, names, strict=True):
            try:
                events[log_subject(*log, SHARD_ENTITY, COMMITTED)] = await self._begin(connection, log, name)
            except (LostLogError, LogGapError, DivergenceError, UnknownEventError) as error:
                self._leave(name, error)
        await nudge(connection.nc, events)

    async def _begin(self, connection: Connection, log: tuple[str, int], name: str) -> asyncio.Event:
        store, ingest = connection.store(*log), connection.ingest(*log)
        snapshots = await connection.snapshots(*log)
        shard = ShardArchiver(CONTEXTS[log[0]](), log[1], store, ingest, snapshots)
        self._shards.append(shard)
        held = {table: self._tails[table].held[name] for table in shard.tables}
        follower = Follower(store, await shard.open(held.values()), partial(self._take, name, shard, held))
        self._followers.append(follower)
        return follower.nudged

    def _leave(self, log: str, error: Exception) -> None:
        """Go on without a shard. Who put its log back to an earlier state has to remove the archive, which is later."""
        self._stopped.add(log)
        where = url_of(self._settings)
        logger.error(
            "%s is not archived any further at %s: %s. If it was put back, remove the archive", log, where, error
        )

    async def _take(self, log: str, shard: ShardArchiver[Any], held: Mapping[str, Reached], batch: Batch) -> None:
        await self._room.wait()
        told = await shard.take(batch)
        for table in shard.tables:
            # One table may have been written when the process died before the other was.
            if batch.sequence > held[table].sequence:
                rows = told["readings" if table in ROLLUPS else table]
                self._tails[table].add(log, Reached(batch.sequence, batch.stored_at), rows)
        most = max(tail.bytes for tail in self._tails.values())
        if most >= MOST_BYTES:
            self._due.set()
        if most >= 2 * MOST_BYTES:
            self._room.clear()

    async def _work(self) -> None:
        """Until it is told to stop, or something fails that concerns all shards."""
        doing = [self._write_on(), self._caught_up(), self._measured(), *map(self._follow, self._followers)]
        tasks = [asyncio.create_task(one, name="archive") for one in doing]
        writing, others = tasks[0], set(tasks[1:])
        try:
            while not writing.done():
                done, _ = await asyncio.wait({writing, *others}, return_when=asyncio.FIRST_COMPLETED)
                others -= done
                for task in done:
                    task.result()
        finally:
            self.ready = False
            await ended(*tasks)  # a library may swallow a cancellation: until they are

    async def _follow(self, follower: Follower) -> None:
        try:
            await follower.run()
        except StoppedError as error:
            follower.caught_up.set()
            self._followers.remove(follower)
            self._leave(follower.name, error)

    async def _caught_up(self) -> None:
        for follower in tuple(self._followers):
            await follower.caught_up.wait()
        self.ready = True
        logger.info("the archive's writer has read everything")

    async def _write_on(self) -> None:
        """One write after the other, so that none overtakes another; the last when it is told to stop."""
        while not self._leaving:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.archive_every_s):
                    await self._due.wait()
            self._due.clear()
            for table, tail in self._tails.items():
                if isinstance(tail, RollupTail):
                    make, take = tail.roll()
                    take(await self._stored(make))
                every = COMPACT_S if tail.empty else ROLLUPS_S if table in ROLLUPS else 0.0
                if tail.pending and (self._leaving or self._since(table) >= every or tail.bytes >= MOST_BYTES):
                    await self._write(table, tail)
            self._room.set()
            if self._since("compact") >= COMPACT_S and not self._leaving:
                await self._compact()

    def _since(self, what: str) -> float:
        return asyncio.get_running_loop().time() - self._wrote[what]

    async def _stored(self, act: Callable[[], T]) -> T:
        """What blocks, in a thread. `_close` waits for it: nothing is written behind the back of a new start."""
        storing: asyncio.Future[T] = asyncio.get_running_loop().run_in_executor(None, act)
        self._storing = storing
        return await asyncio.shield(storing)

    async def _write(self, table: str, tail: Tail) -> None:
        """Raises `UnavailableError` where another writer wrote too: begin again from what is written."""
        began, rows, reached = asyncio.get_running_loop().time(), *tail.begin()
        version = await self._stored(partial(self._archive.append, table, rows, tail.held, reached))
        if version != max(tail.version, 0) + 1:  # making a table is its version 0
            raise UnavailableError(f"another writer writes {table} too", retry_after_s=1)
        tail.end(version, reached)
        self._wrote[table] = asyncio.get_running_loop().time()
        self._meters.observe("bomnae_archive_write_seconds", self._wrote[table] - began, table=table)
        self._meters.add("bomnae_archive_rows", len(rows), table=table)

    async def _compact(self) -> None:
        self._wrote["compact"] = asyncio.get_running_loop().time()
        today = from_micros(self._clock()).date()
        for table, tail in self._tails.items():
            await self._stored(partial(self._archive.compact, table, today, _MERGES.get(table)))
            version, held = await self._stored(partial(self._archive.held, table, tail.held))
            if held != tail.held:
                raise UnavailableError(f"another writer writes {table} too", retry_after_s=1)
            tail.version = version

    async def _measured(self) -> None:
        while True:
            for table, tail in self._tails.items():
                self._meters.put("bomnae_archive_tail", tail.count, table=table)
            behind = max((follower.behind_s for follower in self._followers), default=0.0)
            self._meters.put("bomnae_archive_behind_seconds", behind)
            self._meters.put("bomnae_archive_stopped", len(self._stopped))
            await asyncio.sleep(_AGAIN_S)

    async def hot(self, table: str) -> Hot:
        """A table's version and the rows behind it: together everything that is read, each row once.

        Raises `UnavailableError` until everything that was in the logs at the start is.
        """
        if not self.ready:
            raise UnavailableError("the archive is still reading the logs", retry_after_s=2)
        tail = self._tails[table]
        version, rows = tail.version, tail.told()
        return Hot(version, await asyncio.to_thread(rows))

    async def stop(self) -> None:
        """Write what is left, and stop."""
        self._leaving = True
        self._due.set()
        if self._running is not None:
            _, late = await asyncio.wait([self._running], timeout=_LEAVE_S)
            await ended(*late)

    async def _close(self) -> None:
        self.ready = False
        self._followers = []
        if self._storing is not None:
            await asyncio.wait([self._storing])
        shards, self._shards = self._shards, []
        connection, self._connection = self._connection, None
        with contextlib.suppress(BomnaeError, OSError):
            for shard in shards:
                await shard.close()
            if connection is not None:
                await connection.close()


def url_of(settings: Settings) -> str:
    """Where the archive of an instance lies."""
    return settings.archive_url or str(settings.data.absolute() / "archive")
