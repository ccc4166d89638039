"""Asks one of a shard's copies: the one with the least to do, and another where it fails.

Questions that wait for the same copy travel in one call.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from schemas.errors import BomnaeError, UnavailableError
from serve.search.asking import Question, Replies, Reply
from serve.search.place import Place
from serve.together import Together
from streams.ending import ended

Call = Callable[..., Awaitable[Any]]
"""`call(name, method, *arguments)` on the actor of a name. Raises `UnavailableError` where it cannot be reached."""

CALL_S = 10.0
"""Longest call of a shard; whoever waits has a deadline of its own."""
AGAIN_S = 2.0
"""Time from a failure of a copy to the look whether it is well again."""

AT_ONCE = 8
"""Searches in one call at most. More of them scan no faster each, and all would wait for the last: so some are searched
for while what others found is written into the ledger."""

CALLS = 2
"""Calls under way at most: while a shard goes over its rows for one, which it does one at a time, the next is there."""


class _Copy:
    """One copy of a shard: what waits for it, and whether it answered last time."""

    def __init__(self, place: Place, call: Call) -> None:
        self.place, self._call = place, call
        self.asking: Together[Question, Reply | BomnaeError] = Together(self._send, place.name, AT_ONCE, CALLS)
        self.probing: asyncio.Task[None] | None = None
        self.failed = False

    @property
    def load(self) -> tuple[bool, int]:
        """The least is asked first."""
        return self.failed, self.asking.load

    async def ask(self, questions: Sequence[Question]) -> list[Reply]:
        """The answers. Raises `UnavailableError` where there are none, and what a question is refused with."""
        replies: list[Reply] = []
        for one in await self.asking.ask(questions):
            if isinstance(one, BomnaeError):
                raise one
            replies.append(one)
        return replies

    async def _send(self, questions: Sequence[Question]) -> Replies:
        try:
            async with asyncio.timeout(CALL_S):
                replies: Replies = await self._call(self.place.name, "search", questions)
        except (BomnaeError, TimeoutError) as error:
            self.failed = True
            why = str(error) or "it did not answer in time"
            raise UnavailableError(f"{self.place.name}: {why}", retry_after_s=2) from error
        self.failed = False
        return replies

    async def probe(self) -> None:
        """Have a copy that failed share the questions again once it is ready: no question pays for finding out."""
        await asyncio.sleep(AGAIN_S)
        with contextlib.suppress(BomnaeError, TimeoutError):
            async with asyncio.timeout(CALL_S):
                self.failed = not await self._call(self.place.name, "ready")

    async def stop(self) -> None:
        """Give up the calls under way."""
        await self.asking.stop()
        if self.probing is not None:
            await ended(self.probing)


class Copies:
    """All copies that were ever asked. `stop` gives up the calls under way."""

    def __init__(self, call: Call, copies: int) -> None:
        self._call, self._copies = call, copies
        self._of: dict[Place, _Copy] = {}
        self._turn = itertools.count()

    async def stop(self) -> None:
        """Give up the calls under way."""
        await asyncio.gather(*(one.stop() for one in self._of.values()))

    async def ask(self, layout: int, number: int, questions: Sequence[Question], until: float) -> list[Reply]:
        """The answers of one shard by a moment of the loop's clock.

        Each copy has its part of the time that is left, so that one which hangs leaves some to the others. Raises
        `UnavailableError` or `TimeoutError` where none answers, and what a question is refused with.
        """
        now = asyncio.get_running_loop().time
        copies = [self._of.setdefault(place, _Copy(place, self._call)) for place in self._places(layout, number)]
        for one in copies:
            if one.failed and (one.probing is None or one.probing.done()):
                one.probing = asyncio.create_task(one.probe(), name=f"{one.place.name} again")
        turn = next(self._turn)
        copies.sort(key=lambda one: (*one.load, (one.place.copy + turn) % self._copies))
        for left, copy in zip(range(len(copies), 0, -1), copies, strict=True):
            try:
                async with asyncio.timeout_at(now() + (until - now()) / left):
                    return await copy.ask(questions)
            except (UnavailableError, TimeoutError) as error:
                copy.failed = True
                failure = error
        raise failure

    def _places(self, layout: int, number: int) -> list[Place]:
        return [Place(layout, number, copy) for copy in range(self._copies)]
