"""Observations as a shard's owner reads them, and the protocol of their source.

A source belongs to one owner and is never shared: the only position is the one committed in LOG.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from schemas.errors import LogGapError
from streams.log import Position


@dataclass(frozen=True, slots=True)
class Observed:
    """One message of INGEST. `arrived` is the stream's own timestamp (µs UTC): the deterministic clock of its rows."""

    sequence: int
    entity: str
    kind: str
    arrived: int
    headers: dict[str, str]
    data: bytes


class IngestSource(Protocol):
    """The INGEST messages of one shard's partition, in order.

    The owner calls `open` once with its committed position, then `pull` again and again.
    """

    async def open(self, after: Position, wake: asyncio.Event) -> None:
        """Start to read behind `after.sequence`; `wake` is set whenever `pull` has something to give."""
        ...

    def pull(self, limit: int) -> list[Observed]:
        """Up to `limit` messages that have arrived, in order and without gaps; `[]` when there are none yet."""
        ...

    @property
    def caught_up(self) -> bool:
        """True when the newest message known to the server has been pulled."""
        ...

    @property
    def waiting(self) -> int:
        """Messages known to wait behind the newest one that was pulled."""
        ...

    async def replay(self, after: Position) -> "IngestReplay":
        """Read committed ranges again, from a committed position on; independent of `pull`."""
        ...

    async def close(self) -> None:
        """Stop reading; safe to repeat."""
        ...


class IngestReplay(Protocol):
    """The committed ranges of INGEST, one commit after the other."""

    async def upto(self, end: Position) -> list[Observed]:
        """The messages of the next range.

        Behind the last `end`, up to `end.sequence`, plus the one behind it when `end.rows` says that a part of it was
        folded (it comes again with the range that ends it).

        Raises `LogGapError` when the range is no longer stored.
        """
        ...

    async def close(self) -> None:
        """Stop reading; safe to repeat."""
        ...


class NoInput:
    """The `IngestSource` of a context that commands alone move: nothing ever comes, and no range is ever committed."""

    waiting = 0
    caught_up = True

    async def open(self, after: Position, wake: asyncio.Event) -> None:
        """See `IngestSource`."""

    def pull(self, limit: int) -> list[Observed]:
        """See `IngestSource`."""
        return []

    async def replay(self, after: Position) -> IngestReplay:
        """See `IngestSource`. Raises `LogGapError`: a commit that names a range of input was written by another."""
        raise LogGapError("input", after.sequence, after.sequence + 1)

    async def close(self) -> None:
        """See `IngestSource`."""


def take_upto(left: deque[Observed], after: int, end: Position, stream: str) -> list[Observed]:
    """Take the range behind `after` off the front of `left`; a message folded in part stays there.

    Raises `LogGapError` when the range's last message is missing.
    """
    taken: list[Observed] = []
    last = after
    while left and left[0].sequence <= end.sequence:
        taken.append(left.popleft())
        last = taken[-1].sequence
    if last != end.sequence:
        raise LogGapError(stream, last, end.sequence)
    if end.rows:
        if not left:
            raise LogGapError(stream, end.sequence, end.sequence + 1)
        taken.append(left[0])
    return taken
