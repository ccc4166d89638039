"""What the host needs of a context (facility, road): the one protocol between the generic commit loop and the domain.

All methods are pure but for the state that they are handed: clocks, ids and input arrive as arguments. The same calls
in the same order give the same state, bit for bit, and the same events; `bomnae verify` and `as_of` rest on that.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import pyarrow as pa

from schemas.base import Command, Event
from streams.ingest import Observed
from streams.log import Position
from streams.rejected import Rejection

S = TypeVar("S")


@dataclass(slots=True)
class Outcome:
    """What observing a run of messages led to; `traces` holds, per event, the trace of the message that caused it.

    `end` is how far the input was consumed, which may be short of the messages given where the events would not fit
    into one commit: the host commits, then observes the rest from `end`. `objects` are erasable bytes by name that the
    events refer to: the host stores them before the commit.
    """

    events: list[Event]
    rejections: list[Rejection]
    end: Position
    rows: int = 0
    traces: list[str] = field(default_factory=list)
    objects: list[tuple[str, bytes]] = field(default_factory=list)


class Context(Protocol, Generic[S]):
    """One bounded context, for the host. `S` is the state of a whole shard: many entities."""

    name: str
    fold_version: int
    """The newest version of decider and fold: an owner commits under it from its claim on."""
    fold_versions: frozenset[int]
    """All that can still be replayed."""
    observed: frozenset[str]
    """Types of events that stand for input which is erased once they are committed: replay takes them from the log. Of
    such a context `observe` changes the state by these events alone, nothing else gives events of these types, and
    messages are consumed whole. Empty: input stays, and is observed again."""

    measured: bool
    """Whether input counts as readings, which `counted` tells; else all that counts becomes events."""

    def initial_state(self) -> S:
        """The state of an empty shard."""
        ...

    def follow(self, state: S, version: int) -> None:
        """Go by the rules of one of `fold_versions` from here on; a new state goes by the newest.

        Which rules hold when is in the log, in each claim and commit, so nothing of it is in digest or tables.
        """
        ...

    def decide(self, state: S, command: Command) -> list[Event]:
        """The events that a command leads to; `[]` when it is already so. Changes nothing.

        Raises `NotFoundError`, `ConflictError` or `InvalidError` for a request that is impossible now.
        """
        ...

    def evolve(self, state: S, event: Event) -> None:
        """Apply one event in place. Never raises on a stored event, never judges."""
        ...

    def observe(self, state: S, messages: Sequence[Observed], start: Position, max_events: int) -> Outcome:
        """Fold messages into the state in stream order, evolving each event that follows; never raises on input.

        Rows up to `start` are skipped. Defined per row: any division of the messages gives the same state and events.
        """
        ...

    def tick(self, state: S, clock: int) -> list[Event]:
        """The events that time alone brings about by `clock` (µs UTC), already evolved; at most `MAX_BATCH` / 2."""
        ...

    def digest(self, state: S) -> str:
        """A hex digest of everything in the state; equal states have equal digests on every machine."""
        ...

    def dump(self, state: S) -> dict[str, pa.Table]:
        """The whole state as Arrow tables, for a snapshot."""
        ...

    def load(self, tables: dict[str, pa.Table]) -> S:
        """Inverse of `dump`."""
        ...

    def tables(self, state: S) -> dict[str, pa.Table]:
        """What readers see, as immutable Arrow tables."""
        ...

    def synthetic(self, state: S, event: Event) -> bool:
        """Whether an event that is evolved tells, in whole or in part, of something that is marked synthetic."""
        ...

    def counted(self, state: S) -> pa.Table | None:
        """What of the input counted since the last call, for the archive; kept from the first call on.

        The columns of `schemas.archive.READINGS` that tell of a reading. None where all that counts becomes events.
        """
        ...

    def objects(self, state: S) -> Collection[str]:
        """Names of all erasable objects that the state refers to."""
        ...


@dataclass(slots=True)
class Published:
    """The newest state of one shard as readers map it; `position` is the log sequence it stands at.

    `ingested`: every message of INGEST up to this sequence that belongs to the shard is folded whole.
    """

    context: str
    shard: int
    position: int
    clock: int
    tables: dict[str, pa.Table] = field(default_factory=dict)
    ingested: int = 0
