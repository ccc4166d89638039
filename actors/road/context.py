"""The road context as the host drives it."""

from collections.abc import Collection, Sequence
from typing import cast

import pyarrow as pa

from actors.context import Outcome
from actors.road.decider import AnyRoadCommand, decide
from actors.road.fold import evolve, initial_state
from actors.road.observe import observe
from actors.road.state import NEWEST, State
from actors.road.status import overdue
from actors.road.synthetic import synthetic
from actors.road.tables import dump, load, tables
from schemas.base import Command, Event, from_micros
from schemas.errors import InvalidError
from schemas.road import RoadCommand
from streams.ingest import Observed
from streams.log import Position


class RoadContext:
    """Roads, their works and their snow: `actors.context.Context[State]`."""

    name = "road"
    fold_version = NEWEST
    fold_versions = frozenset({1, NEWEST})
    observed: frozenset[str] = frozenset()
    measured = False

    def initial_state(self) -> State:
        """The state of an empty shard."""
        return initial_state()

    def follow(self, state: State, version: int) -> None:
        """See `state.State.version`."""
        state.version = version

    def decide(self, state: State, command: Command) -> list[Event]:
        """The events that a command leads to; `[]` when it is already so.

        Raises `NotFoundError`, `ConflictError` or `InvalidError`, the last also for a command of another context.
        """
        if not isinstance(command, RoadCommand):
            raise InvalidError(f"{type(command).__name__} is no command to a road")
        return [*decide(state, cast("AnyRoadCommand", command))]

    def evolve(self, state: State, event: Event) -> None:
        """Apply one event in place."""
        evolve(state, event)

    def observe(self, state: State, messages: Sequence[Observed], start: Position, max_events: int) -> Outcome:
        """Fold feed messages in stream order, each at its own arrival; any division gives the same state and events."""
        return observe(state, messages, start, max_events)

    def tick(self, state: State, clock: int) -> list[Event]:
        """Changes of status that did not fit beside the event that caused them; `[]` at nearly all times."""
        changes = overdue(state, from_micros(clock))
        for change in changes:
            evolve(state, change)
        return [*changes]

    def digest(self, state: State) -> str:
        """32 hex digits over all entities; costs what changed since the last call."""
        return state.digest.hexdigest(state.canonical)

    def dump(self, state: State) -> dict[str, pa.Table]:
        """The published tables, works and snow with what deciders need beyond them."""
        return dump(state)

    def load(self, tables: dict[str, pa.Table]) -> State:
        """Inverse of `dump`."""
        return load(tables)

    def tables(self, state: State) -> dict[str, pa.Table]:
        """`schemas.tables.PUBLISHED["road"]`."""
        return tables(state)

    def synthetic(self, state: State, event: Event) -> bool:
        """See `synthetic.synthetic`."""
        return synthetic(state, event)

    def counted(self, state: State) -> None:
        """Nothing: what counts becomes events."""

    def objects(self, state: State) -> Collection[str]:
        """None: nothing here is erasable."""
        return ()
