"""Gathers the rows of all shards and writes them to the archive, each batch of a log once. A plain class."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa

from actors.archiving.shard import ShardArchiver
from actors.host import CONTEXTS
from actors.meters import Meters, Metric
from schemas.archive import PERSONAL, TABLES
from schemas.errors import DivergenceError, UnavailableError
from schemas.settings import Settings
from streams.archive import Archive
from streams.connection import Connection, access_of
from streams.ending import ended
from streams.follow import Follower
from streams.following import nudge
from streams.log import COMMITTED, SHARD_ENTITY, Batch
from streams.subjects import log_subject

logger = logging.getLogger(__name__)

METRICS = (
    Metric("bomnae_archive_rows", "counter", "rows written to a `table` of the archive", ("table",)),
    Metric("bomnae_archive_tail", "gauge", "rows of a `table` that are read and not written yet", ("table",)),
    Metric(
        "bomnae_archive_behind_seconds", "gauge", "since the archive's writer had read a shard's whole log, the most"
    ),
    Metric("bomnae_archive_write_seconds", "histogram", "of one write of a `table`", ("table",)),
)
"""Of the archive's writer."""

MOST_ROWS = 1_000_000
"""Rows behind which a table is written at once; at twice as many reading waits for the storage."""
COMPACT_S = 600.0
_AGAIN_S = 1.0
_LEAVE_S = 10.0
_ARCHIVED = tuple(name for name in CONTEXTS if name not in PERSONAL)


@dataclass(slots=True)
class Tail:
    """Rows of one table that are not in the archive yet: those being written, and those behind them.

    `held` says how far the table has each log, `reached` how far the rows go; `version` is the one that they continue.
    """

    version: int
    held: dict[str, int]
    writing: list[pa.Table] = field(default_factory=list)
    rows: list[pa.Table] = field(default_factory=list)
    reached: dict[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Rows that wait to be written."""
        return sum(map(len, self.rows))

    @property
    def whole(self) -> list[pa.Table]:
        """Everything behind the version."""
        return [*self.writing, *self.rows]


@dataclass(frozen=True, slots=True)
class Hot:
    """A table of the archive at a version, and what has happened since."""

    version: int
    rows: pa.Table


class Archivist:
    """`start`, then it works in the background and for ever: whatever fails begins again from what is written.

    `stop` writes what is left.
    """

    def __init__(self, settings: Settings, meters: Meters) -> None:
        self._settings, self._meters = settings, meters
        self._archive = Archive(url_of(settings))
        self._tails: dict[str, Tail] = {}
        self._room, self._due = asyncio.Event(), asyncio.Event()
        self._compacted = 0.0
        self._followers: list[Follower] = []
        self._shards: list[ShardArchiver[Any]] = []
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
        for table in TABLES:
            # The version first: should another writer come in between, the first write notices.
            version = await asyncio.to_thread(self._archive.version, table)
            self._tails[table] = Tail(version, await asyncio.to_thread(self._archive.reached, table, names))
        self._room.set()
        for (context, number), name in zip(logs, names, strict=True):
            store, ingest = connection.store(context, number), connection.ingest(context, number)
            snapshots = await connection.snapshots(context, number)
            shard = ShardArchiver(CONTEXTS[context](), number, store, ingest, snapshots)
            self._shards.append(shard)
            held = {table: tail.held[name] for table, tail in self._tails.items()}
            await shard.open(after := min(held.values()))
            self._followers.append(Follower(store, after, partial(self._take, name, shard, held)))
        subjects = [log_subject(*log, SHARD_ENTITY, COMMITTED) for log in logs]
        await nudge(connection.nc, dict(zip(subjects, (one.nudged for one in self._followers), strict=True)))

    async def _take(self, log: str, shard: ShardArchiver[Any], held: Mapping[str, int], batch: Batch) -> None:
        await self._room.wait()
        try:
            told = await shard.take(batch)
        except DivergenceError as error:
            # The state has moved: not to be tried again by who follows, but begun anew.
            raise RuntimeError(str(error)) from error
        for table, rows in told.items():
            # One table may have been written when the process died before the other was.
            if len(rows) and batch.sequence > held[table]:
                self._tails[table].rows.append(rows)
                self._tails[table].reached[log] = batch.sequence
        most = max(tail.count for tail in self._tails.values())
        if most >= MOST_ROWS:
            self._due.set()
        if most >= 2 * MOST_ROWS:
            self._room.clear()

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            following = [group.create_task(one.run()) for one in self._followers]
            following += [group.create_task(self._caught_up()), group.create_task(self._measured())]
            await self._write_on()
            for task in following:
                task.cancel()

    async def _caught_up(self) -> None:
        for follower in self._followers:
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
                if tail.rows:
                    await self._write(table, tail)
            self._room.set()
            if self._now() >= self._compacted + COMPACT_S and not self._leaving:
                await self._compact()

    async def _write(self, table: str, tail: Tail) -> None:
        """Raises `UnavailableError` where another writer was there first: begin again from what is written."""
        tail.writing, tail.rows = tail.rows, []
        reached, tail.reached = tail.reached, {}
        rows, began = pa.concat_tables(tail.writing), self._now()
        version = await asyncio.to_thread(self._archive.append, table, rows, tail.held, reached)
        tail.version, tail.writing = version, []
        tail.held |= reached
        self._meters.observe("bomnae_archive_write_seconds", self._now() - began, table=table)
        self._meters.add("bomnae_archive_rows", len(rows), table=table)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _compact(self) -> None:
        self._compacted = self._now()
        for table, tail in self._tails.items():
            await asyncio.to_thread(self._archive.compact, table)
            tail.version = await asyncio.to_thread(self._archive.version, table)

    async def _measured(self) -> None:
        while True:
            for table, tail in self._tails.items():
                self._meters.put("bomnae_archive_tail", sum(map(len, tail.whole)), table=table)
            behind = max((follower.behind_s for follower in self._followers), default=0.0)
            self._meters.put("bomnae_archive_behind_seconds", behind)
            await asyncio.sleep(_AGAIN_S)

    def hot(self, table: str) -> Hot:
        """A table's version and the rows behind it: together everything that is read, each row once.

        Raises `UnavailableError` until everything that was in the logs at the start is.
        """
        if not self.ready:
            raise UnavailableError("the archive is still reading the logs", retry_after_s=2)
        tail = self._tails[table]
        return Hot(tail.version, pa.concat_tables([TABLES[table].empty_table(), *tail.whole]))

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
        shards, self._shards = self._shards, []
        for shard in shards:
            await shard.close()
        if self._connection is not None:
            await self._connection.close()
            self._connection = None


def url_of(settings: Settings) -> str:
    """Where the archive of an instance lies."""
    return settings.archive_url or str(settings.data.absolute() / "archive")
