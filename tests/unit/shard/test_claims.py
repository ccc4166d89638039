"""A key claimed for a request that is no command, and the answer that is kept with it."""

import pytest

from actors.commit import Asked
from actors.journal import UNANSWERED
from actors.replay import load
from actors.shard import Shard
from schemas.errors import IdempotencyConflictError
from streams.memory import MemoryIngest
from tests.unit.shard.counter import CounterContext, State
from tests.unit.shard.harness import T0, World, answer, settle

FIRST, OTHER = '{"position":"one"}', '{"position":"two"}'


async def claim(shard: Shard[State], said: str = "", digest: str = "d") -> str:
    asked = Asked(None, "k#", digest, T0, answer=said)
    shard.submit(asked)
    await settle(shard)
    return answer(asked).events


async def test_a_claim_has_no_answer_until_it_is_given_one_and_then_the_first_stands() -> None:
    shard = await World().started()
    assert [await claim(shard), await claim(shard)] == [UNANSWERED, UNANSWERED]
    assert await claim(shard, FIRST) == FIRST
    assert [await claim(shard, OTHER), await claim(shard)] == [FIRST, FIRST]


async def test_another_request_can_neither_claim_the_key_nor_answer_for_it() -> None:
    shard = await World().started()
    await claim(shard)
    for said in ("", OTHER):
        with pytest.raises(IdempotencyConflictError):
            await claim(shard, said, "another digest")


async def test_a_successor_knows_claims_and_answers_from_the_log_and_from_a_snapshot() -> None:
    world = World()
    first = await world.started()
    await claim(first)
    assert await claim(await world.started()) == UNANSWERED
    owner = await world.started()
    await claim(owner, FIRST)
    whole = await load(CounterContext(), world.store, MemoryIngest(world.messages), None)
    assert whole.journal.find("k#", "d", T0) == owner.state.journal.find("k#", "d", T0)
    await owner.saving.save(owner.state)
    assert await claim(await world.started()) == FIRST


async def test_a_repeat_of_an_answered_claim_stores_nothing() -> None:
    world = World()
    shard = await world.started()
    await claim(shard)
    await claim(shard, FIRST)
    before = len(world.store.records)
    await claim(shard)
    assert len(world.store.records) == before
