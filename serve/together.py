"""Few calls for many who ask."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

from schemas.errors import UnavailableError
from streams.ending import ended

A = TypeVar("A")
T = TypeVar("T")

TURNS = 8
"""Turns of the loop before a call leaves: who has arrived by now, but is not read yet, comes along. Where nobody has,
they take some ten microseconds."""


class Together(Generic[A, T]):
    """What is asked while a call is under way waits, and travels together in the next.

    `send` answers what it is given, one for one and in order. What it raises is raised to all whom the call was for,
    who are `most` at a time. Once as many wait, another call leaves beside those under way, of which there are `calls`.
    """

    def __init__(
        self,
        send: Callable[[list[A]], Awaitable[Sequence[T]]],
        name: str,
        most: int = sys.maxsize,
        calls: int = 1,
    ) -> None:
        self._send, self._name, self._most, self._calls = send, name, most, calls
        self._waiting: list[tuple[Sequence[A], asyncio.Future[list[T]]]] = []
        self._calling: set[asyncio.Task[None]] = set()

    @property
    def load(self) -> int:
        """Who waits for a call, and those under way."""
        return len(self._waiting) + len(self._calling)

    async def ask(self, asked: Sequence[A]) -> list[T]:
        """The answers, in order. Whoever gives up before the call for it has left is not asked for."""
        told: asyncio.Future[list[T]] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, told))
        if not self._calling or (len(self._waiting) >= self._most and len(self._calling) < self._calls):
            self._calling.add(asyncio.create_task(self._drain(), name=self._name))
        return await told

    async def stop(self) -> None:
        """Give up the calls under way; whoever waits, for it or for the next, meets `UnavailableError`."""
        waiting, self._waiting = self._waiting, []
        await ended(*self._calling)
        _fail(waiting, _stopped())

    async def _drain(self) -> None:
        task = asyncio.current_task()
        try:
            while self._due:
                for _ in range(TURNS):
                    await asyncio.sleep(0)
                if self._due:
                    waiting = [one for one in self._waiting if not one[1].done()]
                    sent, self._waiting = waiting[: self._most], waiting[self._most :]
                    if sent:
                        await self._call(sent)
        finally:
            self._calling = {one for one in self._calling if one is not task}

    @property
    def _due(self) -> bool:
        """Whether what waits is for the call that asks: all of it where that is the only one, else a whole call."""
        return bool(self._waiting) and (len(self._calling) == 1 or len(self._waiting) >= self._most)

    async def _call(self, sent: Sequence[tuple[Sequence[A], asyncio.Future[list[T]]]]) -> None:
        try:
            answers = iter(await self._send([one for asked, _ in sent for one in asked]))
        except Exception as error:
            _fail(sent, error)
            return
        except asyncio.CancelledError:
            _fail(sent, _stopped())
            raise
        for asked, told in sent:
            own = list(islice(answers, len(asked)))
            if not told.done():
                told.set_result(own)


def _fail(asked: Sequence[tuple[Any, asyncio.Future[Any]]], error: Exception) -> None:
    for _, told in asked:
        if not told.done():
            told.set_exception(error)


def _stopped() -> UnavailableError:
    return UnavailableError("this replica stops, whether it was done is unknown: ask again", retry_after_s=2)
