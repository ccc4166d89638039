"""Atomic batches (ADR-50) over nats-py, which does not type them: one of the few raw corners of our own.

Never `js.publish_async` here: on a conflict its future does not resolve (nats.py #985).
"""

import secrets
from collections.abc import Mapping, Sequence

import orjson
from nats.aio.client import Client
from nats.errors import ConnectionClosedError, MaxPayloadError, NoRespondersError
from nats.errors import Error as NatsError

from schemas.errors import AppendTimeoutError, SequenceConflictError, StorageFullError
from streams.api import JetStreamApiError

BATCH_ID = "Nats-Batch-Id"
"""Names the batch that a message belongs to; at most 64 characters."""
BATCH_SEQUENCE = "Nats-Batch-Sequence"
"""Counts the messages of a batch from 1, without gaps."""
BATCH_COMMIT = "Nats-Batch-Commit"
"""`1` on the last message: store the batch, or refuse it whole."""
EXPECTED_LAST_SEQUENCE = "Nats-Expected-Last-Sequence"
"""On the first message: the stream's newest sequence, or nothing is stored."""

_WRONG_LAST_SEQUENCE = 10071
FULL = frozenset({10023, 10047, 10077})
"""JetStream's error codes for a stream, or a disk, without room."""

Message = tuple[str, bytes, dict[str, str]]


async def append_batch(
    nc: Client, stream: str, messages: Sequence[Message], expected: int | None, timeout_s: float
) -> int:
    """Store all messages or none, and return the sequence of the last; fsynced when the stream is.

    `expected`: the stream's newest sequence, `None` where any will do.

    Raises `SequenceConflictError`, `StorageFullError`, or another refusal as `JetStreamApiError` (nothing stored in any
    of these cases), or `AppendTimeoutError` (outcome unknown).
    """
    batch_id, last = secrets.token_hex(12), len(messages)
    parts: list[bytes] = []
    try:
        for number, (subject, data, headers) in enumerate(messages, 1):
            # A message alone is atomic without being a batch, and eight times as fast.
            stamps = {BATCH_ID: batch_id, BATCH_SEQUENCE: str(number)} if last > 1 else {}
            if number == 1 and expected is not None:
                stamps[EXPECTED_LAST_SEQUENCE] = str(expected)
            if number < last:
                parts.append(_hpub(subject, data, {**headers, **stamps}, nc.max_payload))
                continue
            if last > 1:
                stamps[BATCH_COMMIT] = "1"
                await _send(nc, b"".join(parts))
            reply = await nc.request(subject, data, timeout=timeout_s, headers={**headers, **stamps})
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


def _hpub(subject: str, data: bytes, headers: Mapping[str, str], most: int) -> bytes:
    """A message in the words of the NATS protocol, as `Client.publish` says it; that took half of a batch's time."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if not lines.count("\n") == lines.count("\r") == len(headers) or not subject.isprintable() or " " in subject:
        raise ValueError(f"{subject!r} or one of its headers cannot be said to NATS: {lines!r}")
    head = f"NATS/1.0\r\n{lines}\r\n".encode()
    if len(head) + len(data) > most:
        raise MaxPayloadError
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (subject.encode(), len(head), len(head) + len(data), head, data)


async def _send(nc: Client, said: bytes) -> None:
    """Put protocol lines into the connection's buffer, behind what is there; the next request flushes it."""
    if not nc.is_connected:
        raise ConnectionClosedError
    # Private in nats-py, which has no public way to send what is encoded already; the store's contract covers it.
    await nc._send_command(said)
