"""Refused input: kept with its reason, listed, and sent again when the reason is gone."""

import re
from bisect import bisect_right
from collections.abc import AsyncGenerator, Container, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import accumulate
from typing import cast
from urllib.parse import quote, unquote

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError as NoMessageError

from schemas.errors import ConflictError, NotFoundError, UnavailableError
from streams import codec, subjects
from streams.jetstream import read_stream
from streams.publish import MSG_ID, NEVER_TAKEN, Outgoing, publish
from streams.pull import stream_position
from streams.topology import MAX_MESSAGE

REASON = "Bomnae-Reason"
"""Why the input does not count, percent-encoded."""
SOURCE_SEQUENCE = "Bomnae-Ingest-Sequence"
"""Where the whole message stands in INGEST; on a marker, where it stands again."""
TRUNCATED = "Bomnae-Truncated"
"""Original size in bytes, where the refused bytes did not fit into a message."""
RESUBMITTED = "Bomnae-Resubmitted"
"""On a marker, and on what was sent again: its sequence in REJECTED."""

_MARKER = "resubmitted"
_KEPT_HEADERS = re.compile(f"ce-[a-z]+|{codec.TRACEPARENT}")
_SAFE = " ,;:'()[]{}=<>/+*"
_LONGEST_REASON, _LONGEST_TYPE = 8192, 200
"""Of headers a message has 64 KiB at most, and both may quote what a sender wrote."""
_KINDS = {"facility": subjects.READINGS, "road": subjects.CLEARING, "catalogue": subjects.ROWS}
"""Of what came on a subject that nobody knows any more."""
_UNSAYABLE = re.compile(r"[^ -~]")


@dataclass(frozen=True, slots=True)
class Rejection:
    """Input that does not count, with the reason. `data` holds the original bytes, or the refused rows as Arrow IPC.

    `id` is derived from the INGEST sequence, so that publishing it again after a crash is recognised.
    """

    id: str
    entity: str
    reason: str
    data: bytes
    content_type: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """One rejection as it is kept. `sequence` is REJECTED's, `ingest_sequence` INGEST's, `stored_at` µs UTC."""

    sequence: int
    stored_at: int
    context: str
    entity: str
    reason: str
    content_type: str
    ingest_sequence: int
    data: bytes
    truncated: bool
    resubmitted: bool


@dataclass(frozen=True, slots=True)
class Again:
    """Input that was sent again: of whom, at which sequence of INGEST, and whether that happened just now."""

    context: str
    entity: str
    sequence: int
    now: bool


@dataclass(frozen=True, slots=True)
class _Stored:
    subject: str
    headers: dict[str, str]
    data: bytes


async def reject(nc: Client, context: str, rejections: Sequence[Rejection], deadline_s: float = 10.0) -> None:
    """Keep refused input durably. Safe to repeat with the same ids. Raises `UnavailableError` after the deadline.

    What the server does not take as it is, is kept as its place in INGEST and the server's words: whatever it holds
    would otherwise stop the shard that refuses it.
    """
    outgoing = [_outgoing(context, rejection) for rejection in rejections]
    try:
        await publish(nc, outgoing, deadline_s)
    except NEVER_TAKEN:
        for rejection, message in zip(rejections, outgoing, strict=True):
            try:
                await publish(nc, [message], deadline_s)
            except NEVER_TAKEN as error:
                await publish(nc, [_placeholder(context, rejection, repr(error))], deadline_s)


async def listing(nc: Client, after: int = 0, limit: int = 100, entity: str = "*", reason: str = "") -> list[Rejected]:
    """Up to `limit` rejections behind the sequence `after`, oldest first; the sequence of the last is the next `after`.

    `reason` keeps those whose reason contains it. Raises `UnavailableError` when the server does not answer.
    """
    done = await _resubmitted(nc)
    found: list[Rejected] = []
    kept = read_stream(nc, subjects.REJECTED, after, subjects.rejected_subject("*", entity))
    async with aclosing(cast("AsyncGenerator[Msg, None]", kept)):
        async for msg in kept:
            sequence, stored_at = stream_position(msg)
            one = _rejected(_Stored(msg.subject, msg.headers or {}, msg.data), sequence, stored_at, done)
            if reason in one.reason:
                found.append(one)
            if len(found) == limit:
                break
    return found


async def resubmit(nc: Client, sequence: int) -> Again:
    """Send the refused bytes again on the subject they came on, then mark them, unless that was done before.

    Their rows are judged anew, and those that counted before do not count again. Raises `NotFoundError` where REJECTED
    holds nothing there, `ConflictError` where only a part of the bytes was kept, `UnavailableError` in time.
    """
    stored = await _message(nc, subjects.REJECTED, sequence)
    if stored is None or RESUBMITTED in stored.headers:
        raise NotFoundError("rejected input", str(sequence))
    one = _rejected(stored, sequence, 0, ())
    if (at := (await _resubmitted(nc)).get(sequence)) is not None:
        return Again(one.context, one.entity, at, now=False)
    if one.truncated:
        raise ConflictError(
            f"rejected input {sequence} could not be kept whole: the sender has to send "
            f"{subjects.ingest_stream(one.context)} {one.ingest_sequence} again in smaller messages"
        )
    if one.context == "sighting":
        raise ConflictError(
            f"of rejected input {sequence} ids and reasons alone were kept: the sender has to send {one.entity} again"
        )
    kind, headers = _KINDS[one.context], {}
    original = await _message(nc, subjects.ingest_stream(one.context), one.ingest_sequence)
    if original is not None:
        kind = subjects.parse_ingest(original.subject).kind
        headers = {k: v for k, v in original.headers.items() if _KEPT_HEADERS.fullmatch(k.lower())}
    headers |= {codec.CONTENT_TYPE: one.content_type, MSG_ID: f"resubmit-{sequence}", RESUBMITTED: str(sequence)}
    try:
        (at,) = await publish(nc, [Outgoing(subjects.raw(one.context, one.entity, kind), headers, one.data)])
    except NEVER_TAKEN as error:
        raise ConflictError(f"{subjects.ingest_stream(one.context)} does not take it again: {error}") from error
    mark = {RESUBMITTED: str(sequence), SOURCE_SEQUENCE: str(at), MSG_ID: f"resubmitted-{sequence}"}
    await publish(nc, [Outgoing(f"{stored.subject}.{_MARKER}", mark, b"")])
    return Again(one.context, one.entity, at, now=True)


def _outgoing(context: str, rejection: Rejection) -> Outgoing:
    headers = {
        MSG_ID: rejection.id,
        REASON: _said(rejection.reason),
        codec.CONTENT_TYPE: _UNSAYABLE.sub("?", rejection.content_type[:_LONGEST_TYPE]),
        SOURCE_SEQUENCE: str(rejection.sequence),
    }
    if len(rejection.data) > MAX_MESSAGE:
        headers[TRUNCATED] = str(len(rejection.data))
    subject = subjects.rejected_subject(context, subjects.token(rejection.entity))
    return Outgoing(subject, headers, rejection.data[:MAX_MESSAGE])


def _placeholder(context: str, rejection: Rejection, why: str) -> Outgoing:
    reason = f"this could not be kept as it is: {why}"
    headers = {MSG_ID: rejection.id, REASON: _said(reason), SOURCE_SEQUENCE: str(rejection.sequence)}
    return Outgoing(subjects.rejected_subject(context, "_"), headers | {TRUNCATED: str(len(rejection.data))}, b"")


def _said(reason: str) -> str:
    """A reason as a header's value, cut between two characters where it is longer than `_LONGEST_REASON` in it."""
    said = quote(reason, _SAFE, errors="replace")
    if len(said) <= _LONGEST_REASON:
        return said
    lengths = accumulate(len(quote(one, _SAFE, errors="replace")) for one in reason[:_LONGEST_REASON])
    return quote(reason[: bisect_right(list(lengths), _LONGEST_REASON)] + "…", _SAFE, errors="replace")


def _rejected(stored: _Stored, sequence: int, stored_at: int, done: Container[int]) -> Rejected:
    _, _, context, entity = stored.subject.split(".")
    return Rejected(
        sequence=sequence,
        stored_at=stored_at,
        context=context,
        entity=entity,
        reason=unquote(stored.headers.get(REASON, "")),
        content_type=stored.headers.get(codec.CONTENT_TYPE, ""),
        ingest_sequence=int(stored.headers.get(SOURCE_SEQUENCE, "0")),
        data=stored.data,
        truncated=TRUNCATED in stored.headers,
        resubmitted=sequence in done,
    )


async def _resubmitted(nc: Client) -> dict[int, int]:
    """Where in INGEST each item that was sent again stands now, by its sequence in REJECTED."""
    markers = read_stream(nc, subjects.REJECTED, 0, f"city.rejected.*.*.{_MARKER}")
    marks = [msg.headers or {} async for msg in markers]
    return {int(mark[RESUBMITTED]): int(mark.get(SOURCE_SEQUENCE, "0")) for mark in marks}


async def _message(nc: Client, stream: str, sequence: int) -> _Stored | None:
    """One stored message, read from the leader; None where the stream holds none there."""
    try:
        found = await nc.jetstream().get_msg(stream, sequence)
    except NoMessageError:
        return None
    except (NatsError, TimeoutError, OSError) as error:
        raise UnavailableError(f"{stream} does not answer: {error!r}") from error
    return _Stored(found.subject or "", dict(found.headers or {}), found.data or b"")
