"""Atomic batches (ADR-50) over nats-py, which does not type them: one of the few raw corners of our own.

Never `js.publish_async` here: on a conflict its future does not resolve (nats.py #985).
"""

import secrets
from collections.abc import Sequence
from typing import NamedTuple

import orjson
from nats.aio.client import Client
from nats.errors import ConnectionClosedError, NoRespondersError
from nats.errors import Error as NatsError

from schemas.errors import AppendTimeoutError, OversizedError, SequenceConflictError, StorageFullError
from streams.api import JetStreamApiError
from streams.codec import headers_of

BATCH_ID = "Nats-Batch-Id"
"""Names the batch that a message belongs to; at most 64 characters."""
BATCH_SEQUENCE = "Nats-Batch-Sequence"
"""Counts the messages of a batch from 1, without gaps."""
BATCH_COMMIT = "Nats-Batch-Commit"
"""`1` on the last message: store the batch, or refuse it whole."""
EXPECTED_LAST_SEQUENCE = "Nats-Expected-Last-Sequence"
"""On the first message: the stream's newest sequence, or nothing is stored."""

_STAMPS = 256
"""Bytes that the headers of a batch add to a message at most."""
_WRONG_LAST_SEQUENCE = 10071
FULL = frozenset({10023, 10047, 10077})
"""JetStream's error codes for a stream, or a disk, without room."""


class Message(NamedTuple):
    """What a batch holds: `head` are the headers as lines, of `streams.codec.head`."""

    subject: str
    data: bytes
    head: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers by name."""
        return headers_of(self.head)


async def append_batch(
    nc: Client, stream: str, messages: Sequence[Message], expected: int | None, timeout_s: float
) -> int:
    """Store all messages or none, and return the sequence of the last; fsynced when the stream is.

    `expected`: the stream's newest sequence, `None` where any will do.

    Raises `SequenceConflictError`, `StorageFullError`, `OversizedError`, or another refusal as `JetStreamApiError`
    (nothing stored in any of these cases), or `AppendTimeoutError` (outcome unknown).
    """
    batch_id, last = secrets.token_hex(12), messages[-1]
    largest, most = max(map(_size, messages)), nc.max_payload - _STAMPS
    # Looked at before the first is sent: the server closes the connection of who sends more than it takes.
    if largest > most:
        raise OversizedError(stream, largest, most)
    fence = "" if expected is None else f"{EXPECTED_LAST_SEQUENCE}: {expected}\r\n"
    headers = last.headers
    try:
        # A message alone is atomic without being a batch, and eight times as fast.
        if len(messages) == 1:
            headers |= headers_of(fence)
        else:
            said = f"{BATCH_ID}: {batch_id}\r\n{BATCH_SEQUENCE}: "
            first, *rest = messages[:-1]
            parts = [_hpub(first, f"{fence}{said}1\r\n")]
            parts += [_hpub(message, f"{said}{number}\r\n") for number, message in enumerate(rest, 2)]
            await _send(nc, b"".join(parts))
            headers |= {BATCH_ID: batch_id, BATCH_SEQUENCE: str(len(messages)), BATCH_COMMIT: "1"}
        reply = await nc.request(last.subject, last.data, timeout=timeout_s, headers=headers)
    except (TimeoutError, NoRespondersError, NatsError, OSError) as error:
        raise AppendTimeoutError(stream, timeout_s) from error
    answer = orjson.loads(reply.data)
    if refusal := answer.get("error"):
        code = int(refusal.get("err_code", 0))
        if code == _WRONG_LAST_SEQUENCE and expected is not None:
            raise SequenceConflictError(stream, expected)
        if code in FULL:
            raise StorageFullError(stream)
        raise JetStreamApiError(stream, code, str(refusal.get("description", "")))
    return int(answer["seq"])


def _size(message: Message) -> int:
    # In bytes, a letter of Korean has three; the lines are ASCII but for names of entities, which are short.
    return len(message.data) + 3 * len(message.head)


def _hpub(message: Message, stamps: str) -> bytes:
    """A message in the words of the NATS protocol, as `Client.publish` says it; that took half of a batch's time."""
    subject, data, lines = message
    if not subject.isprintable() or " " in subject:
        raise ValueError(f"the subject {subject!r} cannot be said to NATS")
    head = f"NATS/1.0\r\n{lines}{stamps}\r\n".encode()
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (subject.encode(), len(head), len(head) + len(data), head, data)


async def _send(nc: Client, said: bytes) -> None:
    """Put protocol lines into the connection's buffer, behind what is there; the next request flushes it."""
    if not nc.is_connected:
        raise ConnectionClosedError
    # Private in nats-py, which has no public way to send what is encoded already; the store's contract covers it.
    await nc._send_command(said)
