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
from serve.catalogue.collecting import turn_away
from serve.catalogue.refreshing import BY, Refresher, Sources
from serve.catalogue.standing import Standing
from streams.inbox import Inbox

logger = logging.getLogger(__name__)

LOOK_S = 2.0
AT_ONCE = 4
"""Sources that are asked at a time: one that is slow holds up nobody else."""
_TIDY_EVERY = timedelta(hours=1)
Sweep = Callable[[], Awaitable[object]]
"""Erases objects of datasets that nobody names any more."""


class Rounds:
    """The rounds of a city's datasets; with an `inbox` also of those whose rows come by NATS."""

    def __init__(
        self, backend: Backend, sources: Sources, inbox: Inbox | None = None, sweep: Sweep | None = None
    ) -> None:
        self._backend, self._sources, self._inbox, self._sweep = backend, sources, inbox, sweep
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
        for one in due:
            if one.id == self._sources.areas:
                await self._refresher.refresh(session, one)  # the rows of others are judged by them
            else:
                self._start(tasks, one.id, lambda one: self._refresher.refresh(session, one))
        sent = await self._sent(tasks, known, self._inbox) if self._inbox is not None else 0
        now = self._backend.now()
        if self._tidied_at is None or now - self._tidied_at >= _TIDY_EVERY:
            self._tidied_at = now
            await self.thin(known)
            if self._sweep is not None:
                await self._sweep()
        return len(due) + sent

    async def _sent(self, tasks: asyncio.TaskGroup, known: Mapping[str, Standing], inbox: Inbox) -> int:
        names = sorted((await inbox.waiting()).keys() - self._busy)
        for name in names:
            one = known.get(name)
            if one is None or one.row["retired_at"] is not None or not isinstance(one.facts.connector, FromNats):
                await turn_away(inbox, name, one, self._sources.most)
            elif not self._refresher.rests(one):
                self._start(tasks, name, lambda one: self._refresher.collect(inbox, one))
        return len(names)

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


async def _whatever_comes(coming: Awaitable[object]) -> None:
    """Wait for it; of what goes wrong the log tells, and everything goes on."""
    try:
        await coming
    except BomnaeError as error:
        logger.warning("datasets: %s; looking again", error)
    except Exception:  # a disk that is full, a driver's own: whatever it is, it looks again
        logger.exception("datasets: looking again")
