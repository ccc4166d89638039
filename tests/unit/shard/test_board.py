"""Readers see states as of a commit, and soon, however busy the shard is."""

import asyncio
from collections.abc import Sequence

from actors.board import Board
from actors.shard import Shard
from streams.log import Record
from streams.memory import MemoryStore
from tests.unit.shard.counter import State
from tests.unit.shard.harness import World, ask, settle

KEY = ("counter", 0)


class HeldStore(MemoryStore):
    """Takes an append only when it is let."""

    let: asyncio.Event

    async def append(self, records: Sequence[Record], expected: int) -> int:
        await self.let.wait()
        return await super().append(records, expected)


async def held() -> tuple[World, Shard[State], Board, HeldStore]:
    world = World()
    world.store = store = HeldStore("LOG_COUNTER_0", world.now)
    store.let = asyncio.Event()
    store.let.set()
    shard, board = world.owner(), Board(0.02)
    shard._on_change = lambda: board.offer(KEY, shard)
    await shard.start()
    return world, shard, board, store


async def test_what_is_not_committed_is_not_shown_even_when_a_state_is_due() -> None:
    _, shard, board, store = await held()
    ask(shard, "a", 1)
    await settle(shard)  # comes within the interval, so it is shown later
    store.let.clear()
    ask(shard, "a", 5)
    committing = asyncio.create_task(shard.step())
    await asyncio.sleep(0.05)
    assert (shard.state.domain, shard.settled) == ({"a": 6}, False)
    assert board.published[KEY].position == 1
    store.let.set()
    await committing
    assert board.published[KEY].position == shard.state.sequence == 3 + 6
    assert shard.settled


async def test_the_last_of_many_commits_is_shown_when_the_interval_ends() -> None:
    _, shard, board, _ = await held()
    for _ in range(3):
        ask(shard, "a", 1)
        await settle(shard)
    assert board.published[KEY].position == 1
    shown = await board.changed({KEY: 1}, 1.0)
    assert shown[KEY].position == shard.state.sequence


async def test_a_reader_that_knows_everything_waits_its_time() -> None:
    _, shard, board, _ = await held()
    assert await board.changed({KEY: shard.state.sequence}, 0.01) == {}


async def test_an_owner_that_was_thrown_away_does_not_take_its_successors_place() -> None:
    world, first, board, _ = await held()
    ask(first, "a", 1)
    await settle(first)
    second = world.owner()
    second._on_change = lambda: board.offer(KEY, second)
    await second.start()
    await asyncio.sleep(0.03)
    board.offer(KEY, second)
    newest = board.published[KEY].position
    await asyncio.sleep(0.03)
    board.offer(KEY, first)
    assert board.published[KEY].position == newest == second.state.sequence


async def test_a_shard_that_never_rests_is_shown_all_the_same() -> None:
    _, shard, board, _ = await held()
    positions = set()
    for _ in range(40):
        ask(shard, "a", 1)
        await shard.step()
        await asyncio.sleep(0.002)
        positions.add(board.published[KEY].position)
    assert 2 <= len(positions) < 40
