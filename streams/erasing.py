"""Erasing input from JetStream: its bytes are overwritten in the stream's files, not only forgotten."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from nats.aio.client import Client
from nats.aio.msg import Msg

from streams.api import JetStreamApiError, request
from streams.jetstream import read_stream
from streams.pull import stream_position
from streams.subjects import ingest_filter, ingest_stream

_AT_ONCE = 16
_DELETE_FAILED, _NO_MESSAGE, _NO_SEQUENCE = 10057, 10037, 10043
"""JetStream's error codes."""


async def erase(nc: Client, context: str, shard: int, upto: int) -> int:
    """Erase the messages of a shard's input up to a sequence of INGEST; how many there were. Safe to repeat.

    Each is deleted with JetStream's secure delete, which writes random bytes over it first (see
    `docs/decisions/0011-erasable-input.md`). Raises `UnavailableError` where the server does not answer.
    """
    stream = ingest_stream(context)
    erased = 0
    due: list[int] = []
    stored = read_stream(nc, stream, 0, ingest_filter(context, shard), headers_only=True)
    async with aclosing(cast("AsyncGenerator[Msg, None]", stored)):
        async for msg in stored:
            sequence = stream_position(msg)[0]
            if sequence > upto:
                break
            due.append(sequence)
            if len(due) == _AT_ONCE:
                erased += await _erase(nc, stream, due)
                due = []
    return erased + await _erase(nc, stream, due)


async def _erase(nc: Client, stream: str, sequences: list[int]) -> int:
    return sum(await asyncio.gather(*(erase_one(nc, stream, sequence) for sequence in sequences)))


async def erase_one(nc: Client, stream: str, sequence: int) -> bool:
    """Erase one message; whether it was there. Safe to repeat. Raises `UnavailableError` and `JetStreamApiError`."""
    try:
        await request(nc, f"$JS.API.STREAM.MSG.DELETE.{stream}", {"seq": sequence, "no_erase": False})
    except JetStreamApiError as error:
        gone = {_DELETE_FAILED, _NO_MESSAGE, _NO_SEQUENCE}
        if error.code not in gone or await _exists(nc, stream, sequence):
            raise
        return False
    return True


async def _exists(nc: Client, stream: str, sequence: int) -> bool:
    try:
        await request(nc, f"$JS.API.STREAM.MSG.GET.{stream}", {"seq": sequence})
    except JetStreamApiError as error:
        if error.code == _NO_MESSAGE:
            return False
        raise
    return True
