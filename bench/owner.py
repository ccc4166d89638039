"""A facility shard that is run in the bench's own process, and when it had committed what."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from actors.commit import Asked
from actors.facility.context import FacilityContext
from actors.facility.state import Shard as State
from actors.host import wall_clock
from actors.shard import Shard
from bench.city import registration, sensor_ids
from schemas.base import Command
from streams.connection import Connection
from streams.snapshots import Snapshots


class Owner:
    """Runs one shard; `committed` holds (monotonic s, folded sequence of INGEST) after each commit."""

    def __init__(self, connection: Connection, number: int, snapshots: Snapshots) -> None:
        store, ingest = connection.store("facility", number), connection.ingest("facility", number)
        self.committed: list[tuple[float, int]] = []
        self._moved = asyncio.Event()
        self.shard: Shard[State] = Shard(
            FacilityContext(), number, store, ingest, snapshots, connection, wall_clock, self._note
        )

    def _note(self) -> None:
        self.committed.append((time.monotonic(), self.shard.state.position.sequence))
        self._moved.set()

    async def reached(self, sequence: int) -> float:
        """When everything up to a sequence of INGEST was folded and committed (monotonic s)."""
        while not self.committed or self.committed[-1][1] < sequence:
            self._moved.clear()
            await self._moved.wait()
        return next(at for at, position in self.committed if position >= sequence)

    async def submit(self, commands: Sequence[Command]) -> None:
        """Submit all and wait until they are durable. Raises the first refusal."""
        asked = [Asked(command, "", "", wall_clock()) for command in commands]
        for one in asked:
            self.shard.submit(one)
        await asyncio.gather(*(one.done for one in asked))


@asynccontextmanager
async def owner(connection: Connection, number: int, facility: str, sensors: int) -> AsyncIterator[Owner]:
    """Own a shard in which a facility's sensors are registered; leave it at the end."""
    gc.set_threshold(100_000, 50, 100)  # as a host has it
    owned = Owner(connection, number, await connection.snapshots("facility", number))
    task = asyncio.create_task(owned.shard.run())
    try:
        await owned.reached(0)
        await owned.submit(registration(facility, sensor_ids(facility, sensors)))
        yield owned
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
