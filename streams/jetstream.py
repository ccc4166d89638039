"""The log and the ingest of one shard on NATS JetStream."""

import asyncio
import contextlib
import time
from base64 import b64decode
from collections import deque
from collections.abc import AsyncIterator, Sequence

from nats.aio.client import Client
from nats.aio.msg import Msg

from schemas.errors import LogGapError, UnavailableError
from streams.api import JetStreamApiError, request
from streams.batch import Message, append_batch
from streams.codec import APPEND_ID, log_head_of, record_of
from streams.ingest import Observed, take_upto
from streams.log import MAX_BATCH, SHARD_ENTITY, Position, Record
from streams.pull import PullReader, stream_position
from streams.subjects import ingest_filter, ingest_stream, log_stream, log_subject, parse_ingest

_IDLE_S = 15.0
_LAG_S = 0.05
_NO_MESSAGE = 10037


class JetStreamStore:
    """An `EventStore` on the stream `LOG_<CONTEXT>_<SHARD>`, which must exist with `allow_atomic`."""

    def __init__(self, nc: Client, context: str, shard: int, timeout_s: float = 5.0) -> None:
        self._nc, self._timeout_s = nc, timeout_s
        self.name = log_stream(context, shard)
        self._seals = log_subject(context, shard, SHARD_ENTITY, "*")

    async def last_sequence(self) -> int:
        """See `EventStore`."""
        info = await request(self._nc, f"$JS.API.STREAM.INFO.{self.name}")
        return int(info["state"]["last_seq"])

    async def append(self, records: Sequence[Record], expected: int) -> int:
        """See `EventStore`."""
        if not 0 < len(records) <= MAX_BATCH:
            raise ValueError(f"an atomic batch holds 1 to {MAX_BATCH} records, not {len(records)}")
        messages = [Message(record.subject, record.data, log_head_of(record)) for record in records]
        return await append_batch(self._nc, self.name, messages, expected, self._timeout_s)

    async def read(self, after: int = 0, subject: str | None = None) -> AsyncIterator[Record]:
        """See `EventStore`."""
        # The leader knows what is acknowledged; a consumer may live on a follower that is behind.
        newest = await self.last_sequence() if subject is None else 0
        last, deadline = after, time.monotonic() + _IDLE_S
        while True:
            async for msg in read_stream(self._nc, self.name, last, subject):
                sequence, stored_at = stream_position(msg)
                if subject is None and sequence != last + 1:
                    raise LogGapError(self.name, last, sequence)
                last = sequence
                yield record_of(msg.subject, msg.data, msg.headers or {}, sequence, stored_at)
            if last >= newest:
                return
            if time.monotonic() > deadline:
                raise UnavailableError(f"{self.name} ends at {last} for its reader, at {newest} for its leader")
            await asyncio.sleep(_LAG_S)

    async def sealed(self, record: Record) -> bool:
        """See `EventStore`."""
        asked = {"seq": record.sequence + 1, "next_by_subj": self._seals}
        try:
            found = await request(self._nc, f"$JS.API.STREAM.MSG.GET.{self.name}", asked)
        except JetStreamApiError as error:
            if error.code == _NO_MESSAGE:
                return False
            raise
        return f"\r\n{APPEND_ID}: {record.batch}\r\n".encode() in b64decode(found["message"].get("hdrs", ""))


class JetStreamIngest:
    """An `IngestSource` on the partition of one shard in `INGEST_<CONTEXT>`."""

    def __init__(self, nc: Client, context: str, shard: int, batch: int = 200) -> None:
        self._nc, self._batch = nc, batch
        self._stream, self._filter = ingest_stream(context), ingest_filter(context, shard)
        self._reader: PullReader | None = None

    async def open(self, after: Position, wake: asyncio.Event) -> None:
        """See `IngestSource`."""
        await self.close()
        self._reader = PullReader(self._nc, self._stream, self._filter, wake, self._batch)
        await self._reader.open(after.sequence)

    def pull(self, limit: int) -> list[Observed]:
        """See `IngestSource`."""
        return [_observed(msg) for msg in self._reader.take(limit)] if self._reader else []

    @property
    def caught_up(self) -> bool:
        """See `IngestSource`."""
        return self._reader is not None and not self._reader.messages and self._reader.pending == 0

    @property
    def waiting(self) -> int:
        """See `IngestSource`."""
        return len(self._reader.messages) + self._reader.pending if self._reader is not None else 0

    async def replay(self, after: Position) -> "JetStreamReplay":
        """See `IngestSource`."""
        replay = JetStreamReplay(self._nc, self._stream, self._filter)
        await replay.open(after)
        return replay

    async def close(self) -> None:
        """See `IngestSource`."""
        if self._reader is not None:
            await self._reader.close()
            self._reader = None


class JetStreamReplay:
    """An `IngestReplay` with one consumer for all ranges."""

    def __init__(self, nc: Client, stream: str, subject: str) -> None:
        self._wake = asyncio.Event()
        self._nc, self._stream = nc, stream
        self._reader = PullReader(nc, stream, subject, self._wake)
        self._left: deque[Observed] = deque()
        self._after = 0

    async def open(self, after: Position) -> None:
        """Start behind a committed position."""
        self._after = after.sequence
        await self._reader.open(after.sequence)

    async def upto(self, end: Position) -> list[Observed]:
        """See `IngestReplay`."""
        newest = end.sequence + 1 if end.rows else end.sequence
        while not self._left or self._left[-1].sequence < newest:
            self._wake.clear()
            if batch := self._reader.take(1000):
                self._left.extend(_observed(msg) for msg in batch)
            elif self._reader.pending == 0 and not self._reader.messages and not await self._comes(newest):
                break
            else:
                await _woken(self._wake, self._stream)
        taken = take_upto(self._left, self._after, end, self._stream)
        self._after = end.sequence
        return taken

    async def _comes(self, sequence: int) -> bool:
        """Whether a message that the reader says is not there comes after all, from a follower that is behind."""
        state = (await request(self._nc, f"$JS.API.STREAM.INFO.{self._stream}"))["state"]
        if not state["first_seq"] <= sequence <= state["last_seq"]:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_IDLE_S):
                await self._wake.wait()
        return self._wake.is_set()

    async def close(self) -> None:
        """See `IngestReplay`."""
        await self._reader.close()


async def _woken(wake: asyncio.Event, stream: str) -> None:
    try:
        async with asyncio.timeout(_IDLE_S):
            await wake.wait()
    except TimeoutError as error:
        raise UnavailableError(f"{stream} stopped answering while it was read") from error


def _observed(msg: Msg) -> Observed:
    sequence, stored_at = stream_position(msg)
    parts = parse_ingest(msg.subject)
    return Observed(sequence, parts.entity, parts.kind, stored_at, dict(msg.headers or {}), msg.data)


async def read_stream(
    nc: Client, stream: str, after: int, subject: str | None, headers_only: bool = False
) -> AsyncIterator[Msg]:
    """The messages behind `after` that are stored at the time of the call, in order, then stop.

    Raises `UnavailableError` when the server stays silent in between.
    """
    wake = asyncio.Event()
    reader = PullReader(nc, stream, subject, wake, headers_only=headers_only)
    left = await reader.open(after)
    try:
        while left > 0:
            wake.clear()
            batch = reader.take(1000)
            for msg in batch[:left]:
                yield msg
            left -= len(batch)
            if not batch:
                await _woken(wake, stream)
    finally:
        await reader.close()
