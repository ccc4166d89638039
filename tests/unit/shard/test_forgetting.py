"""Input that is erased once it is committed: objects before the commit, replay without the input, nothing left over."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import ClassVar

import orjson
import pytest

from actors.context import Outcome
from actors.shard import Shard
from actors.verify import verify_shard
from schemas import registry
from schemas.base import from_micros
from schemas.errors import DivergenceError
from streams.ingest import Observed
from streams.log import Position
from streams.memory import MemoryIngest, MemoryStore
from tests.unit.shard.counter import Bumped, CounterContext, State
from tests.unit.shard.harness import World, ask, settle


class Heard(Bumped):
    type: ClassVar[str] = "city.counter.heard.v1"


registry.EVENTS[Heard.type] = Heard


class Forgetful(CounterContext):
    """Keeps each message as an object, and refers to it by what it adds up to."""

    observed = frozenset({Heard.type})

    def observe(self, state: State, messages: Sequence[Observed], start: Position, max_events: int) -> Outcome:
        outcome = Outcome([], [], start)
        for message in messages:
            to = state.get(message.entity, 0) + sum(orjson.loads(message.data))
            event = Heard(counter=message.entity, to=to, at=from_micros(message.arrived))
            self.evolve(state, event)
            outcome.events.append(event)
            outcome.objects.append((name_of(message.entity, to), message.data))
            outcome.end = Position(message.sequence)
        return outcome

    def objects(self, state: State) -> Collection[str]:
        return {name_of(counter, to) for counter, to in state.items()}


def name_of(counter: str, to: int) -> str:
    return hashlib.sha256(f"{counter} {to}".encode()).hexdigest()


class Forgetting(World):
    def owner(self, store: MemoryStore | None = None) -> Shard[State]:
        ingest = MemoryIngest(self.messages)
        return Shard(Forgetful(), 0, store or self.store, ingest, self.snapshots(), self.sinks, self.now)


class Refusing(MemoryStore):
    """A log that takes claims only."""

    async def append(self, records: Sequence[object], expected: int) -> int:
        if len(records) > 1:
            raise RuntimeError("the owner dies here")
        return await super().append(records, expected)  # type: ignore[arg-type]


async def lived() -> Forgetting:
    world = Forgetting()
    shard = await world.started()
    world.say("a", 1, 2)
    await settle(shard)
    ask(shard, "a")
    world.say("b", 5)
    await settle(shard)
    return world


async def test_the_state_comes_from_the_log_when_the_input_is_gone() -> None:
    world = await lived()
    world.messages.clear()
    shard = await world.started()
    assert shard.state.domain == {"a": 4, "b": 5}
    assert shard.state.position == Position(2)


async def test_verify_holds_without_the_input_and_notices_a_changed_digest() -> None:
    world = await lived()
    held = await verify_shard(Forgetful(), world.store, MemoryIngest([]), world.snapshots())
    assert held.sequence == len(world.store.records)
    place = next(i for i, record in enumerate(world.store.records) if record.type == Heard.type)
    tampered = world.store.records[place]
    world.store.records[place] = replace(tampered, data=tampered.data.replace(b":3", b":8"))
    with pytest.raises(DivergenceError):
        await verify_shard(Forgetful(), world.store, MemoryIngest([]), world.snapshots())


async def test_a_snapshot_and_the_tail_lead_to_the_same_state() -> None:
    world = await lived()
    shard = await world.started()
    await shard.saving.save(shard.state)
    world.say("a", 7)
    await settle(shard)
    world.messages.clear()
    assert (await world.started()).state.domain == {"a": 11, "b": 5}


async def test_objects_are_kept_before_the_commit_that_refers_to_them() -> None:
    world = Forgetting(Refusing("LOG_COUNTER_0", lambda: 0))
    shard = await world.started()
    world.say("a", 3)
    with pytest.raises(RuntimeError):
        await shard.step()
    assert world.sinks.objects == {name_of("a", 3): b"[3]"}


async def test_what_was_kept_for_a_commit_that_never_came_is_erased_by_the_next_owner() -> None:
    world = await lived()
    world.sinks.objects["orphan"] = b"bytes"
    world.sinks.kept.append("orphan")
    await world.started()
    assert "orphan" not in world.sinks.objects
    assert name_of("b", 5) in world.sinks.objects


async def test_input_is_forgotten_up_to_the_commit_and_at_the_start_of_a_successor() -> None:
    world = await lived()
    assert world.sinks.forgotten == Position()
    shard = await world.started()
    await shard.forgetting.once()
    assert world.sinks.forgotten == Position(2)
    world.say("a", 1)
    await settle(shard)
    await shard.forgetting.once()
    assert world.sinks.forgotten == Position(3)


async def test_a_context_whose_input_stays_forgets_nothing() -> None:
    world = World()
    world.say("a", 1)
    shard = await world.started()
    await settle(shard)
    assert (world.sinks.forgotten, world.sinks.objects) == (Position(), {})
