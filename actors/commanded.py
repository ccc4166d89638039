"""What contexts have in common that commands and time alone move: no input, one version of the fold."""

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from actors.context import Outcome
from actors.digest import AdditiveDigest, Key
from schemas.base import Event
from streams.ingest import Observed
from streams.log import Position


class Digested(Protocol):
    """A state that has a hash of each of its entities."""

    digest: AdditiveDigest

    def canonical(self, key: Key) -> bytes:
        """Everything that an entity's digest covers."""
        ...


S = TypeVar("S", bound=Digested)


class Commanded(Generic[S]):
    """The half of `actors.context.Context[S]` that is the same for all of them."""

    fold_version = 1
    fold_versions = frozenset({1})
    observed: frozenset[str] = frozenset()
    measured = False

    def follow(self, state: S, version: int) -> None:
        """Nothing to choose: there is one version."""

    def observe(self, state: S, messages: Sequence[Observed], start: Position, max_events: int) -> Outcome:
        """Nothing: no stream of input belongs to these contexts."""
        return Outcome([], [], Position(messages[-1].sequence, 0) if messages else start)

    def tick(self, state: S, clock: int) -> list[Event]:
        """Nothing happens by time alone."""
        return []

    def digest(self, state: S) -> str:
        """32 hex digits over all entities; costs what changed since the last call."""
        return state.digest.hexdigest(state.canonical)

    def counted(self, state: S) -> None:
        """Nothing: what counts becomes events."""
