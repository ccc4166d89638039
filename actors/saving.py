"""When a shard saves a snapshot, and saving it beside its commits."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from actors.context import Context
from actors.pace import give_back
from actors.replay import ShardState, dump
from schemas.errors import BomnaeError
from streams.snapshots import Snapshots, pack

logger = logging.getLogger(__name__)
S = TypeVar("S")

SNAPSHOT_ROWS = 500_000
"""Readings behind a snapshot from which on the next is due: a restart folds them again in a fraction of a second."""
_GOLDEN = 0.618
"""Multiples of it, without their whole part, never lie close to each other."""


class Saving(Generic[S]):
    """The snapshots of one shard: every `every` µs of its clock, and behind `SNAPSHOT_ROWS` readings; one at a time.

    `unsaved` tells whether something was committed since the last, `dumped_at` (µs UTC) when that was.
    """

    def __init__(self, context: Context[S], shard: int, snapshots: Snapshots, every: int, name: str) -> None:
        self._context, self._shard, self.home = context, shard, snapshots
        self._every, self._name = every, name
        self._next = self._rows = self.dumped_at = 0
        self._task: asyncio.Task[None] | None = None
        self.unsaved = False

    def plan(self, state: ShardState[S], new: bool) -> None:
        """The first of this owner. Each shard of a process at another moment: it takes as much memory as the state.

        One that is due stays due across owners: those who die young would leave their successors ever more to fold.
        """
        self._rows = state.tail
        self.dumped_at, began, turn = state.kept_at, state.stored_at, 1 - self._shard * _GOLDEN % 1
        due = began if new else state.kept_at
        self._next = min(began + int(turn * self._every), max(due + self._every, began + int(turn * self._every / 10)))

    def committed(self, rows: int) -> None:
        """Something was committed, with so many readings."""
        self._rows += rows
        self.unsaved = True

    def due(self, state: ShardState[S]) -> bool:
        """Whether one shall be saved now."""
        due = self._rows >= SNAPSHOT_ROWS or state.stored_at >= self._next
        return due and (self._task is None or self._task.done())

    def begin(self, state: ShardState[S]) -> None:
        """Dump the state here and now, which has to be as of the newest commit, and save it beside what follows."""
        self._task = asyncio.create_task(self.save(state), name=f"snapshot {self._name}")

    def save(self, state: ShardState[S]) -> Coroutine[Any, Any, None]:
        """Pack the state as of the newest commit; the coroutine saves it. A failure to save is logged only.

        Nothing but the packed bytes, a fiftieth of the state, is held while a slow server takes them.
        """
        self.dumped_at, self._rows, self.unsaved = state.stored_at, 0, False
        self._next = state.stored_at + self._every
        data = pack(dump(self._context, state))
        give_back()
        return self._save(state.sequence, state.stored_at, state.digest, data)

    async def _save(self, sequence: int, stored_at: int, digest: str, data: bytes) -> None:
        try:
            await self.home.save(sequence, stored_at, digest, self._context.fold_version, data)
        except (TimeoutError, BomnaeError, OSError) as error:
            logger.warning("no snapshot of %s at %s: %s", self._name, sequence, error)

    async def finish(self) -> None:
        """Wait for the one that is on its way."""
        if self._task is not None:
            await self._task

    def cancel(self) -> None:
        """Give up the one that is on its way."""
        if self._task is not None:
            self._task.cancel()
