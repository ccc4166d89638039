"""Where many commands wait, the next batch is decided while one is stored; nobody sees or loses anything by it."""

import asyncio
from collections.abc import Sequence

import pytest

from actors.board import Board
from actors.commit import Asked
from actors.replay import load
from actors.shard import LOOK_AHEAD, TICK_EVERY, Shard
from schemas.base import Event, from_micros
from schemas.errors import FencedError, UnavailableError
from streams.ingest import IngestSource
from streams.log import Record, read_batches
from streams.memory import MemoryIngest, MemoryStore
from tests.unit.shard.counter import Bumped, CounterContext, State
from tests.unit.shard.harness import World, answer, ask

KEY = ("counter", 0)


class HeldStore(MemoryStore):
    """Takes an append only when it is let; `at` is the number of the append that waits or has landed."""

    def __init__(self, world: World) -> None:
        super().__init__("LOG_COUNTER_0", world.now)
        self.let = asyncio.Event()
        self.let.set()

    async def append(self, records: Sequence[Record], expected: int) -> int:
        await asyncio.sleep(0.002)  # longer than a batch needs to leave the process
        await self.let.wait()
        return await super().append(records, expected)


async def busy(batches: int) -> tuple[World, HeldStore, Shard[State], list[Asked]]:
    """A shard with so many batches of commands in its queue, of which it has stored nothing yet."""
    world = World()
    world.store = store = HeldStore(world)
    shard = await world.started()
    return world, store, shard, [ask(shard, "a") for _ in range(999 * batches)]


async def decided(shard: Shard[State], value: int) -> None:
    async with asyncio.timeout(5):
        while shard.state.domain.get("a") != value:
            await asyncio.sleep(0.001)


async def agrees(world: World, ingest: IngestSource) -> State:
    """What the log alone leads to; raises where it says something else than a replay derives."""
    return (await load(CounterContext(), world.store, ingest, None, every_digest=True)).domain


async def test_the_next_batch_is_decided_while_one_is_stored_and_lands_behind_it() -> None:
    world, store, shard, asked = await busy(2)
    store.let.clear()
    storing = asyncio.create_task(shard.step())
    await decided(shard, 2 * 999)
    assert not any(one.done.done() for one in asked)
    assert await world.store.last_sequence() == 1
    store.let.set()
    await storing
    assert [one.done.done() for one in asked] == [True] * 999 + [False] * 999
    assert not shard.settled
    await shard.step()
    assert {answer(one).sequence for one in asked} == {1 + 1000, 1 + 2000}
    assert shard.settled
    assert await agrees(world, MemoryIngest([])) == {"a": 2 * 999}


async def test_few_commands_are_decided_when_their_turn_comes() -> None:
    _, store, shard, _ = await busy(1)
    for _ in range(LOOK_AHEAD - 1):
        ask(shard, "a")
    store.let.clear()
    storing = asyncio.create_task(shard.step())
    await asyncio.sleep(0.02)
    assert shard.state.domain == {"a": 999}
    store.let.set()
    await storing
    assert shard.settled


async def test_readers_see_commits_alone_and_not_much_later() -> None:
    world, _, shard, _ = await busy(10)
    board, seen = Board(0.01), []
    shard._on_change = lambda: board.offer(KEY, shard)
    board.offer(KEY, shard)
    while await shard.step():
        shown = board.published[KEY]
        seen.append((shown.position, shown.tables["counters"]["value"].to_pylist()))
    sealed = {batch.sequence: batch.commit.number for batch in [b async for b in read_batches(world.store)]}
    assert all(values == ([(sealed[position] - 1) * 999] if position > 1 else []) for position, values in seen)
    assert 3 <= len({position for position, _ in seen}) < 10


async def test_an_overdue_state_is_shown_also_when_what_was_decided_ahead_changes_nothing() -> None:
    _, store, shard, _ = await busy(1)
    for _ in range(LOOK_AHEAD):
        ask(shard, "a", times=0)
    board = Board(0.01)
    shard._on_change = lambda: board.offer(KEY, shard)
    board.offer(KEY, shard)
    store.let.clear()
    storing = asyncio.create_task(shard.step())
    await decided(shard, 999)
    while not shard.wanted:
        board.offer(KEY, shard)
        await asyncio.sleep(0.001)
    store.let.set()
    await storing
    assert board.published[KEY].position == 1
    assert await shard.step()
    assert board.published[KEY].position == 1 + 1000


async def test_an_owner_that_leaves_stores_what_it_decided_ahead() -> None:
    world, store, shard, asked = await busy(3)
    store.let.clear()
    running = asyncio.create_task(shard.run())
    store.let.set()
    await decided(shard, 2 * 999)
    shard.leave()
    await running
    assert answer(asked[999]).sequence
    with pytest.raises(UnavailableError):
        answer(asked[-1])
    assert await agrees(world, MemoryIngest([])) == {"a": 2 * 999}
    (found,) = await world.snapshots().index()
    assert found.sequence == await world.store.last_sequence()


async def test_an_owner_that_lost_the_shard_loses_what_it_decided_ahead_too() -> None:
    world = World()
    world.store = store = HeldStore(world)
    zombie = world.owner()
    running = asyncio.create_task(zombie.run())
    while zombie.state.epoch < 1:
        await asyncio.sleep(0.001)
    store.let.clear()
    asked = [ask(zombie, "a") for _ in range(2 * 999)]
    await decided(zombie, 2 * 999)
    newer = MemoryStore("LOG_COUNTER_0", world.now)
    newer.records = store.records
    await world.started(newer)
    store.let.set()
    with pytest.raises(FencedError):
        await running
    for one in asked:
        with pytest.raises(UnavailableError, match="repeat its key"):
            answer(one)
    assert await agrees(world, MemoryIngest([])) == {}


async def test_a_repeat_that_is_decided_ahead_gets_the_place_of_the_first() -> None:
    world, _, shard, _ = await busy(0)
    first = ask(shard, "a", key="k")
    rest = [ask(shard, "a") for _ in range(998)]
    again = ask(shard, "a", key="k")
    more = [ask(shard, "a") for _ in range(LOOK_AHEAD)]
    while await shard.step():
        pass
    assert answer(first).sequence == answer(rest[0]).sequence == answer(again).sequence < answer(more[0]).sequence
    loaded = await load(CounterContext(), world.store, MemoryIngest([]), None)
    assert loaded.journal.dump() == shard.state.journal.dump()


class TickingContext(CounterContext):
    """Time alone bumps the counter `t`."""

    def tick(self, state: State, clock: int) -> list[Event]:
        event = Bumped(counter="t", to=state.get("t", 0) + 1, at=from_micros(clock))
        self.evolve(state, event)
        return [event]


class Crowd:
    """A shard of which more commands are asked than one batch holds, whenever it looks."""

    def __init__(self, **options: int) -> None:
        self.world = World()
        self.world.store = HeldStore(self.world)
        self.shard: Shard[State] = Shard(
            TickingContext(), 0, self.world.store, MemoryIngest(self.world.messages), self.world.snapshots(),
            self.world.sinks, self.world.now, **options,
        )  # fmt: skip

    async def steps(self, count: int) -> None:
        for _ in range(count):
            while len(self.shard.deciding) < 999 + LOOK_AHEAD:
                ask(self.shard, "a")
            await self.shard.step()
            await asyncio.sleep(0)

    def seconds_pass(self, seconds: float) -> None:
        for _ in range(int(seconds * 1000)):
            self.world.now()


async def test_input_has_its_turn_however_many_commands_wait() -> None:
    crowd = Crowd()
    await crowd.shard.start()
    await crowd.steps(2)
    crowd.world.say("b", 1)
    await crowd.steps(2)
    assert crowd.shard.state.domain["b"] == 1


async def test_timers_have_their_turn_however_many_commands_wait() -> None:
    crowd = Crowd()
    await crowd.shard.start()
    await crowd.steps(2)
    before = crowd.shard.state.domain["t"]
    crowd.seconds_pass(TICK_EVERY / 1e6)
    await crowd.steps(3)
    assert crowd.shard.state.domain["t"] == before + 1


async def test_timers_have_their_turn_however_steadily_input_comes() -> None:
    world, clocks = World(), []

    class Watched(TickingContext):
        def tick(self, state: State, clock: int) -> list[Event]:
            clocks.append(clock)
            return super().tick(state, clock)

    shard: Shard[State] = Shard(
        Watched(), 0, world.store, MemoryIngest(world.messages), world.snapshots(), world.sinks, world.now
    )
    await shard.start()
    for _ in range(50):  # five seconds of this world's clock
        for _ in range(100):
            world.now()
        world.say("b", 1)
        assert await shard.step()
    assert len(clocks) >= 4
    # By what has arrived and is folded: a backlog must not look like silence.
    assert set(clocks) <= {message.arrived for message in world.messages}
    assert (await load(Watched(), world.store, MemoryIngest(world.messages), None)).domain == shard.state.domain


async def test_snapshots_have_their_turn_however_many_commands_wait() -> None:
    crowd = Crowd(snapshot_every=TICK_EVERY // 2)
    await crowd.shard.start()
    await crowd.steps(2)
    crowd.seconds_pass(0.5)
    await crowd.steps(3)
    assert await crowd.world.snapshots().index()
