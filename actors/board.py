"""The newest states of shards that readers may see: each as of a commit, none in between."""

import asyncio
from typing import Any

from actors.context import Published
from actors.shard import Shard

ShardKey = tuple[str, int]
"""Context and number."""


_SOON_S = 0.005
"""Time for the feed and the answers of a commit to leave first: making the tables takes some milliseconds."""


class Board:
    """`published` holds the newest state of each shard, renewed at most every `every_s` seconds."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self.published: dict[ShardKey, Published] = {}
        self._offered: dict[ShardKey, Shard[Any]] = {}
        self._next: dict[ShardKey, float] = {}
        self._timers: dict[ShardKey, asyncio.TimerHandle] = {}
        self._overdue: set[ShardKey] = set()
        self._news = asyncio.Event()

    def offer(self, key: ShardKey, shard: Shard[Any]) -> None:
        """To be called in the moment of a commit: shows the state soon, or when the interval ends.

        A state that is then on its way into the next commits is shown in the moment in which they have landed.
        """
        self._offered[key] = shard
        if key in self._timers:
            return
        if key in self._overdue or key not in self.published:
            self._due(key)
            return
        loop = asyncio.get_running_loop()
        left = max(self._next[key] - loop.time(), _SOON_S)
        self._timers[key] = loop.call_later(left, self._due, key)

    async def changed(self, known: dict[ShardKey, int], timeout_s: float) -> dict[ShardKey, Published]:
        """What is shown of these shards beyond the known log sequences (-1: none), waiting `timeout_s` at most."""
        try:
            async with asyncio.timeout(timeout_s):
                while not (newer := self._newer(known)):
                    await self._news.wait()
                return newer
        except TimeoutError:
            return {}

    def _newer(self, known: dict[ShardKey, int]) -> dict[ShardKey, Published]:
        shown = ((key, self.published.get(key), position) for key, position in known.items())
        return {key: one for key, one, position in shown if one is not None and one.position > position}

    def _due(self, key: ShardKey) -> None:
        self._timers.pop(key, None)
        shard = self._offered[key]
        shard.wanted = not shard.settled
        if shard.settled:
            self._show(key, shard)
        else:
            self._overdue.add(key)

    def _show(self, key: ShardKey, shard: Shard[Any]) -> None:
        self._overdue.discard(key)
        before, now = self.published.get(key), shard.published()
        self._next[key] = asyncio.get_running_loop().time() + self._every_s
        # An owner that was thrown away may be behind its successor.
        if before is None or before.position < now.position:
            self.published[key] = now
            self._news.set()
            self._news = asyncio.Event()
