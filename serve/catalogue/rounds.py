"""Keeps the datasets of a city fresh: looks for what is due, what came by NATS, and what few will ask for again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

import aiohttp

from schemas.catalogue import ThinVersions
from schemas.dataset import FromCity, FromFile, FromNats
from schemas.errors import BomnaeError
from serve.backend import Backend
from serve.catalogue.asking import declared_in
from serve.catalogue.collecting import Collector
from serve.catalogue.refreshing import BY, Refresher, Sources
from serve.catalogue.standing import Standing
from streams.inbox import Inbox

logger = logging.getLogger(__name__)

LOOK_S = 2.0
AT_ONCE = 4
"""Sources that are asked at a time: one that is slow holds up nobody else."""
PACE = timedelta(seconds=10)
"""Between two takings of what comes by NATS for a dataset: each is an event, which is kept."""
_TIDY_EVERY = timedelta(hours=1)
Sweep = Callable[[], Awaitable[object]]
"""Erases objects of datasets that nobody names any more."""


class Rounds:
    """The rounds of a city's datasets; with an `inbox` also of those whose rows come by NATS."""

    def __init__(
        self, backend: Backend, sources: Sources, inbox: Inbox | None = None, sweep: Sweep | None = None
    ) -> None:
        self._backend, self._sources, self._sweep = backend, sources, sweep
        self._collector = None if inbox is None else Collector(inbox, sources.most)
        self._rests_until, self._strange = dict[str, datetime](), set[str]()
        self._refresher, self._busy, self._room = Refresher(backend, sources), set[str](), asyncio.Semaphore(AT_ONCE)
        self._tidied_at: datetime | None = None

    async def run(self) -> None:
        """Look for what is due, for ever."""
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
            while True:
                await _whatever_comes(self._begin(session, tasks))
                await asyncio.sleep(LOOK_S)

    async def look(self, session: aiohttp.ClientSession) -> int:
        """Refresh what is due now, the areas first, and take in what came; how many datasets that were."""
        async with asyncio.TaskGroup() as tasks:
            return await self._begin(session, tasks)

    async def _begin(self, session: aiohttp.ClientSession, tasks: asyncio.TaskGroup) -> int:
        known = self._refresher.standings()
        due = [one for name, one in sorted(known.items()) if name not in self._busy and self._due(one)]
        areas = known.get(self._sources.areas or "")
        if areas is not None and areas.newest is None and (areas in due or areas.id in self._busy):
            # The rows of others are judged by the areas: they wait until these are known.
            due = [one for one in due if one is areas]
        for one in due:
            self._start(tasks, one.id, lambda one: self._refresher.refresh(session, one))
        await _whatever_comes(self._tidy(known))
        return len(due) + (await self._sent(tasks, self._collector) if self._collector is not None else 0)

    async def _tidy(self, known: Mapping[str, Standing]) -> None:
        now = self._backend.now()
        if self._tidied_at is not None and now - self._tidied_at < _TIDY_EVERY:
            return
        self._tidied_at = now
        await self.thin(known)
        if self._sweep is not None:
            await self._sweep()

    async def _sent(self, tasks: asyncio.TaskGroup, collector: Collector) -> int:
        waiting = (await collector.inbox.waiting()).keys() - self._busy
        # Only now: a dataset was registered before rows of it were sent.
        known, now, begun = self._refresher.standings(), self._backend.now(), 0
        taking = {name for name in waiting if (one := known.get(name)) is not None and _takes(one)}

        async def take(one: Standing) -> None:
            if await self._refresher.collect(collector, one) == "refreshed":
                self._rests_until[one.id] = self._backend.now() + PACE

        for name in sorted(taking):
            if now >= self._rests_until.get(name, now) and not self._refresher.rests(known[name]):
                self._start(tasks, name, take)
                begun += 1
        # What is known of datasets may be a moment old, so nobody is turned away at first sight.
        for name in sorted((waiting - taking) & self._strange):
            begun += 1
            await _whatever_comes(collector.turn_away(name, known.get(name)))
        self._strange = waiting - taking
        return begun

    def _start(self, tasks: asyncio.TaskGroup, name: str, do: Callable[[Standing], Awaitable[object]]) -> None:
        self._busy.add(name)

        async def in_turn() -> None:
            try:
                async with self._room:
                    await do(self._refresher.standings()[name])
            finally:
                self._busy.discard(name)

        tasks.create_task(_whatever_comes(in_turn()))

    def _due(self, one: Standing) -> bool:
        connector, now = one.facts.connector, self._backend.now()
        if one.row["retired_at"] is not None or connector is None or isinstance(connector, FromCity | FromNats):
            return False
        if isinstance(connector, FromFile) and self._sources.folder is None:
            return False  # a city that has no files yet: they wait, and nobody is to blame
        changed = self._refresher.changed(one)
        if self._refresher.rests(one) and not changed:
            return False
        newest = one.newest
        if newest is None or not newest.mark.endswith(declared_in(one.facts)):
            return True
        if isinstance(connector, FromFile):
            return changed or one.row["down_since"] is not None
        interval, seen = one.facts.interval_s, one.row["seen_at"]
        return interval is not None and (seen is None or now - seen >= timedelta(seconds=interval))

    async def thin(self, known: Mapping[str, Standing]) -> None:
        """Forget versions that few will ask for (`ThinVersions`), in the log first and then their objects."""
        at, days = self._backend.now(), max(1, self._sources.keep.days)
        commands = [ThinVersions(at=at, by=BY, dataset=one.id, days=days) for one in known.values() if one.versions[1:]]
        answer = await self._backend.submit(commands, None, None) if commands else None
        for name in (name for event in (answer.events if answer else ()) for name in event.get("objects", ())):
            await self._backend.delete_object(name)


def _takes(one: Standing) -> bool:
    return one.row["retired_at"] is None and isinstance(one.facts.connector, FromNats)


async def _whatever_comes(coming: Awaitable[object]) -> None:
    """Wait for it; of what goes wrong the log tells, and everything goes on."""
    try:
        await coming
    except BomnaeError as error:
        logger.warning("datasets: %s; looking again", error)
    except Exception:  # a disk that is full, a driver's own: whatever it is, it looks again
        logger.exception("datasets: looking again")
