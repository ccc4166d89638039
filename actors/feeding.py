"""What a shard writes beside its log: refused input before a commit, the feed after it; each until it lands."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

from schemas.errors import BomnaeError
from streams.log import Batch, EventStore, Position, read_batches
from streams.rejected import Rejection

logger = logging.getLogger(__name__)

_WAITING = 64
_LONGEST_WAIT_S = 2.0


class Sinks(Protocol):
    """Where a shard writes beside its log."""

    async def reject(self, context: str, rejections: Sequence[Rejection]) -> None:
        """Store refused input durably; repeats with the same ids are recognised."""
        ...

    async def feed(self, batch: Batch) -> None:
        """Publish what others may see of a committed batch; repeats with the same ids are recognised."""
        ...

    async def keep(self, context: str, shard: int, objects: Sequence[tuple[str, bytes]]) -> None:
        """Store erasable objects durably before the commit that refers to them; safe to repeat."""
        ...

    async def sweep(self, context: str, shard: int, held: Collection[str]) -> None:
        """Erase what an earlier owner kept for a commit that never came: of its last objects those not in `held`."""
        ...

    async def forget(self, context: str, shard: int, position: Position) -> None:
        """Erase the shard's input up to a committed position, overwriting its bytes; safe to repeat."""
        ...


class Feeding:
    """Publishes committed batches in order; `done` is the log sequence up to which the feed is published.

    At least once: a successor begins again behind the last `done` that a commit record tells. At most 64 batches wait,
    then `put` waits: a feed that is away holds the shard back rather than filling its memory.
    """

    def __init__(self, sinks: Sinks, store: EventStore) -> None:
        self._sinks, self._store = sinks, store
        self._waiting: asyncio.Queue[Batch] = asyncio.Queue(maxsize=_WAITING)
        self.done = 0

    @property
    def backlog(self) -> int:
        """Committed batches that wait to be published."""
        return self._waiting.qsize()

    async def put(self, batch: Batch) -> None:
        """Queue a committed batch."""
        await self._waiting.put(batch)

    def take(self) -> Batch | None:
        """The oldest batch that waits, for a test that plays the publisher itself."""
        return None if self._waiting.empty() else self._waiting.get_nowait()

    async def again(self, after: int) -> None:
        """Publish what an earlier owner may not have published: everything in the log behind `after`."""
        self.done = after
        async for batch in read_batches(self._store, after):
            await self._publish(batch)

    async def run(self) -> None:
        """Publish what is queued, until cancelled."""
        while True:
            await self._publish(await self._waiting.get())

    async def _publish(self, batch: Batch) -> None:
        if batch.events:
            await stubbornly(lambda: self._sinks.feed(batch), self._store.name)
        self.done = batch.sequence


async def stubbornly(act: Callable[[], Awaitable[None]], name: str) -> None:
    """Repeat an idempotent write until it lands: nothing refused or fed is ever dropped."""
    wait = 0.05
    while True:
        try:
            await act()
            return
        except (TimeoutError, BomnaeError, OSError) as error:
            logger.warning("%s: %s; trying again", name, error)
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT_S)
