"""Readings gather where folding few costs as much as folding many, and nobody waits for it who need not."""

import asyncio

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import pace, saving
from actors.pace import LONGEST_S, gathering_s, give_back
from actors.shard import PULL, Shard
from streams.memory import MemoryIngest
from tests.unit.shard.counter import CounterContext, State
from tests.unit.shard.harness import World, ask

SECONDS = st.floats(0.0, 10.0)


@given(folding=SECONDS, digest=SECONDS)
def test_a_shard_that_is_behind_does_not_wait(folding: float, digest: float) -> None:
    assert gathering_s(PULL // 4, PULL, folding, digest) == 0.0


@given(messages=st.integers(0, PULL), folding=SECONDS, digest=SECONDS)
def test_readings_gather_never_longer_than_states_are_published(messages: int, folding: float, digest: float) -> None:
    assert 0.0 <= gathering_s(messages, PULL, folding, digest) <= LONGEST_S


def test_few_sensors_do_not_wait_for_each_other() -> None:
    assert gathering_s(1, PULL, folding_s=0.0016, digest_s=0.00009) == 0.0


def test_many_sensors_gather_for_ten_digests() -> None:
    assert gathering_s(1, PULL, folding_s=0.001, digest_s=0.005) == pytest.approx(0.049)


async def test_a_command_ends_the_gathering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.shard.gathering_s", lambda *_: 60.0)
    world = World()
    world.say("a", 1)
    shard = world.owner()
    running = asyncio.create_task(shard.run())
    while not shard.state.position.sequence:
        await asyncio.sleep(0)
    asked = ask(shard, "a")
    async with asyncio.timeout(5):
        await asked.done
    shard.leave()
    async with asyncio.timeout(5):
        await running


async def test_the_shards_of_a_process_save_snapshots_at_other_moments() -> None:
    every, saved = 100_000_000, []
    for number in range(4):
        world = World()
        shard: Shard[State] = Shard(
            CounterContext(), number, world.store, MemoryIngest(world.messages), world.snapshots(), world.sinks,
            world.now, snapshot_every=every,
        )  # fmt: skip
        await shard.start()
        began = shard.state.stored_at
        while not await shard.saving.home.index():
            for _ in range(2_000):  # two seconds of this world's clock
                world.now()
            ask(shard, "a")
            await shard.step()
            await asyncio.sleep(0)
        saved.append((shard.state.stored_at - began) / every)
    assert all(0.0 < one < 1.1 for one in saved)
    assert min(abs(a - b) for k, a in enumerate(saved) for b in saved[:k]) > 0.1


async def test_owners_that_all_die_before_a_snapshot_is_due_leave_their_successors_no_longer_tail() -> None:
    every, world, tails = 100_000_000, World(), []
    for _ in range(30):
        shard: Shard[State] = Shard(
            CounterContext(), 0, world.store, MemoryIngest(world.messages), world.snapshots(), world.sinks,
            world.now, snapshot_every=every,
        )  # fmt: skip
        await shard.start()
        kept = [one.sequence for one in await shard.saving.home.index()]
        tails.append(shard.state.sequence - max(kept, default=0))
        for _ in range(20):  # it lives for a fifth of the time between two snapshots
            for _ in range(1_000):
                world.now()
            ask(shard, "a")
            await shard.step()
            await asyncio.sleep(0)
    assert max(tails[15:]) <= max(tails[:15])


async def test_owners_that_all_die_below_the_most_readings_of_a_tail_leave_it_no_longer_than_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(saving, "SNAPSHOT_ROWS", 5)
    world, tails = World(), []
    for _ in range(10):
        world.say("a", 1)
        world.say("a", 1)
        shard = world.owner()
        await shard.start()
        tails.append(shard.state.tail)
        while await shard.step():
            await asyncio.sleep(0)
    assert 3 <= max(tails) <= 5


async def test_what_came_while_a_snapshot_was_on_its_way_is_saved_when_it_has_landed_and_nothing_more_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(saving, "SNAPSHOT_ROWS", 1)
    world = World()
    shard = await world.started()
    for _ in range(3):  # the first snapshot has no chance to land in between
        world.say("a", 1)
        assert await shard.step()
    await shard.saving.finish()
    assert not await shard.step()
    await shard.saving.finish()
    assert (await world.snapshots().index())[-1].sequence == shard.state.sequence


@pytest.mark.skipif(pace._trim is None, reason="the C library offers nothing to give memory back with")
def test_memory_that_is_free_goes_back_to_the_system() -> None:
    process = psutil.Process()
    pieces = [b"x" * 50_000 for _ in range(2_000)]
    last = pieces[-1]  # it lies on top of the heap, and keeps the C library from giving back what is below
    held = process.memory_info().rss
    del pieces
    give_back()
    assert process.memory_info().rss < held - 50_000_000
    assert len(last) == 50_000
