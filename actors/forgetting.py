"""Erasing input once it is committed, for contexts whose events stand for it."""

import asyncio

from actors.feeding import Sinks, stubbornly
from streams.log import Position


class Forgetting:
    """Erases a shard's input up to the newest committed position, beside the commits.

    A successor begins again at its own start, so what a dead owner left is erased then.
    """

    def __init__(self, sinks: Sinks, context: str, shard: int) -> None:
        self._sinks, self._context, self._shard = sinks, context, shard
        self._position = Position()
        self._due = asyncio.Event()
        self.done = Position()

    def upto(self, position: Position) -> None:
        """Everything up to here is committed."""
        self._position = position
        self._due.set()

    async def once(self) -> None:
        """Erase what is due, until it is done."""
        self._due.clear()
        position = self._position
        await stubbornly(
            lambda: self._sinks.forget(self._context, self._shard, position), f"input of {self._context} {self._shard}"
        )
        self.done = position

    async def run(self) -> None:
        """Erase what is due, until cancelled."""
        while True:
            await self._due.wait()
            await self.once()
