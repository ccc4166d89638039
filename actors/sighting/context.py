"""The sighting context as the host drives it."""

from collections.abc import Collection, Sequence
from typing import cast

import pyarrow as pa

from actors.context import Outcome
from actors.sighting import decider
from actors.sighting.blocks import name_of
from actors.sighting.decider import AnySightingCommand, decide
from actors.sighting.fold import evolve, initial_state
from actors.sighting.observe import observe
from actors.sighting.state import State
from actors.sighting.tables import dump, load, tables
from schemas.base import Command, Event
from schemas.errors import InvalidError
from schemas.sighting import CameraHeard, CameraRestored, SightingCommand, SightingsObserved
from streams.ingest import Observed
from streams.log import MAX_BATCH, Position


class SightingContext:
    """Cameras and what they saw, whose input is erased once committed: `actors.context.Context[State]`."""

    name = "sighting"
    fold_version = 1
    fold_versions = frozenset({1})
    observed: frozenset[str] = frozenset({SightingsObserved.type, CameraHeard.type, CameraRestored.type})
    measured = False

    def initial_state(self) -> State:
        """The state of an empty shard."""
        return initial_state()

    def follow(self, state: State, version: int) -> None:
        """Nothing to choose: there is one version."""

    def decide(self, state: State, command: Command) -> list[Event]:
        """The events that a command leads to; `[]` when it is already so.

        Raises `NotFoundError`, `ConflictError` or `InvalidError`, the last also for a command of another context.
        """
        if not isinstance(command, SightingCommand):
            raise InvalidError(f"{type(command).__name__} is no command to a camera")
        return [*decide(state, cast("AnySightingCommand", command))]

    def evolve(self, state: State, event: Event) -> None:
        """Apply one event in place."""
        evolve(state, event)

    def observe(self, state: State, messages: Sequence[Observed], start: Position, max_events: int) -> Outcome:
        """See `actors.sighting.observe.observe`."""
        return observe(state, messages, start, max_events)

    def tick(self, state: State, clock: int) -> list[Event]:
        """Cameras that fell silent, and blocks whose retention is over."""
        events = decider.tick(state, clock, MAX_BATCH // 2 - 1)
        for event in events:
            evolve(state, event)
        return [*events]

    def digest(self, state: State) -> str:
        """32 hex digits over all cameras, blocks and erasures; costs what changed since the last call."""
        return state.digest.hexdigest(state.canonical)

    def dump(self, state: State) -> dict[str, pa.Table]:
        """Cameras, blocks with their keys, erasures."""
        return dump(state)

    def load(self, tables: dict[str, pa.Table]) -> State:
        """Inverse of `dump`."""
        return load(tables)

    def tables(self, state: State) -> dict[str, pa.Table]:
        """`schemas.tables.PUBLISHED["sighting"]`."""
        return tables(state)

    def synthetic(self, state: State, event: Event) -> bool:
        """Whether the event's camera is marked synthetic."""
        camera = state.cameras.get(event.entity)
        return camera is not None and camera.facts.synthetic

    def counted(self, state: State) -> None:
        """Nothing: what counts becomes events."""

    def objects(self, state: State) -> Collection[str]:
        """The names of all blocks that the state refers to."""
        return {name_of(block) for camera in state.cameras.values() for block in camera.blocks}
