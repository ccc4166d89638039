"""One shard of counters on memory stores, and what a test does with it."""

import itertools
from collections.abc import Collection, Sequence
from typing import Any

import orjson

from actors.commit import Asked
from actors.journal import Entry
from actors.shard import Shard
from schemas.base import from_micros
from streams.blobs import MemoryBlobs
from streams.ingest import Observed
from streams.log import Batch, Position
from streams.memory import MemoryIngest, MemoryStore
from streams.rejected import Rejection
from streams.snapshots import Snapshots
from tests.unit.shard.counter import Bump, CounterContext, State

T0 = 1_800_000_000_000_000


class Sinks:
    def __init__(self) -> None:
        self.rejected: list[Rejection] = []
        self.fed: list[Batch] = []
        self.objects: dict[str, bytes] = {}
        self.kept: list[str] = []
        self.forgotten = Position()

    async def reject(self, context: str, rejections: Sequence[Rejection]) -> None:
        self.rejected += rejections

    async def feed(self, batch: Batch) -> None:
        self.fed.append(batch)

    async def keep(self, context: str, shard: int, objects: Sequence[tuple[str, bytes]]) -> None:
        self.objects |= dict(objects)
        self.kept = [name for name, _ in objects]

    async def sweep(self, context: str, shard: int, held: Collection[str]) -> None:
        for name in set(self.kept) - set(held):
            self.objects.pop(name, None)

    async def forget(self, context: str, shard: int, position: Position) -> None:
        self.forgotten = position


class World:
    """What outlives an owner: log, input, snapshots, sinks, clock."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.ticks = itertools.count(T0, 1000)
        self.store = store or MemoryStore("LOG_COUNTER_0", self.now)
        self.messages: list[Observed] = []
        self.blobs = MemoryBlobs()
        self.sinks = Sinks()

    def now(self) -> int:
        return next(self.ticks)

    def say(self, counter: str, *rows: Any) -> None:
        sequence = len(self.messages) + 1
        self.messages.append(Observed(sequence, counter, "rows", T0 + sequence, {}, orjson.dumps(rows)))

    def snapshots(self) -> Snapshots:
        return Snapshots(self.blobs, "counter", 0)

    def owner(self, store: Any = None) -> Shard[State]:
        return Shard(
            CounterContext(),
            0,
            store or self.store,
            MemoryIngest(self.messages),
            self.snapshots(),
            self.sinks,
            self.now,
        )

    async def started(self, store: Any = None) -> Shard[State]:
        shard = self.owner(store)
        await shard.start()
        return shard


def ask(shard: Shard[State], counter: str, times: int = 1, key: str = "", digest: str = "") -> Asked:
    command = Bump(counter=counter, times=times, at=from_micros(T0), by="test")
    asked = Asked(command, key, digest, T0)
    shard.submit(asked)
    return asked


async def settle(shard: Shard[State]) -> None:
    while await shard.step():
        pass


def answer(asked: Asked) -> Entry:
    assert asked.done.done(), "the command has not been answered"
    return asked.done.result()
