"""Asks one of a shard's copies: the one with the least to do, and another where it fails.

Questions that wait for the same copy travel in one call.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.errors import BomnaeError, UnavailableError
from serve.search.asking import Question, Replies, Reply
from serve.search.place import Place
from streams.ending import ended

Call = Callable[..., Awaitable[Any]]
"""`call(name, method, *arguments)` on the actor of a name. Raises `UnavailableError` where it cannot be reached."""

CALL_S = 10.0
"""Longest call of a shard; whoever waits has a deadline of its own."""
AGAIN_S = 2.0
"""Time from a failure of a copy to the look whether it is well again."""


@dataclass(slots=True)
class _Copy:
    """One copy of a shard: what waits for it, and whether it answered last time."""

    place: Place
    waiting: list[tuple[Question, "asyncio.Future[Reply]"]] = field(default_factory=list)
    calling: asyncio.Task[None] | None = None
    probing: asyncio.Task[None] | None = None
    failed: bool = False

    @property
    def load(self) -> tuple[bool, int]:
        """The least is asked first."""
        return self.failed, len(self.waiting) + (self.calling is not None)


class Copies:
    """All copies that were ever asked. `stop` gives up the calls under way."""

    def __init__(self, call: Call, copies: int) -> None:
        self._call, self._copies = call, copies
        self._of: dict[Place, _Copy] = {}
        self._turn = itertools.count()

    async def stop(self) -> None:
        """Give up the calls under way."""
        tasks = [task for one in self._of.values() for task in (one.calling, one.probing)]
        await ended(*(task for task in tasks if task is not None))

    async def ask(self, layout: int, number: int, questions: Sequence[Question], until: float) -> list[Reply]:
        """The answers of one shard by a moment of the loop's clock.

        Each copy has its part of the time that is left, so that one which hangs leaves some to the others. Raises
        `UnavailableError` or `TimeoutError` where none answers, and what a question is refused with.
        """
        now = asyncio.get_running_loop().time
        copies = [self._of.setdefault(place, _Copy(place)) for place in self._places(layout, number)]
        for one in copies:
            if one.failed and (one.probing is None or one.probing.done()):
                one.probing = asyncio.create_task(self._probe(one), name=f"{one.place.name} again")
        turn = next(self._turn)
        copies.sort(key=lambda one: (*one.load, (one.place.copy + turn) % self._copies))
        for left, copy in zip(range(len(copies), 0, -1), copies, strict=True):
            try:
                async with asyncio.timeout_at(now() + (until - now()) / left):
                    return await self._ask(copy, questions)
            except (UnavailableError, TimeoutError) as error:
                copy.failed = True
                failure = error
        raise failure

    async def _probe(self, copy: _Copy) -> None:
        """Have a copy that failed share the questions again once it is ready: no question pays for finding out."""
        await asyncio.sleep(AGAIN_S)
        with contextlib.suppress(BomnaeError, TimeoutError):
            async with asyncio.timeout(CALL_S):
                copy.failed = not await self._call(copy.place.name, "ready")

    def _places(self, layout: int, number: int) -> list[Place]:
        return [Place(layout, number, copy) for copy in range(self._copies)]

    async def _ask(self, copy: _Copy, questions: Sequence[Question]) -> list[Reply]:
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in questions]
        copy.waiting += zip(questions, futures, strict=True)
        if copy.calling is None:
            copy.calling = asyncio.create_task(self._drain(copy), name=copy.place.name)
        return list(await asyncio.gather(*futures))

    async def _drain(self, copy: _Copy) -> None:
        """While one call is under way, what comes meanwhile waits and travels with the next."""
        try:
            while copy.waiting:
                sent, copy.waiting = [one for one in copy.waiting if not one[1].done()], []
                await self._send(copy, sent)
        finally:
            copy.calling = None

    async def _send(self, copy: _Copy, sent: Sequence[tuple[Question, "asyncio.Future[Reply]"]]) -> None:
        if not sent:
            return
        try:
            async with asyncio.timeout(CALL_S):
                replies: Replies = await self._call(copy.place.name, "search", [question for question, _ in sent])
            copy.failed = False
        except (BomnaeError, TimeoutError) as error:
            copy.failed = True
            why = str(error) or "it did not answer in time"
            replies = [UnavailableError(f"{copy.place.name}: {why}", retry_after_s=2)] * len(sent)
        for (_, future), reply in zip(sent, replies, strict=True):
            if future.done():
                continue
            if isinstance(reply, BomnaeError):
                future.set_exception(reply)
            else:
                future.set_result(reply)
