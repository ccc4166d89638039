"""One search shard: follows the logs, holds the rows, answers questions. No Ray, no NATS, no clock of its own.

Everything on its disk can be made again from the logs and the blocks. What it must have done elsewhere (blocks to
delete, receipts to file, hits to tell) it keeps as tasks, in one transaction with its position in the log; `duties`
does them.
"""

import asyncio
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from schemas.base import Event, micros
from schemas.errors import BomnaeError, UnavailableError
from schemas.models import Calibration
from schemas.person import WatchStarted
from schemas.registry import read_event
from schemas.sighting import SegmentErased, SightingsObserved
from serve.search import blocks, queries
from serve.search.asking import Question, Replies, Reply, Rested
from serve.search.cameras import Span, floors
from serve.search.cases import Cases, read_entry
from serve.search.catalogue import MISSING, OPEN, Block
from serve.search.holdings import HITS, Holdings
from serve.search.place import Place
from serve.search.plan import Filters
from serve.search.pools import Looked
from serve.search.queries import Sought
from serve.search.store import DamagedStoreError
from serve.search.watching import Watching
from streams.blobs import ListedBlobs
from streams.log import Batch

logger = logging.getLogger(__name__)

_AT_ONCE = 32
"""Objects fetched at the same time."""
TRIM_EVERY = 600_000_000
"""Microseconds between two rewritings of segments in which rows have expired; searches leave those out at once."""


class SearchShard:
    """`open`, then `take` every batch of the logs it follows, in order for each log; `search` once it is `ready`.

    `clock` gives µs UTC.
    """

    def __init__(
        self,
        folder: Path,
        place: Place,
        blobs: ListedBlobs,
        clock: Callable[[], int],
        calibrations: Mapping[str, Calibration] | None = None,
    ) -> None:
        self._folder, self.place, self.blobs, self._clock = folder, place, blobs, clock
        self._watching = Watching(calibrations or {})
        self._writing = asyncio.Lock()
        self._fetching = asyncio.Semaphore(_AT_ONCE)
        self._searching = asyncio.Lock()
        self.tasked, self.hit = asyncio.Event(), asyncio.Event()
        """Set when there may be something to erase, and hits to tell."""
        self._trimmed = 0
        self.ready = False
        """Whether everything that was in the logs at the start is in here: before that no search is answered."""

    async def open(self) -> None:
        """Open what is on disk, or begin anew where it is damaged or of another version."""
        try:
            await asyncio.to_thread(self._open)
        except DamagedStoreError as error:
            logger.warning("%s: %s: it is read from the log again", self.place.name, error)
            await asyncio.to_thread(shutil.rmtree, self._folder)
            await asyncio.to_thread(self._open)
        found = {block.block: block for block in self.catalogue.blocks("state = ?", OPEN)}
        tables = await self._tables(found)
        await asyncio.to_thread(self._reopened, found, tables)
        for asked in self._cases.watches():
            if (sought := await self._sought(asked)) is not None:
                self._watching.put(asked, sought)

    def _open(self) -> None:
        self.holdings = Holdings(self._folder, self.place.name, self._watching, self._dutiful)
        self.catalogue = self.holdings.catalogue
        self._cases = Cases(self.catalogue, self._watching, self._dutiful)

    def _reopened(self, found: Mapping[str, Block], tables: Mapping[str, pa.Table]) -> None:
        with self.catalogue.writing():
            for name, block in found.items():
                if name in tables:
                    self.holdings.add(block, tables[name])
                else:
                    self.catalogue.mark(MISSING, [name])
            self.holdings.settle(matching=False)
        self.holdings.missing = tuple(self.catalogue.blocks("state = ?", MISSING))
        # The process may have died between an erasure's event and the rows: asking again erases nothing twice.
        for event in self.holdings.pending_all():
            self.holdings.pools.erase(event)

    def _dutiful(self, context: str, partition: int) -> bool:
        return self.place.copy == 0 and self.place.has(partition)

    def position(self, context: str, partition: int) -> int:
        """Behind which batch to go on with a log."""
        return self.catalogue.position(context, partition)

    async def take(self, context: str, partition: int, batch: Batch) -> None:
        """Do what a batch says and keep its position. Raises what the object store raises: take it again then."""
        read = read_entry if context == "person" else read_event
        events = [read(record.type, record.data) for record in batch.events]
        tables = await self._tables({one.block: one for one in events if isinstance(one, SightingsObserved)})
        started = [one for one in events if isinstance(one, WatchStarted)]
        sought = {one.query: found for one in started if (found := await self._sought(one)) is not None}
        async with self._writing:
            await asyncio.to_thread(self._take, context, partition, batch.sequence, events, tables, sought)
            for one in started:
                await self._match_again(one)
        self._wake()

    def _wake(self) -> None:
        self.tasked.set()
        self.hit.set()

    def _take(
        self,
        context: str,
        partition: int,
        sequence: int,
        events: Sequence[Event],
        tables: Mapping[str, pa.Table],
        sought: Mapping[str, Sought],
    ) -> None:
        with self.catalogue.writing():
            for event in events:
                if context == "person":
                    self._cases.evolve(event, partition, sought)
                else:
                    self.holdings.evolve(event, partition, sequence, tables)
            self.holdings.settle()
            self.catalogue.move(context, partition, sequence)

    async def _tables(self, names: Mapping[str, Any]) -> dict[str, pa.Table]:
        """Of the blocks those that are there."""

        async def one(name: str) -> tuple[str, pa.Table | None]:
            async with self._fetching:
                return name, await blocks.fetch(self.blobs, name)

        fetched = await asyncio.gather(*(one(name) for name in names))
        return {name: table for name, table in fetched if table is not None}

    async def _sought(self, asked: WatchStarted) -> Sought | None:
        data = await self.blobs.get(queries.name_of(asked.case, asked.query))
        if data is None or queries.digest_of(data) != asked.query:
            return None
        return Sought.from_bytes(data)

    async def _match_again(self, asked: WatchStarted) -> None:
        """What was observed since a watch began, but came here before it."""
        found = {one.block: one for one in self.catalogue.blocks("observed >= ?", micros(asked.at))}
        for name, table in (await self._tables(found)).items():
            block = found[name]
            left = self.holdings.left_of(block, table)
            for hit in self._watching.match(block.model, block.dimensions, left, block.observed):
                if self._dutiful("sighting", block.shard):
                    self.catalogue.add_task(HITS, hit.key, hit.to_dict())

    async def tend(self) -> None:
        """Look again for blocks that were missing, and forget what has expired. Call it now and then."""
        found = {block.block: block for block in self.holdings.missing}
        tables = await self._tables(found)
        async with self._writing:
            await asyncio.to_thread(self._mend, found, tables)
        if tables:
            self._wake()

    def _mend(self, found: Mapping[str, Block], tables: Mapping[str, pa.Table]) -> None:
        still = {block.block for block in self.holdings.missing}
        with self.catalogue.writing():
            for name, table in tables.items():
                if name in still:
                    self.holdings.add(found[name], table)
            self.holdings.settle()
            if self._clock() >= self._trimmed + TRIM_EVERY:
                self.holdings.trim()
                self._trimmed = self._clock()

    async def measure(self) -> None:
        """Compare the quantised stage of every index with exact scans, and let it adapt. Call it now and then."""
        for index in list(self.holdings.pools.indexes.values()):
            await asyncio.to_thread(index.measure)

    async def verify(self) -> None:
        """Read all that is on disk and compare it with what was written: seconds per million rows, beside searches.

        Raises `DamagedStoreError`: close it then, remove its folder and open it anew.
        """
        for index in list(self.holdings.pools.indexes.values()):
            await asyncio.to_thread(index.verify)

    async def search(self, questions: Sequence[Question]) -> Replies:
        """Answer each question over every permitted row that is here. Raises `UnavailableError` until `ready`.

        One call after the other: a shard is a core's work, and two at once would both be later.
        """
        if not self.ready:
            raise UnavailableError(f"{self.place.name} is still reading the log", retry_after_s=2)
        async with self._searching:
            return await asyncio.to_thread(self._search, questions)

    def _search(self, questions: Sequence[Question]) -> Replies:
        alike: dict[object, list[int]] = {}
        for at, one in enumerate(questions):
            hard = tuple(sorted((name, values) for name, values in one.filters.hard.items()))
            limits = one.filters.window, one.filters.cameras, one.filters.min_quality, hard
            alike.setdefault((one.model, limits, tuple(sorted(one.soft.items()))), []).append(at)
        replies: dict[int, Reply | BomnaeError] = {}
        for numbers in alike.values():
            answered = self._answer([questions[at] for at in numbers])
            replies |= dict(zip(numbers, answered, strict=True))
        return [replies[at] for at in range(len(questions))]

    def _answer(self, asked: Sequence[Question]) -> Replies:
        """Questions that differ in their vectors and limits alone."""
        wanted, now = asked[0].filters, self._clock()
        start, end = micros(wanted.window.start), micros(wanted.window.end)
        bounds = floors(self.holdings.cameras, wanted.cameras, start, now)
        filters = Filters(start, end, wanted.cameras, wanted.min_quality, wanted.hard, floors=bounds)
        looked = self.holdings.pools.look(asked, filters)
        rested = self._rested(asked[0], now)
        return [one if isinstance(one, BomnaeError) else _reply(one, rested) for one in looked]

    def _rested(self, asked: Question, now: int) -> Rested:
        """What does not depend on the rows that were scanned; `permitted` are those of blocks that nobody finds."""
        wanted = asked.filters
        start, end = micros(wanted.window.start), min(micros(wanted.window.end), now)
        cameras = self.holdings.cameras
        permitted = cameras.keys() if wanted.cameras is None else cameras.keys() & wanted.cameras
        silent = [
            name
            for name in permitted
            if any(first < last for first, last in (one.within(start, end) for one in cameras[name].silences))
        ]
        gaps: dict[str, list[Span]] = {}
        rows = 0
        for one in self.holdings.missing:
            if one.model == asked.model and one.camera in permitted and one.first < end and one.last >= start:
                gaps.setdefault(one.camera, []).append((one.first, one.last))
                rows += one.rows
        return Rested(
            known=self.holdings.pools.known(asked.model),
            permitted=rows,
            cameras=len(permitted),
            silent=tuple(sorted(silent)),
            missing_us=sum(cameras[name].lost(start, end, now, gaps.get(name, ())) for name in permitted),
        )

    async def row_of(self, sighting: str, camera: str, time: int) -> dict[str, Any] | None:
        """A sighting as its block holds it, picture and all; None where it has expired, is erased or never was."""
        known = self.holdings.cameras.get(camera)
        if known is None or time < self._clock() - known.retention_us:
            return None
        found = self.catalogue.blocks("camera = ? AND first <= ? AND last >= ?", camera, time, time)
        for block in found:
            table = await blocks.fetch(self.blobs, block.block)
            if table is None:
                continue
            if (row := blocks.row_of(self.holdings.left_of(block, table), sighting)) is not None:
                return row
        return None

    def receipts(self, partition: int, sequence: int, camera: str, erasure: str) -> list[SegmentErased]:
        """What the erasure at a place of a log did here. Raises `UnavailableError` before that place is read."""
        if self.position("sighting", partition) < sequence:
            raise UnavailableError(f"{self.place.name} has not come to erasure {erasure} of {camera} yet")
        return self.holdings.receipts(camera, erasure)

    def close(self) -> None:
        """Close the files."""
        self.holdings.close()


def _reply(looked: Looked, rested: Rested) -> Reply:
    return Reply(
        looked.found,
        replace(
            rested,
            permitted=rested.permitted + sum(one.permitted for one in looked.coverages),
            scanned=sum(one.scanned for one in looked.coverages),
            exact=all(one.exact for one in looked.coverages),
            recall=min((one.recall for one in looked.coverages if one.recall is not None), default=None),
        ),
    )
