"""Which number of shards is searched: the wanted one once all of it has read everything, until then another that has.

A new layout reads everything beside the old one, which is ended `GRACE_S` after the new one is complete (`hosting`): by
then every replica has looked and gone over. One that has not, or whose layout dies, looks again as soon as nothing
answers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from schemas.errors import BomnaeError
from serve.search.copies import CALL_S, Call
from serve.search.place import Place
from streams.ending import ended

LOOK_S = 2.0
"""Time between two looks for the shards of a new layout."""
GRACE_S = LOOK_S + 2 * CALL_S
"""The longest time from one look to the end of the next, where shards of both layouts hang."""


class Layouts:
    """`running` tells which numbers of shards have actors at present; without it there is the wanted one alone."""

    def __init__(
        self, call: Call, wanted: int, copies: int, running: Callable[[], Awaitable[Sequence[int]]] | None = None
    ) -> None:
        self._call, self.wanted, self._copies, self._running = call, wanted, copies, running
        self.current = wanted
        self._looking: asyncio.Task[None] | None = None
        self._choosing: asyncio.Task[bool] | None = None

    async def start(self) -> None:
        """Choose a layout, and go on looking where it is not the wanted one."""
        if self._running is not None:
            self._looking = asyncio.create_task(self._look(), name="search layout")

    async def stop(self) -> None:
        """Stop looking."""
        await ended(*(task for task in (self._looking, self._choosing) if task is not None))

    async def _look(self) -> None:
        while not await self.choose():  # noqa: ASYNC110 - several actors, none of which tells
            await asyncio.sleep(LOOK_S)

    async def choose(self) -> bool:
        """Search the wanted layout if all of it has read everything, else one that has; whether it is the wanted."""
        if await self._complete(self.wanted):
            self.current = self.wanted
            return True
        if self._running is not None:
            try:
                others = sorted(set(await self._running()) - {self.wanted})
            except BomnaeError:
                return False
            for layout in others:
                if await self._complete(layout):
                    self.current = layout
                    break
        return False

    async def another(self, layout: int, until: float) -> bool:
        """Look at once, because a layout did not answer; whether another one is searched now.

        Whoever asks meanwhile waits for the same look, until a moment of the loop's clock at the longest.
        """
        if self._running is None:
            return False
        if self.current == layout:
            if self._choosing is None or self._choosing.done():
                self._choosing = asyncio.create_task(self.choose(), name="search layout now")
            try:
                async with asyncio.timeout_at(until):
                    await asyncio.shield(self._choosing)
            except TimeoutError:
                return False
        return self.current != layout

    async def _complete(self, layout: int) -> bool:
        """Whether at least one copy of each shard has read everything."""

        async def one(place: Place) -> bool:
            try:
                async with asyncio.timeout(CALL_S):
                    return bool(await self._call(place.name, "ready"))
            except (BomnaeError, TimeoutError):
                return False

        places = [[Place(layout, number, copy) for copy in range(self._copies)] for number in range(layout)]
        told = await asyncio.gather(*(one(place) for copies in places for place in copies))
        return all(any(told[at : at + self._copies]) for at in range(0, len(told), self._copies))
