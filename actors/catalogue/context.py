"""The catalogue context as the host drives it."""

from collections.abc import Collection
from typing import cast

import pyarrow as pa

from actors.catalogue.decider import AnyCatalogueCommand, decide, timed
from actors.catalogue.fold import evolve, initial_state
from actors.catalogue.state import State
from actors.catalogue.tables import load, tables
from actors.commanded import Commanded
from schemas.base import Command, Event
from schemas.catalogue import CatalogueCommand, CatalogueEvent
from schemas.errors import InvalidError
from streams.log import MAX_BATCH


class CatalogueContext(Commanded[State]):
    """Datasets, driven by commands and by time: `actors.context.Context[State]`."""

    name = "catalogue"

    def initial_state(self) -> State:
        """The state of an empty shard."""
        return initial_state()

    def decide(self, state: State, command: Command) -> list[Event]:
        """The events that a command leads to; `[]` when it is already so.

        Raises `NotFoundError`, `ConflictError` or `InvalidError`, the last also for a command of another context.
        """
        if not isinstance(command, CatalogueCommand):
            raise InvalidError(f"{type(command).__name__} is no command to a dataset")
        return [*decide(state, cast("AnyCatalogueCommand", command))]

    def evolve(self, state: State, event: Event) -> None:
        """Apply one event in place."""
        evolve(state, event)

    def tick(self, state: State, clock: int) -> list[Event]:
        """What has opened and what is late by `clock`; at most half of what one commit holds."""
        events: list[Event] = []
        for name, known in state.datasets.items():
            found = timed(known, name, clock)
            if len(events) + len(found) > MAX_BATCH // 2 - 1:
                break
            events += found
        for event in events:
            evolve(state, event)
        return events

    def dump(self, state: State) -> dict[str, pa.Table]:
        """The published tables, which hold everything."""
        return tables(state)

    def load(self, tables: dict[str, pa.Table]) -> State:
        """Inverse of `dump`."""
        return load(tables)

    def tables(self, state: State) -> dict[str, pa.Table]:
        """`schemas.tables.PUBLISHED["catalogue"]`."""
        return tables(state)

    def synthetic(self, state: State, event: Event) -> bool:
        """Whether the dataset is marked synthetic."""
        known = state.datasets.get(event.dataset) if isinstance(event, CatalogueEvent) else None
        return known is not None and known.facts.synthetic

    def objects(self, state: State) -> Collection[str]:
        """The names of all rows and findings; who refreshes datasets stores them before the log names them."""
        return {found for name, known in state.datasets.items() for found in known.objects(name)}
