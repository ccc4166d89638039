"""Many shards in one process: runs their owners, starts them anew after a failure, collects what they publish.

A plain class; `actors/actor.py` makes a Ray actor of it.
"""

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from actors.board import Board, ShardKey
from actors.catalogue.context import CatalogueContext
from actors.commit import Asked
from actors.context import Context, Published
from actors.facility.context import FacilityContext
from actors.journal import Entry
from actors.meters import Meters, Numbers, ShardMeter
from actors.person.context import PersonContext
from actors.population.context import PopulationContext
from actors.road.context import RoadContext
from actors.shard import Shard
from actors.sighting.context import SightingContext
from schemas.base import Command
from schemas.errors import BomnaeError, FencedError, UnavailableError
from schemas.settings import Settings
from streams.connection import Connection, access_of
from streams.ending import ended

__all__ = ["CONTEXTS", "HostConfig", "Request", "ShardHost", "ShardKey", "wall_clock"]

logger = logging.getLogger(__name__)

CONTEXTS: dict[str, Callable[[], Context[Any]]] = {
    "facility": FacilityContext,
    "road": RoadContext,
    "sighting": SightingContext,
    "person": PersonContext,
    "population": PopulationContext,
    "catalogue": CatalogueContext,
}
"""Every context that shards can hold, by name."""


_LEAVE_S = 5.0
"""How long a stopping host waits for the last commits and snapshots of its shards."""


def wall_clock() -> int:
    """Microseconds since the epoch: the one clock of a host, handed to everything below."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Request:
    """One command for a shard; without `command` only the key is claimed, or given its `answer`. See `Asked`."""

    shard: ShardKey
    command: Command | None
    key: str
    digest: str
    at: int
    answer: str = ""
    trace: str = ""


@dataclass(frozen=True, slots=True)
class HostConfig:
    """What a host is to do."""

    settings: Settings
    shards: tuple[ShardKey, ...]


class ShardHost:
    """The owners of some shards. `start`, then `submit` and `changed`; `stop` at the end.

    A shard that is fenced stays away; `left` is set when all of them are. Any other failure throws the owner away and
    starts a new one from the log.
    """

    def __init__(
        self,
        config: HostConfig,
        name: str = "shards",
        clock: Callable[[], int] = wall_clock,
        meters: Meters | None = None,
    ) -> None:
        self._config, self._name, self._clock = config, name, clock
        self._meters: Meters = meters if meters is not None else Numbers()
        self._shards: dict[ShardKey, Shard[Any]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._board = Board(config.settings.publish_every_ms / 1000)
        self.failures: dict[ShardKey, str] = {}
        self.left = asyncio.Event()
        self._connection: Connection | None = None
        self._stopping = False

    @property
    def shards(self) -> tuple[ShardKey, ...]:
        """What this host is to own."""
        return self._config.shards

    @property
    def published(self) -> dict[ShardKey, Published]:
        """The newest state of each shard that readers may see."""
        return self._board.published

    async def start(self) -> None:
        """Connect, and begin to own the shards in the background.

        Has the process collect garbage more rarely: commands come by the thousand, and each collection looks at all
        sensors' facts again (a third of a command's time was measured to go there).
        """
        gc.set_threshold(100_000, 50, 100)
        self._connection = await Connection.open(access_of(self._config.settings), self._name)
        for key in self._config.shards:
            self._tasks.append(asyncio.create_task(self._own(key), name=f"own {key}"))

    async def stop(self) -> None:
        """Leave all shards and disconnect. What is committed stays, what is not is answered as unavailable."""
        self._stopping = True
        for shard in self._shards.values():
            shard.leave()
        if self._tasks:
            await asyncio.wait([task for task in self._tasks if task.get_name().startswith("own ")], timeout=_LEAVE_S)
        await ended(*self._tasks)
        if self._connection is not None:
            await self._connection.close()

    async def submit(self, requests: Sequence[Request]) -> list[Entry | BomnaeError]:
        """The answer or error of each command, in order, when all are durable."""
        asked = [self._ask(request) for request in requests]
        return [await one if isinstance(one, asyncio.Future) else one for one in asked]

    def _ask(self, request: Request) -> "asyncio.Future[Entry | BomnaeError] | BomnaeError":
        shard = self._shards.get(request.shard)
        if shard is None:
            return UnavailableError(f"shard {request.shard[1]} of {request.shard[0]} is starting", retry_after_s=1)
        asked = Asked(
            request.command, request.key, request.digest, request.at, answer=request.answer, trace=request.trace
        )
        try:
            shard.submit(asked)
        except BomnaeError as error:
            return error
        return asyncio.ensure_future(_settled(asked))

    async def changed(self, known: dict[ShardKey, int], timeout_s: float) -> dict[ShardKey, Published]:
        """See `Board.changed`."""
        return await self._board.changed(known, timeout_s)

    def measure(self) -> None:
        """Tell the meters how all shards here stand."""
        for shard in self._shards.values():
            shard.measure()
        if self._connection is not None:
            self._meters.put("bomnae_nats_reconnects", self._connection.reconnects, process=self._name)

    async def _own(self, key: ShardKey) -> None:
        while True:
            try:
                shard = await self._make(key)
                shard.meter = ShardMeter(self._meters, *key)
                self._shards[key] = shard
                self.failures[key] = "starting"
                await shard.run()
                if self._stopping:
                    return
            except FencedError as error:
                logger.warning("%s", error)
                self._forget(key, str(error))
                if set(self.failures) >= set(self._config.shards) and not self._shards:
                    self.left.set()
                return
            except Exception as error:
                logger.exception("the owner of %s failed and is started anew", key)
                self._forget(key, str(error) or type(error).__name__)
                await asyncio.sleep(0.5)

    def _forget(self, key: ShardKey, why: str) -> None:
        self._shards.pop(key, None)
        self.failures[key] = why

    async def _make(self, key: ShardKey) -> Shard[Any]:
        if self._connection is None:
            raise UnavailableError("the host has not been started")
        name, number = key
        return Shard(
            CONTEXTS[name](),
            number,
            self._connection.store(name, number),
            self._connection.ingest(name, number),
            await self._connection.snapshots(name, number),
            self._connection,
            self._clock,
            partial(self._moved, key),
            int(self._config.settings.snapshot_every_s * 1e6),
        )

    def _moved(self, key: ShardKey) -> None:
        self.failures.pop(key, None)
        self._board.offer(key, self._shards[key])


async def _settled(asked: Asked) -> Entry | BomnaeError:
    try:
        return await asked.done
    except BomnaeError as error:
        return error
