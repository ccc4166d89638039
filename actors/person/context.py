"""The person context as the host drives it."""

from collections.abc import Collection
from typing import cast

import pyarrow as pa

from actors.commanded import Commanded
from actors.person.decider import AnyPersonCommand, decide, due, expiry
from actors.person.fold import evolve, initial_state
from actors.person.state import State
from actors.person.tables import dump, load, tables
from schemas.base import Command, Event
from schemas.errors import InvalidError
from schemas.person import PersonCommand
from streams.log import MAX_BATCH


class PersonContext(Commanded[State]):
    """Cases of missing persons, driven by commands and by time: `actors.context.Context[State]`."""

    name = "person"

    def initial_state(self) -> State:
        """The state of an empty shard."""
        return initial_state()

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

    def objects(self, state: State) -> Collection[str]:
        """The names of all objects of cases that are not erased."""
        cases = ((name, case) for name, case in state.cases.items() if case.erased_at is None)
        return {f"cases/{name}/{digest}.bin" for name, case in cases for digest in case.objects}
