"""A search shard at work: follows the logs over NATS, does its duties, answers. A plain class; `actor.py` wraps it."""

import asyncio
import logging
import shutil
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from actors.host import wall_clock
from actors.meters import Meters, Metric
from schemas.errors import UnavailableError
from schemas.models import Calibration
from schemas.settings import Settings
from schemas.sighting import SegmentErased
from serve.search.asking import Behind, Question, Replies, Reply
from serve.search.duties import Duties, Others, Submit
from serve.search.place import Place
from serve.search.shard import SearchShard
from serve.search.store import DamagedStoreError
from streams.connection import Connection, access_of
from streams.ending import ended
from streams.follow import Follower
from streams.following import nudge
from streams.log import COMMITTED, SHARD_ENTITY
from streams.officers import forget_case
from streams.subjects import log_subject

logger = logging.getLogger(__name__)

_SHARD = ("shard",)
METRICS = (
    Metric("bomnae_search_rows", "gauge", "sightings that can be found in a search shard", _SHARD),
    Metric("bomnae_search_segments", "gauge", "its segments, sealed and loose", _SHARD),
    Metric("bomnae_search_recall", "gauge", "measured recall of its quantised stage, the least of its indexes", _SHARD),
    Metric("bomnae_search_seconds", "histogram", "from a call of the router to its answer", _SHARD),
    Metric("bomnae_search_questions", "counter", "questions answered; many travel in one call", _SHARD),
    Metric("bomnae_search_lag", "gauge", "records of the logs that a search shard has not read yet", _SHARD),
    Metric(
        "bomnae_search_behind_seconds",
        "gauge",
        "seconds since a search shard had read everything; about 1 where all is well",
        _SHARD,
    ),
    Metric("bomnae_search_missing_blocks", "gauge", "blocks that the log names and nobody finds", _SHARD),
    Metric("bomnae_search_tasks", "gauge", "erasures, deletions and hits that a search shard has to do", _SHARD),
)
"""Of every search shard."""

TEND_S = 2.0
MEASURE_S = 60.0
_AGAIN_S = 1.0


class SearchHost:
    """`start`, then `search`; `stop` at the end. `submit` and `others` are what `Duties` needs."""

    def __init__(
        self,
        settings: Settings,
        place: Place,
        submit: Submit,
        others: Others,
        meters: Meters,
        calibrations: Mapping[str, Calibration] | None = None,
        clock: Callable[[], int] = wall_clock,
    ) -> None:
        self._settings, self.place, self._submit, self._others = settings, place, submit, others
        self._meters, self._calibrations, self._clock = meters, calibrations or {}, clock
        self._followers: dict[tuple[str, int], Follower] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._connection: Connection | None = None
        self._anew: asyncio.Task[None] | None = None
        self._folder = settings.data.absolute() / "search" / place.name
        self.shard: SearchShard | None = None

    async def start(self) -> None:
        """Open what is on disk, and begin to follow in the background."""
        self._connection = await Connection.open(access_of(self._settings), self.place.name)
        blobs = self._connection.objects().blobs
        shard = SearchShard(self._folder, self.place, blobs, self._clock, self._calibrations)
        await shard.open()
        self.shard = shard
        # Cases first: who is watched for has to be known when the sightings come.
        for context in ("person", "sighting"):
            for number in range(self._settings.shards(context)):
                if context == "person" or self.place.has(number):
                    self._follow(shard, context, number)
        await nudge(
            self._connection.nc,
            {log_subject(*log, SHARD_ENTITY, COMMITTED): one.nudged for log, one in self._followers.items()},
        )
        self._begin("catch up", self._catch_up(shard))

    def _follow(self, shard: SearchShard, context: str, number: int) -> None:
        if self._connection is None:
            return
        store = self._connection.store(context, number)
        take = partial(shard.take, context, number)
        self._followers[context, number] = Follower(store, shard.position(context, number), take)

    def _begin(self, name: str, doing: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(doing, name=name))

    async def _catch_up(self, shard: SearchShard) -> None:
        for context in ("person", "sighting"):
            found = [follower for key, follower in self._followers.items() if key[0] == context]
            for follower in found:
                self._begin("follow", self._forever(follower.run))
            for follower in found:
                await follower.caught_up.wait()
        await self._repeated(shard.tend)
        shard.ready = True
        logger.info("%s has read everything", self.place.name)
        self._begin("verify", self._verify(shard))
        self._begin("tend", self._forever(lambda: self._every(TEND_S, shard.tend)))
        self._begin("measure", self._forever(lambda: self._every(MEASURE_S, shard.measure)))
        self._begin("meters", self._forever(lambda: self._every(TEND_S, self._show)))
        if self.place.copy == 0:
            duties = Duties(shard, self._submit, self._others, self._forget, self._clock)
            self._begin("duties", self._forever(duties.run))

    async def _verify(self, shard: SearchShard) -> None:
        try:
            await shard.verify()
        except DamagedStoreError as error:
            logger.error("%s: %s: it is read from the log again", self.place.name, error)
            # In a task of its own, since it ends the one that this is.
            self._anew = asyncio.create_task(self._begin_anew(), name="begin anew")

    async def _begin_anew(self) -> None:
        while True:
            await self._halt()
            try:
                await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
                await self.start()
                return
            except Exception:
                logger.exception("%s could not begin anew; trying again", self.place.name)
                await asyncio.sleep(_AGAIN_S)

    async def _every(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            await act()
            await asyncio.sleep(seconds)

    async def _repeated(self, act: Callable[[], Awaitable[None]]) -> None:
        """Until it succeeds."""
        while True:
            try:
                await act()
                return
            except Exception:
                logger.exception("%s could not tend its rows; trying again", self.place.name)
                await asyncio.sleep(_AGAIN_S)

    async def _forever(self, act: Callable[[], Awaitable[None]]) -> None:
        """Whatever ends, begins again: from what is kept on disk, which is never ahead of what was done."""
        while True:
            await self._repeated(act)

    async def _forget(self, case: str) -> None:
        if self._connection is not None:
            await forget_case(self._connection.nc, case)

    @property
    def ready(self) -> bool:
        """Whether everything that was in the logs at the start has been read."""
        return self.shard is not None and self.shard.ready

    async def search(self, questions: Sequence[Question]) -> Replies:
        """See `SearchShard.search`."""
        began = time.perf_counter()
        lag = self.lag
        found = await self._opened.search(questions)
        replies: Replies = [replace(one, lag=lag) if isinstance(one, Reply) else one for one in found]
        name = self.place.name
        self._meters.observe("bomnae_search_seconds", time.perf_counter() - began, shard=name)
        self._meters.add("bomnae_search_questions", sum(isinstance(one, Reply) for one in replies), shard=name)
        return replies

    @property
    def lag(self) -> Behind:
        """How far what is searched here is behind the logs of sightings."""
        followed = [follower for (context, _), follower in self._followers.items() if context == "sighting"]
        last = max(followed, key=lambda one: one.behind_s, default=None)
        if last is None:
            return Behind()
        return Behind(last.behind_s, sum(max(0, one.behind) for one in followed), last.failure)

    async def row_of(self, sighting: str, camera: str, moment: int) -> dict[str, Any] | None:
        """See `SearchShard.row_of`."""
        return await self._opened.row_of(sighting, camera, moment)

    def receipts(self, partition: int, sequence: int, camera: str, erasure: str) -> list[SegmentErased]:
        """See `SearchShard.receipts`."""
        return self._opened.receipts(partition, sequence, camera, erasure)

    @property
    def _opened(self) -> SearchShard:
        if self.shard is None:
            raise UnavailableError(f"{self.place.name} is opening its files", retry_after_s=2)
        return self.shard

    async def _show(self) -> None:
        if (shard := self.shard) is None:
            return
        name, indexes = self.place.name, list(shard.holdings.pools.indexes.values())
        recalls = [index.recall.mean for index in indexes if index.recall is not None]
        shown = {
            "rows": sum(len(index) for index in indexes),
            "segments": sum(len(index.state.segments) for index in indexes),
            "lag": sum(max(0, follower.behind) for follower in self._followers.values()),
            "behind_seconds": max((one.behind_s for one in self._followers.values()), default=0.0),
            "missing_blocks": len(shard.holdings.missing),
            "tasks": len(shard.catalogue.tasks()),
        }
        for what, value in shown.items():
            self._meters.put(f"bomnae_search_{what}", value, shard=name)
        if recalls:
            self._meters.put("bomnae_search_recall", min(recalls), shard=name)

    async def stop(self) -> None:
        """Stop following and disconnect; what was read is kept."""
        if self.shard is not None:
            # Whoever asks whether it is ready goes over to another layout.
            self.shard.ready = False
        if self._anew is not None:
            await ended(self._anew)
        await self._halt()

    async def _halt(self) -> None:
        tasks, self._tasks = self._tasks, []
        await ended(*tasks)
        self._followers = {}
        shard, self.shard = self.shard, None
        if shard is not None:
            shard.close()
        if self._connection is not None:
            await self._connection.close()
