"""The population context as the host drives it."""

from collections.abc import Collection
from typing import cast

import pyarrow as pa

from actors.commanded import Commanded
from actors.population.decider import AnyPopulationCommand, decide
from actors.population.fold import evolve, initial_state
from actors.population.presence import expected
from actors.population.state import NEWEST, State
from actors.population.tables import dump, load, tables
from schemas.base import Command, Event
from schemas.errors import InvalidError
from schemas.population import PopulationCommand, PopulationEvent


class PopulationContext(Commanded[State]):
    """Sources of counts by cell and hour, driven by commands alone: `actors.context.Context[State]`."""

    name = "population"
    fold_version = NEWEST
    fold_versions = frozenset({1, NEWEST})

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
        if not isinstance(command, PopulationCommand):
            raise InvalidError(f"{type(command).__name__} is no command to a population source")
        return [*decide(state, cast("AnyPopulationCommand", command))]

    def evolve(self, state: State, event: Event) -> None:
        """Apply one event in place."""
        evolve(state, event)

    def dump(self, state: State) -> dict[str, pa.Table]:
        """The published tables: they hold all of the state."""
        return dump(state)

    def load(self, tables: dict[str, pa.Table]) -> State:
        """Inverse of `dump`."""
        return load(tables)

    def tables(self, state: State) -> dict[str, pa.Table]:
        """`schemas.tables.PUBLISHED["population"]`."""
        return tables(state)

    def synthetic(self, state: State, event: Event) -> bool:
        """Whether the event's source is marked synthetic."""
        source = state.sources.get(event.source) if isinstance(event, PopulationEvent) else None
        return source is not None and source.facts.synthetic

    def objects(self, state: State) -> Collection[str]:
        """The blocks of all days, also of those that were replaced: the past is asked of them."""
        return expected(state).keys()
