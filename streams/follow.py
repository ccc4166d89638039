"""The complete batches of one log, from a position on and for ever."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from schemas.errors import BomnaeError
from streams.log import Batch, EventStore, read_batches

logger = logging.getLogger(__name__)

LOOK_S = 1.0
"""Longest time between two looks at the log, where no nudge comes."""

REST_S = 0.1
"""Shortest time between two looks that found something: what is written meanwhile travels together."""

_STORED_S = (0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256)
"""Pauses between looks after a nudge that led to nothing: a record is heard of when it is sent, before it is stored."""

Take = Callable[[Batch], Awaitable[None]]


class Follower:
    """Hands each complete batch of a log to `take`, in order.

    `take` keeps the batch's sequence together with what it did, and is called again with the same batch when it raised
    a `BomnaeError` or an `OSError`: the log or an object store that is away is asked again for ever. `nudged` is set by
    whoever hears that the log has grown; without that a look is taken each second.
    """

    def __init__(self, store: EventStore, after: int, take: Take, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._take, self._clock = store, take, clock
        self.name = store.name
        self._seen = clock()
        self.nudged = asyncio.Event()
        self.position = after
        """Sequence of the last batch taken."""
        self.behind = -1
        """Records behind `position` at the last look; -1 where the log has not been seen yet."""
        self.failure = ""
        """Why the last look failed; empty when it did not."""
        self.caught_up = asyncio.Event()
        """Set when everything that was in the log at some look has been taken."""

    @property
    def behind_s(self) -> float:
        """How long ago the newest moment lies from before which everything has been taken, in seconds."""
        return self._clock() - self._seen

    async def run(self, look_s: float = LOOK_S) -> None:
        """Follow until cancelled."""
        while True:
            nudged = self.nudged.is_set()
            self.nudged.clear()
            try:
                before = self.position
                await self.look()
                for pause_s in _STORED_S if nudged else ():
                    if self.position != before:
                        break
                    await asyncio.sleep(pause_s)
                    await self.look()
                self.failure = ""
                if self.position != before:
                    await asyncio.sleep(REST_S)
            except (BomnaeError, OSError) as error:
                self.failure = str(error) or type(error).__name__
                logger.warning("%s: %s; trying again", self._store.name, self.failure)
                await asyncio.sleep(look_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(look_s):
                    await self.nudged.wait()

    async def look(self) -> None:
        """Take everything that is in the log now."""
        began = self._clock()
        newest = await self._store.last_sequence()
        self.behind = newest - self.position
        if self.behind:
            async for batch in read_batches(self._store, self.position):
                await self._take(batch)
                self.position = batch.sequence
                self.behind = max(0, newest - self.position)
        # What follows the last commit record is an incomplete tail, and nobody's.
        self.behind = 0
        self._seen = began
        self.caught_up.set()
