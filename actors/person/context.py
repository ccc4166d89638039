"""The person context as the host drives it."""

from collections.abc import Collection, Sequence
from typing import cast

import pyarrow as pa

from actors.context import Outcome
from actors.person.decider import AnyPersonCommand, decide, due, expiry
from actors.person.fold import evolve, initial_state
from actors.person.state import State
from actors.person.tables import dump, load, tables
from schemas.base import Command, Event
from schemas.errors import InvalidError
from schemas.person import PersonCommand
from streams.ingest import Observed
from streams.log import MAX_BATCH, Position


class PersonContext:
    """Cases of missing persons, driven by commands and by time: `actors.context.Context[State]`."""

    name = "person"
    fold_version = 1
    fold_versions = frozenset({1})
    observed: frozenset[str] = frozenset()
    measured = False

    def initial_state(self) -> State:
        """The state of an empty shard."""
        return initial_state()

    def follow(self, state: State, version: int) -> None:
        """Nothing to choose: there is one version."""

    def decide(self, state: State, command: Command) -> list[Event]:
        """The events that a command leads to; `[]` when it is already so, but each look is an event.

        Raises `NotFoundError`, `ConflictError`, `ForbiddenError` or `InvalidError`, the last also for a command of
        another context.
        """
        if not isinstance(command, PersonCommand):
            raise InvalidError(f"{type(command).__name__} is no command to a case")
        return [*decide(state, cast("AnyPersonCommand", command))]

    def evolve(self, state: State, event: Event) -> None:
        """Apply one event in place."""
        evolve(state, event)

    def observe(self, state: State, messages: Sequence[Observed], start: Position, max_events: int) -> Outcome:
        """Nothing: cases hear commands alone, and no stream of input belongs to them."""
        last = messages[-1].sequence if messages else start.sequence
        return Outcome([], [], Position(last, 0) if messages else start)

    def tick(self, state: State, clock: int) -> list[Event]:
        """The cases that have expired by `clock`, with their watches; at most half of what one commit holds."""
        events: list[Event] = []
        for case in due(state, clock):
            ended = expiry(state, case)
            if len(events) + len(ended) > MAX_BATCH // 2 - 1:
                break
            for event in ended:
                evolve(state, event)
            events += ended
        return events

    def digest(self, state: State) -> str:
        """32 hex digits over all entities; costs what changed since the last call."""
        return state.digest.hexdigest(state.canonical)

    def dump(self, state: State) -> dict[str, pa.Table]:
        """The published tables, with what deciders need beyond them."""
        return dump(state)

    def load(self, tables: dict[str, pa.Table]) -> State:
        """Inverse of `dump`."""
        return load(tables)

    def tables(self, state: State) -> dict[str, pa.Table]:
        """`schemas.tables.PUBLISHED["person"]`."""
        return tables(state)

    def synthetic(self, state: State, event: Event) -> bool:
        """No: a case is never made up, whatever the cameras of its hits are."""
        return False

    def counted(self, state: State) -> None:
        """Nothing: what counts becomes events."""

    def objects(self, state: State) -> Collection[str]:
        """The names of all objects of cases that are not erased."""
        cases = ((name, case) for name, case in state.cases.items() if case.erased_at is None)
        return {f"cases/{name}/{digest}.bin" for name, case in cases for digest in case.objects}
