"""What one owner commits, and what a successor makes of it."""

import asyncio

import pytest

from actors.commit import MAX_BYTES
from actors.replay import load
from schemas.errors import ConflictError, DivergenceError, IdempotencyConflictError, InvalidError
from streams.log import read_batches
from streams.memory import MemoryIngest
from tests.unit.shard.counter import CounterContext
from tests.unit.shard.harness import T0, World, answer, ask, settle


async def test_messages_and_commands_of_one_step_are_one_batch() -> None:
    world = World()
    world.say("a", 1, 2)
    shard = await world.started()
    asked = ask(shard, "b", 3)
    await shard.step()
    batches = [batch async for batch in read_batches(world.store)]
    assert [len(batch.events) for batch in batches] == [0, 5]
    assert shard.state.domain == {"a": 3, "b": 3}
    assert answer(asked).sequence == batches[-1].sequence


async def test_a_successor_goes_on_where_the_log_ends() -> None:
    world = World()
    world.say("a", 1)
    first = await world.started()
    await settle(first)
    world.say("a", 5)
    second = await world.started()
    await settle(second)
    assert second.state.domain == {"a": 6}
    assert second.state.epoch == 2


async def test_a_step_without_input_writes_nothing() -> None:
    world = World()
    shard = await world.started()
    before = len(world.store.records)
    assert not await shard.step()
    assert len(world.store.records) == before


async def test_a_command_that_changes_nothing_is_answered_with_the_newest_position_and_stores_nothing() -> None:
    world = World()
    shard = await world.started()
    asked = ask(shard, "a", 0)
    await settle(shard)
    assert answer(asked).sequence == shard.state.sequence == 1
    assert len(world.store.records) == 1


async def test_an_impossible_command_is_answered_with_its_error_and_stores_nothing() -> None:
    world = World()
    shard = await world.started()
    asked = ask(shard, "a", -1)
    await settle(shard)
    with pytest.raises(ConflictError):
        answer(asked)
    assert len(world.store.records) == 1


@pytest.mark.parametrize("times", [998, 999, 1000, 2500])
async def test_a_command_with_more_events_than_a_batch_holds_is_stored_in_whole_parts(times: int) -> None:
    world = World()
    shard = await world.started()
    asked = ask(shard, "a", times)
    await settle(shard)
    assert shard.state.domain == {"a": times}
    assert len([event async for batch in read_batches(world.store) for event in batch.events]) == times
    assert answer(asked).sequence == shard.state.sequence
    successor = await world.started()
    assert successor.state.domain == {"a": times}


async def test_a_successor_finishes_the_command_whose_owner_died_between_its_parts() -> None:
    world = World()
    shard = await world.started()
    ask(shard, "a", 2500, key="k", digest="d")
    await shard.step()
    successor = await world.started()
    assert successor.state.domain == {"a": 999}
    await settle(successor)
    assert successor.state.domain == {"a": 2500}
    again = ask(successor, "a", 2500, key="k", digest="d")
    await settle(successor)
    assert successor.state.domain == {"a": 2500}
    assert answer(again).events.count("counter.bumped") == 2500


async def test_more_events_than_a_commit_takes_from_input_are_split_inside_a_message() -> None:
    world = World()
    world.say("a", *[1] * 1200)
    world.say("b", 1)
    shard = await world.started()
    await settle(shard)
    assert shard.state.domain == {"a": 1200, "b": 1}
    successor = await world.started()
    assert successor.state.domain == {"a": 1200, "b": 1}


async def test_an_owner_that_dies_inside_a_message_leaves_the_rest_to_its_successor() -> None:
    world = World()
    world.say("a", *[1] * 1200)
    world.say("b", 1)
    shard = await world.started()
    await shard.step()
    successor = await world.started()
    assert successor.state.position.rows == 499
    await settle(successor)
    assert successor.state.domain == {"a": 1200, "b": 1}


async def test_a_repeated_key_gives_the_first_answer_also_after_a_restart_and_from_a_snapshot() -> None:
    world = World()
    shard = await world.started()
    first = ask(shard, "a", 2, key="k", digest="d")
    await settle(shard)
    await shard.saving.save(shard.state)
    for owner in (shard, await world.started()):
        again = ask(owner, "a", 2, key="k", digest="d")
        await settle(owner)
        assert answer(again) == answer(first)
        assert owner.state.domain == {"a": 2}


async def test_two_requests_with_one_key_in_one_commit_are_one() -> None:
    world = World()
    shard = await world.started()
    both = [ask(shard, "a", 1, key="k", digest="d") for _ in range(2)]
    await settle(shard)
    assert shard.state.domain == {"a": 1}
    assert answer(both[0]) == answer(both[1])


async def test_a_repeated_key_with_another_body_is_refused() -> None:
    world = World()
    shard = await world.started()
    ask(shard, "a", 2, key="k", digest="d")
    other = ask(shard, "a", 3, key="k", digest="e")
    await settle(shard)
    with pytest.raises(IdempotencyConflictError):
        answer(other)


async def test_refused_rows_are_kept_and_good_rows_of_the_same_message_count() -> None:
    world = World()
    world.say("a", 1, "not a number", 2)
    shard = await world.started()
    await settle(shard)
    assert shard.state.domain == {"a": 3}
    assert [rejection.reason for rejection in world.sinks.rejected] == ["not a number"]


async def test_a_snapshot_and_the_tail_give_the_same_as_the_whole_log() -> None:
    world = World()
    world.say("a", 1, 2, 3)
    shard = await world.started()
    await settle(shard)
    await shard.saving.save(shard.state)
    world.say("a", 4)
    ask(shard, "b")
    await settle(shard)
    ingest = MemoryIngest(world.messages)
    with_snapshot = await load(CounterContext(), world.store, ingest, world.snapshots())
    without = await load(CounterContext(), world.store, ingest, None)
    assert with_snapshot.domain == without.domain == {"a": 10, "b": 1}
    assert with_snapshot.digest == without.digest


async def test_the_state_as_of_a_moment_is_what_was_committed_by_then() -> None:
    world = World()
    world.say("a", 1)
    shard = await world.started()
    await settle(shard)
    moment = world.store.records[-1].stored_at
    world.say("a", 1)
    await settle(await world.started())
    past = await load(CounterContext(), world.store, MemoryIngest(world.messages), world.snapshots(), until=moment)
    assert past.domain == {"a": 1}


async def test_a_log_that_was_tampered_with_does_not_load() -> None:
    world = World()
    world.say("a", 1)
    await settle(await world.started())
    world.messages[0] = type(world.messages[0])(1, "a", "rows", 1, {}, b"[7]")
    with pytest.raises(DivergenceError, match="replay gives another event"):
        await load(CounterContext(), world.store, MemoryIngest(world.messages), None)


async def test_commands_that_are_too_large_together_go_into_several_commits() -> None:
    world = World()
    shard = await world.started()
    asked = [ask(shard, "x" * 1_500_000 + str(number)) for number in range(3)]
    await settle(shard)
    batches = [batch async for batch in read_batches(world.store) if batch.events]
    assert [len(batch.events) for batch in batches] == [1, 1, 1]
    assert [answer(one).sequence for one in asked] == [3, 5, 7]


async def test_commands_share_a_commit_as_far_as_its_record_has_room_for_them() -> None:
    world = World()
    shard = await world.started()
    for number in range(6):
        ask(shard, "x" * 1_000_000 + str(number), key=f"k{number}")
    await settle(shard)
    batches = [batch async for batch in read_batches(world.store) if batch.events]
    assert [len(batch.events) for batch in batches] == [2, 2, 2]
    assert all(len(record.data) < MAX_BYTES for record in world.store.records)
    assert (await world.started()).state.domain == shard.state.domain


async def test_a_command_that_fits_no_message_is_refused_and_those_beside_it_go_on() -> None:
    world = World()
    shard = await world.started()
    before = ask(shard, "a")
    huge = ask(shard, "x" * MAX_BYTES, key="k", digest="d")
    behind = ask(shard, "b")
    await settle(shard)
    with pytest.raises(InvalidError, match=r"4,194,\d+ bytes in one command or event.*: send less at once"):
        answer(huge)
    assert answer(before).sequence == answer(behind).sequence
    assert shard.state.domain == {"a": 1, "b": 1}
    assert (await world.started()).state.journal.find("k", "d", T0) is None


async def test_a_large_command_is_not_held_back_by_input_that_never_stops() -> None:
    world = World()
    shard = await world.started()
    asked = ask(shard, "x" * 3_000_000)
    world.say("a" * 3_000_000, 1)
    await shard.step()
    assert answer(asked).sequence


async def test_large_events_of_one_command_are_spread_over_commits() -> None:
    world = World()
    shard = await world.started()
    asked = ask(shard, "x" * 1_500_000, 7)
    await settle(shard)
    batches = [batch async for batch in read_batches(world.store) if batch.events]
    assert [len(batch.events) for batch in batches] == [3, 3, 1]
    assert answer(asked).sequence == shard.state.sequence
    assert (await world.started()).state.domain == shard.state.domain


async def test_an_owner_that_leaves_saves_a_snapshot_so_that_the_next_start_folds_nothing() -> None:
    world = World()
    world.say("a", 1, 2)
    shard = world.owner()
    running = asyncio.create_task(shard.run())
    while shard.state.domain != {"a": 3} or shard.state.number < 2:
        await asyncio.sleep(0)
    shard.leave()
    await running
    (found,) = await world.snapshots().index()
    assert found.sequence == await world.store.last_sequence()


async def test_an_owner_that_leaves_without_a_commit_of_its_own_saves_nothing() -> None:
    world = World()
    shard = world.owner()
    running = asyncio.create_task(shard.run())
    while shard.state.epoch < 1:
        await asyncio.sleep(0)
    shard.leave()
    await running
    assert await world.snapshots().index() == []
