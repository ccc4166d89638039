"""Observations as a shard's owner reads them, and the protocol of their source.

A source belongs to one owner and is never shared: the only position is the one committed in LOG.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

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

    def read(self, start: Position, end: Position) -> AsyncIterator[Observed]:
        """The messages of a committed range: above `start.sequence`, up to `end.sequence`, plus the one behind it
        when `end.rows` says that a part of it was folded. Raises `LogGapError` when the range is no longer stored.
        """
        ...

    async def close(self) -> None:
        """Stop reading; safe to repeat."""
        ...
