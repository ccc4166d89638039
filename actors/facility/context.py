"""The facility context as the host sees it."""

from collections.abc import Collection, Sequence
from typing import cast

import pyarrow as pa

from actors.context import Outcome
from actors.facility import counted, decider, fold, snapshot, timers
from actors.facility import tables as views
from actors.facility.batch import NAME
from actors.facility.state import NEWEST, Shard, evolve
from actors.facility.synthetic import synthetic
from schemas.base import Command, Event
from schemas.errors import InvalidError
from schemas.facility import FacilityCommand
from streams.ingest import Observed
from streams.log import Position


class FacilityContext:
    """`actors.context.Context` for facilities, their sensors and alarms. Keeps nothing: all state is the `Shard`."""

    name = NAME
    fold_version = NEWEST
    fold_versions = frozenset({1, NEWEST})
    observed: frozenset[str] = frozenset()
    measured = True

    def initial_state(self) -> Shard:
        """An empty shard."""
        return Shard()

    def follow(self, state: Shard, version: int) -> None:
        """See `state.Shard.version`."""
        state.version = version

    def decide(self, state: Shard, command: Command) -> list[Event]:
        """See `decider.decide`."""
        if not isinstance(command, FacilityCommand):
            raise InvalidError(f"{type(command).__name__} is not a command to a facility")
        return list(decider.decide(state, cast("decider.AnyCommand", command)))

    def evolve(self, state: Shard, event: Event) -> None:
        """See `state.evolve`."""
        evolve(state, event)

    def observe(self, state: Shard, messages: Sequence[Observed], start: Position, max_events: int) -> Outcome:
        """See `fold.observe`."""
        return fold.observe(state, messages, start, max_events)

    def tick(self, state: Shard, clock: int) -> list[Event]:
        """See `timers.tick`."""
        return list(timers.tick(state, clock))

    def digest(self, state: Shard) -> str:
        """See `snapshot.digest`."""
        return snapshot.digest(state)

    def dump(self, state: Shard) -> dict[str, pa.Table]:
        """See `snapshot.dump`."""
        return snapshot.dump(state)

    def load(self, tables: dict[str, pa.Table]) -> Shard:
        """See `snapshot.load`."""
        return snapshot.load(tables)

    def tables(self, state: Shard) -> dict[str, pa.Table]:
        """See `tables.tables`."""
        return views.tables(state)

    def synthetic(self, state: Shard, event: Event) -> bool:
        """See `synthetic.synthetic`."""
        return synthetic(state, event)

    def counted(self, state: Shard) -> pa.Table | None:
        """See `counted.take`."""
        return counted.take(state)

    def objects(self, state: Shard) -> Collection[str]:
        """None: nothing here is erasable."""
        return ()
