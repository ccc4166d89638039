"""What a search shard does outside of itself: erases blocks and files receipts, ends cases, tells hits.

Tasks come from the log (what is requested and not completed) and stay until the log says that they are done, so that
whatever dies in between, somebody begins again; each step is harmless to repeat.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

import orjson
import pyarrow as pa

from schemas.base import Command, from_micros, micros
from schemas.errors import (
    BomnaeError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)
from schemas.person import Candidate, CompleteCaseErasure, RecordHits
from schemas.sighting import (
    BlockErased,
    CompleteErasure,
    ErasureRequested,
    GiveUpBlocks,
    RequestErasure,
    SegmentErased,
)
from serve.search import blocks, queries
from serve.search.cases import CASE
from serve.search.catalogue import Block, Task
from serve.search.holdings import DELETE, ERASE, HITS
from serve.search.shard import SearchShard

logger = logging.getLogger(__name__)

Submit = Callable[[Sequence[Command]], Awaitable[Sequence[BomnaeError | None]]]
"""Have commands decided by their shards' owners; for each None when it is durable, or why it is not."""
Others = Callable[[int, int, str, str], Awaitable[list[SegmentErased]]]
"""What the other copies of a shard did for an erasure that stands at this place of a log partition.

Raises `UnavailableError` while one of them has not come that far.
"""
Forget = Callable[[str], Awaitable[object]]

SYSTEM = "system"
AGAIN_S = 5.0
HOUR = 3_600_000_000
LOST_AFTER = 24 * HOUR
"""How long an erasure waits for a block that is missing or damaged, in µs; a day lets a disk or a bucket come back."""
_TOLD_AT_ONCE = 2000
_HITS_AT_ONCE = 100
_NAMED_AT_ONCE = 1000
_REWRITTEN_AT_ONCE = 32
T = TypeVar("T")
_IMPOSSIBLE = ConflictError, NotFoundError, InvalidError, ForbiddenError


class Duties:
    """Of one shard. `forget_case` deletes what else is kept of a case's hits."""

    def __init__(
        self, shard: SearchShard, submit: Submit, others: Others, forget_case: Forget, clock: Callable[[], int]
    ) -> None:
        self._shard, self._submit, self._others, self._forget_case = shard, submit, others, forget_case
        self._clock = clock

    async def run(self) -> None:
        """Do what there is to do, until cancelled; what fails is tried again. Hits wait for nothing else."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._whenever(self._shard.hit, self._tell_all), name="hits")
            group.create_task(self._whenever(self._shard.tasked, self._erase_all), name="erasures")

    async def _whenever(self, event: asyncio.Event, act: Callable[[], Awaitable[int]]) -> None:
        while True:
            event.clear()
            left = await act()
            try:
                async with asyncio.timeout(AGAIN_S if left else None):
                    await event.wait()
            except TimeoutError:
                continue

    async def work(self) -> int:
        """Try everything once; how much is left that failed."""
        return await self._tell_all() + await self._erase_all()

    async def _erase_all(self) -> int:
        failed, tried = 0, set[str]()
        # Where the log has meanwhile said that the first of a camera is done, the next has its turn.
        while due := [one for one in _first_of_cameras(self._shard.catalogue.tasks(ERASE)) if one.key not in tried]:
            for task in due:
                tried.add(task.key)
                failed += await self._tried(task, self._erase(task))
        for task in self._shard.catalogue.tasks(CASE):
            failed += await self._tried(task, self._end(task))
        for task in self._shard.catalogue.tasks(DELETE):
            failed += await self._tried(task, self._delete(task))
        return failed

    async def _tell_all(self) -> int:
        failed = 0
        by_watch: dict[tuple[str, str], list[Task]] = {}
        for task in self._shard.catalogue.tasks(HITS):
            by_watch.setdefault((task.data["case"], task.data["watch"]), []).append(task)
        for tasks in by_watch.values():
            failed += await self._tried(tasks[0], self._tell(tasks))
        return failed

    async def _tried(self, task: Task, doing: Awaitable[None]) -> int:
        try:
            await doing
        except (BomnaeError, OSError, TimeoutError) as error:
            logger.warning("%s: %s %s: %s; trying again", self._shard.place.name, task.kind, task.key, error)
            return 1
        return 0

    async def _command(self, command: Command) -> BomnaeError | None:
        (refusal,) = await self._submit([command])
        return refusal

    async def _delete(self, task: Task) -> None:
        await self._shard.blobs.delete(blocks.name_of(task.key))
        self._shard.catalogue.done(DELETE, task.key)

    async def _tell(self, tasks: Sequence[Task]) -> None:
        for some in _parts(tasks, _HITS_AT_ONCE):
            hits = tuple(Candidate.model_validate(task.data["candidate"]) for task in some)
            told = some[0].data
            command = RecordHits(case=told["case"], watch=told["watch"], hits=hits, at=self._now, by=SYSTEM)
            refusal = await self._command(command)
            if refusal is not None and not isinstance(refusal, _IMPOSSIBLE):
                raise refusal
            # A watch that has ended wants none of them.
            for task in some:
                self._shard.catalogue.done(HITS, task.key)

    @property
    def _now(self) -> datetime:
        return from_micros(self._clock())

    async def _erase(self, task: Task) -> None:
        camera, erasure = task.key.split("/")
        asked = next((one for one in self._shard.holdings.pending(camera) if one.erasure == erasure), None)
        if asked is None:
            await self._shard.blobs.delete(_plan_of(camera, erasure))
            self._shard.catalogue.done(ERASE, task.key)
            return
        segments = await self._others(task.data["shard"], task.data["sequence"], camera, erasure)
        plan = await self._plan(asked, task)
        for one in plan:
            await self._shard.blobs.delete(blocks.name_of(one.before))
        segments += self._shard.holdings.receipts(camera, erasure)
        parts = list(_parts(plan, _TOLD_AT_ONCE)) or [()]
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            refusal = await self._command(
                CompleteErasure(
                    camera=camera,
                    erasure=erasure,
                    blocks=part,
                    segments=tuple(segments[:_TOLD_AT_ONCE]) if last else (),
                    last=last,
                    at=self._now,
                    by=SYSTEM,
                )
            )
            if refusal is not None:
                raise refusal
        await self._shard.blobs.delete(_plan_of(camera, erasure))

    async def _plan(self, asked: ErasureRequested, task: Task) -> list[BlockErased]:
        """Which blocks become what. Kept as an object before one is written or deleted, and continued after a crash.

        Raises `UnavailableError` while a block that it has to look into cannot be read.
        """
        name, blobs = _plan_of(asked.camera, asked.erasure), self._shard.blobs
        kept = [BlockErased.model_validate(one) for one in orjson.loads(await blobs.get(name) or b"[]")]
        there = {one.block: one for one in self._touched(asked)}
        for one in kept:
            # Expired meanwhile, and what was to replace it with it.
            if one.after and one.before not in there and not self._shard.catalogue.blocks("block = ?", one.after):
                await blobs.delete(blocks.name_of(one.after))
        waited = [block for block in task.data.get("unread", ()) if block in there]
        unread = [block for block in waited if await blocks.fetch(blobs, block) is None]
        if unread:  # nothing else is read again while it waits
            await self._wait_for(unread, asked, task)
        plan = [one for one in kept if one.before in there and await self._written(one)]
        for part in _parts(sorted(there.keys() - {one.before for one in plan}), _REWRITTEN_AT_ONCE):
            made: dict[str, bytes] = {}
            for block in part:
                if (table := await blocks.fetch(blobs, block)) is None:
                    unread.append(block)
                elif (change := await asyncio.to_thread(_rewritten, block, table, asked)) is not None:
                    plan.append(change[0])
                    made |= {change[0].after: change[1]} if change[0].after else {}
            # The plan first: what no plan names would stay for ever if its block expired before this is done.
            await blobs.put(name, orjson.dumps([one.model_dump() for one in plan]))
            for after, data in made.items():
                await blobs.put(blocks.name_of(after), data)
        if unread:
            await self._wait_for(unread, asked, task)
        return plan

    async def _written(self, one: BlockErased) -> bool:
        return not one.after or await blocks.fetch(self._shard.blobs, one.after) is not None

    async def _wait_for(self, unread: Sequence[str], asked: ErasureRequested, task: Task) -> None:
        """Raise `UnavailableError`: now or later the log says what became of these blocks.

        It may have said so already and not have been read here: then they are replaced or gone, and asking again finds
        that. Those that stay away too long are given up, so that an erasure ends.
        """
        now = self._clock()
        since = {block: task.data.get("unread", {}).get(block, now) for block in unread}
        self._shard.catalogue.add_task(ERASE, task.key, {**task.data, "unread": since})
        lost = [block for block in unread if now - since[block] >= LOST_AFTER][:_TOLD_AT_ONCE]
        if lost:
            logger.warning("%s: %d blocks of %s are lost, first %s", task.key, len(lost), asked.camera, lost[0])
            command = GiveUpBlocks(
                camera=asked.camera, erasure=asked.erasure, blocks=tuple(lost), at=self._now, by=SYSTEM
            )
            if (refusal := await self._command(command)) is not None:
                raise refusal
        raise UnavailableError(
            f"{len(unread)} blocks of {asked.camera} are missing or damaged, first {unread[0]}: put them back, or they "
            f"are given up {LOST_AFTER // HOUR} hours after they were first missed"
        )

    def _touched(self, asked: ErasureRequested) -> list[Block]:
        if asked.window is None:
            return self._shard.catalogue.blocks("camera = ?", asked.camera)
        start, end = micros(asked.window.start), micros(asked.window.end)
        return self._shard.catalogue.blocks("camera = ? AND last >= ? AND first < ?", asked.camera, start, end)

    async def _end(self, task: Task) -> None:
        """Erase what an ended case leaves: its objects, its hits, and the sightings confirmed as the person."""
        case, blobs = task.key, self._shard.blobs
        erasures = await self._request(case)
        objects = await self._objects(case, task)
        for name in await blobs.names(f"cases/{case}"):
            await blobs.delete(name)
        await self._forget_case(case)
        refusal = await self._command(
            CompleteCaseErasure(case=case, objects=objects, erasures=erasures, at=self._now, by=SYSTEM)
        )
        if refusal is not None:
            raise refusal

    async def _objects(self, case: str, task: Task) -> tuple[str, ...]:
        """All that the receipt names: what the ledger does, and what a search stored that was never recorded.

        Only the folder tells the latter, so they are kept with the task before the first is deleted.
        """
        catalogue = self._shard.catalogue
        recorded = catalogue.ask("SELECT object FROM case_objects WHERE person_case = ?", case)
        stored = [queries.digest_in(name) for name in await self._shard.blobs.names(f"cases/{case}")]
        objects = sorted({*task.data.get("objects", ()), *(name for (name,) in recorded), *filter(None, stored)})
        catalogue.add_task(CASE, case, {"objects": objects})
        return tuple(objects)

    async def _request(self, case: str) -> tuple[str, ...]:
        by_camera: dict[str, list[str]] = {}
        found = self._shard.catalogue.ask(
            "SELECT camera, sighting FROM case_sightings WHERE person_case = ? ORDER BY camera, sighting", case
        )
        for camera, sighting in found:
            by_camera.setdefault(camera, []).append(sighting)
        erasures: list[str] = []
        for camera, sightings in by_camera.items():
            for part in _parts(sightings, _NAMED_AT_ONCE):
                name = f"case-{hashlib.sha256(repr((case, camera, part)).encode()).hexdigest()[:24]}"
                command = RequestErasure(
                    camera=camera,
                    erasure=name,
                    sightings=part,
                    reason="사건 종료 · the case has ended",
                    case=case,
                    at=self._now,
                    by=SYSTEM,
                )
                refusal = await self._command(command)
                if refusal is not None and not isinstance(refusal, NotFoundError):
                    raise refusal
                erasures.append(name)
        return tuple(erasures)


def _rewritten(block: str, table: pa.Table, asked: ErasureRequested) -> tuple[BlockErased, bytes] | None:
    """What becomes of a block, and its bytes, if there is anything left of it; None where nothing of it is erased."""
    rest = blocks.without(table, asked)
    if rest.num_rows == table.num_rows:
        return None
    after, data = blocks.packed(rest) if rest.num_rows else ("", b"")
    gone = table.num_rows - rest.num_rows
    return BlockErased(before=block, after=after, rows=gone, left=rest.num_rows), data


def _plan_of(camera: str, erasure: str) -> str:
    return f"erasures/{camera}.{erasure}.json"


def _first_of_cameras(tasks: Sequence[Task]) -> list[Task]:
    """Of each camera the erasure that was asked for first: the next is planned over the blocks that this one leaves.

    A task goes when the log that says so has been read here, and with it what became of the blocks.
    """
    first: dict[str, Task] = {}
    for task in sorted(tasks, key=lambda one: int(one.data["sequence"])):
        first.setdefault(task.key.split("/")[0], task)
    return list(first.values())


def _parts(all_of: Sequence[T], size: int) -> Iterator[tuple[T, ...]]:
    return (tuple(all_of[at : at + size]) for at in range(0, len(all_of), size))
