"""Atomic batches (ADR-50) over nats-py, which does not type them: one of the few raw corners of our own.

Never `js.publish_async` here: on a conflict its future does not resolve (nats.py #985).
"""

import secrets
from collections.abc import Sequence

import orjson
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

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
    batch_id = secrets.token_hex(12)
    last = len(messages)
    try:
        for number, (subject, data, headers) in enumerate(messages, 1):
            # One dictionary per message: nats-py adds to the headers it is given.
            stamped = {**headers, BATCH_ID: batch_id, BATCH_SEQUENCE: str(number)}
            if number == 1 and expected is not None:
                stamped[EXPECTED_LAST_SEQUENCE] = str(expected)
            if number == last:
                stamped[BATCH_COMMIT] = "1"
                reply = await nc.request(subject, data, timeout=timeout_s, headers=stamped)
            else:
                await nc.publish(subject, data, headers=stamped)
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
