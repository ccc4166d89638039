"""A context that is as small as can be: named counters that messages raise and commands set."""

import hashlib
from collections.abc import Collection, Sequence
from typing import ClassVar

import orjson
import pyarrow as pa

from actors.context import Outcome
from schemas.base import Command, Event, from_micros
from schemas.errors import ConflictError
from streams.codec import trace_of
from streams.ingest import Observed
from streams.log import Position
from streams.rejected import Rejection


class Bump(Command):
    context: ClassVar[str] = "counter"
    entity_field: ClassVar[str] = "counter"
    counter: str
    times: int = 1


class Bumped(Event):
    context: ClassVar[str] = "counter"
    entity_field: ClassVar[str] = "counter"
    type: ClassVar[str] = "city.counter.bumped.v1"
    counter: str
    to: int


State = dict[str, int]


class CounterContext:
    """Each message `entity` × JSON list of rows: an int is a row that bumps, a string a row that is refused."""

    name = "counter"
    fold_version = 1
    fold_versions = frozenset({1})
    observed: frozenset[str] = frozenset()
    measured = False

    def initial_state(self) -> State:
        return {}

    def follow(self, state: State, version: int) -> None:
        pass

    def decide(self, state: State, command: Command) -> list[Event]:
        assert isinstance(command, Bump)
        if command.times < 0:
            raise ConflictError("a counter never goes back")
        now = state.get(command.counter, 0)
        return [Bumped(counter=command.counter, to=now + n, at=command.at) for n in range(1, command.times + 1)]

    def evolve(self, state: State, event: Event) -> None:
        assert isinstance(event, Bumped)
        state[event.counter] = event.to

    def observe(self, state: State, messages: Sequence[Observed], start: Position, max_events: int) -> Outcome:
        outcome = Outcome([], [], start)
        for message in messages:
            rows = orjson.loads(message.data)
            for number, row in enumerate(rows):
                if outcome.end.rows > number:
                    continue
                if len(outcome.events) == max_events:
                    return outcome
                if isinstance(row, str):
                    rejection = Rejection(f"counter-{message.sequence}", message.entity, row, b"", "", message.sequence)
                    outcome.rejections.append(rejection)
                else:
                    at = from_micros(message.arrived)
                    event = Bumped(counter=message.entity, to=state.get(message.entity, 0) + row, at=at)
                    self.evolve(state, event)
                    outcome.events.append(event)
                    outcome.traces.append(trace_of(message.headers))
                outcome.rows += 1
                outcome.end = Position(outcome.end.sequence, number + 1)
            outcome.end = Position(message.sequence)
        return outcome

    def tick(self, state: State, clock: int) -> list[Event]:
        return []

    def digest(self, state: State) -> str:
        return hashlib.blake2b(orjson.dumps(sorted(state.items()))).hexdigest()[:16]

    def dump(self, state: State) -> dict[str, pa.Table]:
        return {"counters": pa.table({"name": pa.array(list(state), pa.string()), "value": list(state.values())})}

    def load(self, tables: dict[str, pa.Table]) -> State:
        return dict(zip(*(column.to_pylist() for column in tables["counters"].columns), strict=True))

    def tables(self, state: State) -> dict[str, pa.Table]:
        return self.dump(state)

    def synthetic(self, state: State, event: Event) -> bool:
        return event.entity.startswith("toy-")

    def counted(self, state: State) -> None:
        return None

    def objects(self, state: State) -> Collection[str]:
        return ()
