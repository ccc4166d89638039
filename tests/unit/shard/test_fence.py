"""Two owners of one shard, in both orders; conflicts, timeouts and incomplete tails."""

import asyncio
from collections.abc import Sequence

import pytest

from schemas.errors import AppendTimeoutError, FencedError, SequenceConflictError, StorageFullError, UnavailableError
from streams.log import Record, read_batches
from streams.memory import MemoryStore
from tests.unit.shard.harness import World, answer, ask, settle


class FaultyStore(MemoryStore):
    """Passes appends on, but for the faults that a test queues: raise before storing, or after."""

    def __init__(self, world: World) -> None:
        super().__init__("LOG_COUNTER_0", world.now)
        self.before: list[Exception] = []
        self.after: list[Exception] = []
        self.leave: list[int] = []

    async def append(self, records: Sequence[Record], expected: int) -> int:
        if self.leave:
            await super().append(records[: self.leave.pop()], expected)
            raise AppendTimeoutError(self.name, 1)
        if self.before:
            raise self.before.pop()
        sequence = await super().append(records, expected)
        if self.after:
            raise self.after.pop()
        return sequence


def faulty() -> tuple[World, FaultyStore]:
    world = World()
    store = FaultyStore(world)
    world.store = store
    return world, store


async def test_a_zombie_that_writes_after_its_successor_claimed_is_fenced_and_changes_nothing() -> None:
    world = World()
    zombie = await world.started()
    successor = await world.started()
    asked = ask(zombie, "a")
    with pytest.raises(FencedError):
        await zombie.step()
    with pytest.raises(UnavailableError, match="repeat its key"):
        answer(asked)
    ask(successor, "a")
    await settle(successor)
    assert successor.state.domain == {"a": 1}


async def test_what_the_old_owner_writes_before_the_claim_lands_is_seen_by_its_successor() -> None:
    world = World()
    old = await world.started()
    successor = world.owner()
    original = world.store.append

    async def old_writes_first(records: Sequence[Record], expected: int) -> int:
        world.store.append = original  # type: ignore[method-assign]
        ask(old, "a")
        await settle(old)
        return await original(records, expected)

    world.store.append = old_writes_first  # type: ignore[method-assign]
    await successor.start()
    assert successor.state.domain == {"a": 1}
    assert successor.state.epoch == 2


async def test_what_the_old_owner_writes_between_loading_and_the_claim_is_under_the_claim() -> None:
    world = World()
    old = await world.started()
    successor = world.owner()
    original = world.store.last_sequence

    async def old_writes_first() -> int:
        world.store.last_sequence = original  # type: ignore[method-assign]
        ask(old, "a")
        await settle(old)
        return await original()

    world.store.last_sequence = old_writes_first  # type: ignore[method-assign]
    await successor.start()
    assert (successor.state.domain, successor.state.epoch) == ({"a": 1}, 2)
    claim = [batch.commit async for batch in read_batches(world.store)][-1]
    assert (claim.number, claim.digest) == (old.state.number + 1, old.state.digest)


async def test_a_timeout_after_the_batch_landed_is_resolved_by_reading_the_tail() -> None:
    world, store = faulty()
    shard = await world.started()
    store.after = [AppendTimeoutError(store.name, 1)]
    asked = ask(shard, "a")
    await settle(shard)
    assert answer(asked).sequence == len(store.records)
    assert len([b async for b in read_batches(store) if b.events]) == 1


async def test_a_timeout_before_the_batch_landed_is_repeated() -> None:
    world, store = faulty()
    shard = await world.started()
    store.before = [AppendTimeoutError(store.name, 1), SequenceConflictError(store.name, 1)]
    ask(shard, "a")
    await settle(shard)
    assert len([b async for b in read_batches(store) if b.events]) == 1


async def test_an_incomplete_tail_is_folded_by_nobody_and_the_commit_is_repeated_behind_it() -> None:
    world, store = faulty()
    shard = await world.started()
    store.leave = [2]
    ask(shard, "a", 5)
    await settle(shard)
    assert len([b async for b in read_batches(store) if b.events]) == 1
    assert (await world.started()).state.domain == {"a": 5}


async def test_a_batch_that_lands_late_beside_its_repetition_counts_once() -> None:
    world, store = faulty()
    shard = await world.started()
    late: list[tuple[Sequence[Record], int]] = []
    original = store.append

    async def hold_back(records: Sequence[Record], expected: int) -> int:
        if not late:
            late.append((records, expected))
            raise AppendTimeoutError(store.name, 1)
        store.append = original  # type: ignore[method-assign]
        await original(*late[0])
        return await original(records, expected)

    store.append = hold_back  # type: ignore[method-assign]
    ask(shard, "a")
    await settle(shard)
    assert len([b async for b in read_batches(store) if b.events]) == 1
    assert (await world.started()).state.domain == {"a": 1}


async def test_a_claim_that_lands_while_the_tail_is_read_fences_the_old_owner() -> None:
    world, store = faulty()
    shard = await world.started()
    store.before = [AppendTimeoutError(store.name, 1)]
    original = store.last_sequence

    async def claim_just_after() -> int:
        store.last_sequence = original  # type: ignore[method-assign]
        newest = await original()
        await world.started()
        return newest

    store.last_sequence = claim_just_after  # type: ignore[method-assign]
    ask(shard, "a")
    with pytest.raises(FencedError):
        await shard.step()
    assert (await world.started()).state.domain == {}


async def test_a_full_log_refuses_new_commands_clearly_and_goes_on_by_itself_when_there_is_room() -> None:
    world, store = faulty()
    shard = await world.started()
    store.before = [StorageFullError(store.name)]
    first = ask(shard, "a")
    seen: list[Exception] = []

    def ask_while_full(*_: object) -> None:
        try:
            ask(shard, "b")
        except UnavailableError as error:
            seen.append(error)

    pause = shard._pause
    shard._pause = lambda error: (pause(error), ask_while_full())[0]  # type: ignore[method-assign]
    await settle(shard)
    assert answer(first).sequence
    assert "max_bytes" in str(seen[0])
    assert not shard.full


async def test_an_append_that_nobody_answers_is_tried_again_more_and_more_rarely() -> None:
    world, store = faulty()
    shard = await world.started()
    asked = ask(shard, "a")
    store.before = [AppendTimeoutError(store.name, 1)] * 10_000
    stepping = asyncio.create_task(shard.step())
    await asyncio.sleep(0.3)
    assert 2 <= 10_000 - len(store.before) <= 4
    store.before.clear()
    await stepping
    assert answer(asked).sequence == 3
