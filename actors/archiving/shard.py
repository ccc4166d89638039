"""The rows that one shard's commits bring: its events, and the readings that counted, which only folding can tell."""

from collections.abc import Collection
from typing import Any, Generic, TypeVar

import pyarrow as pa

from actors.context import Context
from actors.replay import ShardState, apply, commit_at, load
from schemas.archive import EVENTS, READINGS, TABLES
from schemas.errors import LogGapError, LostLogError
from streams.archive import Reached
from streams.codec import SYNTHETIC
from streams.ingest import IngestReplay, IngestSource, Observed
from streams.log import Batch, EventStore
from streams.snapshots import Snapshots

S = TypeVar("S")


class StoppedError(Exception):
    """A batch cannot be applied, now or later, and the state may have moved: this shard cannot go on."""


class ShardArchiver(Generic[S]):
    """`open` behind what is archived, then `take` every batch that follows, in order."""

    def __init__(
        self, context: Context[S], shard: int, store: EventStore, ingest: IngestSource, snapshots: Snapshots
    ) -> None:
        self._context, self._shard, self._store, self._ingest = context, shard, store, ingest
        self._snapshots = snapshots
        self._replay: IngestReplay | None = None
        self._state: ShardState[S] = ShardState(context.initial_state())

    @property
    def tables(self) -> tuple[str, ...]:
        """Those that this shard's log brings rows for."""
        return tuple(TABLES) if self._context.measured else ("events",)

    async def open(self, held: Collection[Reached]) -> int:
        """Go behind the first of these places, in which tables hold the log; its sequence, 0 for the beginning.

        Raises `LostLogError` where the log has no such commit: it was put back to an older one than a table is of.
        """
        await self.close()
        for place in set(held) - {Reached()}:
            found = await commit_at(self._store, place.sequence)
            if found is None or found.stored_at != place.stored_at:
                raise LostLogError(self._store.name, place.sequence)
        after = min(place.sequence for place in held)
        self._state = ShardState(self._context.initial_state())
        if after:
            self._state = await load(self._context, self._store, self._ingest, self._snapshots, upto=after)
        self._context.counted(self._state.domain)
        return after

    async def take(self, batch: Batch) -> dict[str, pa.Table]:
        """Its events, and the readings that counted. Raises what the input raises before anything moved: take it again.

        Raises `StoppedError` where the batch cannot be applied: folding gives other events than the log has.
        """
        messages: list[Observed] = []
        if batch.commit.end != batch.commit.start and not self._context.observed:
            messages = await self._input(batch)
        try:
            apply(self._context, self._state, batch, messages, self._store.name)
        except Exception as error:
            raise self._stopped(batch, error) from error
        counted = self._context.counted(self._state.domain)
        return {"events": self._events(batch), "readings": self._readings(batch, counted)}

    def _stopped(self, batch: Batch, error: Exception) -> StoppedError:
        return StoppedError(f"the commit at {batch.sequence} of {self._store.name} cannot be folded again: {error}")

    async def _input(self, batch: Batch) -> list[Observed]:
        try:
            self._replay = self._replay or await self._ingest.replay(batch.commit.start)
            return await self._replay.upto(batch.commit.end)
        except LogGapError as error:
            raise self._stopped(batch, error) from error
        except BaseException:
            await self.close()
            raise

    def _events(self, batch: Batch) -> pa.Table:
        events, count = batch.events, len(batch.events)
        said = {
            "context": [self._context.name] * count,
            "shard": [self._shard] * count,
            "commit": [batch.sequence] * count,
            "sequence": [one.sequence for one in events],
            "entity": [one.subject.split(".")[-2] for one in events],
            "type": [one.type for one in events],
            "time": pa.array([one.time for one in events], pa.int64()).cast(EVENTS.field("time").type),
            "stored_at": pa.array([one.stored_at for one in events], pa.int64()).cast(EVENTS.field("time").type),
            "synthetic": [one.headers.get(SYNTHETIC) == "true" for one in events],
            "data": [one.data.decode() for one in events],
        }
        return _dated(said, EVENTS)

    def _readings(self, batch: Batch, counted: pa.Table | None) -> pa.Table:
        if counted is None:
            return READINGS.empty_table()
        count = len(counted)
        said = {
            "context": pa.repeat(self._context.name, count),
            "shard": pa.repeat(pa.scalar(self._shard, pa.int32()), count),
            "commit": pa.repeat(pa.scalar(batch.sequence, pa.int64()), count),
            **{name: counted[name] for name in counted.column_names},
        }
        return _dated(said, READINGS)

    async def close(self) -> None:
        """Stop reading the input; the next `take` begins again."""
        if self._replay is not None:
            await self._replay.close()
            self._replay = None


def _dated(said: dict[str, Any], schema: pa.Schema) -> pa.Table:
    day = pa.chunked_array([said["time"]]) if isinstance(said["time"], pa.Array) else said["time"]
    return pa.table({**said, "day": day.cast(pa.date32())}).select(schema.names).cast(schema)
