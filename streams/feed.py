"""The feed: what others may see of the logs, as CloudEvents 1.0 in NATS binary mode. A stable contract."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from types import MappingProxyType
from typing import Any, Literal

import orjson
from nats.aio.client import Client

from schemas import catalogue, facility, person, road
from schemas.base import Event
from schemas.errors import AppendTimeoutError, StorageFullError
from schemas.registry import EVENTS, read_event
from streams import codec, subjects
from streams import publish as singly
from streams.api import JetStreamApiError
from streams.batch import Message, append_batch
from streams.log import MAX_BATCH, Batch, Record
from streams.publish import MSG_ID, Outgoing

Audience = Literal["pub", "staff", "case"]

POSITION = "Bomnae-Position"
"""`<context>.<shard>.<sequence>` of the event in its log: order and gaps within a shard can be told by it."""

PUBLIC: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        event.type: frozenset(hidden)
        for event, hidden in (
            (facility.FacilityRegistered, ()),
            (facility.MaintenanceBegun, ("by", "reason")),
            (facility.MaintenanceEnded, ("by",)),
            (facility.AlarmRaised, ()),
            (facility.AlarmReturned, ()),
            (facility.AlarmAcknowledged, ("by", "note")),
            (facility.AlarmShelved, ("by", "reason")),
            (facility.AlarmUnshelved, ("by",)),
            (facility.AlarmCleared, ("by",)),
            (facility.AlarmJudged, ("by", "note")),
            (facility.RiskLevelChanged, ()),
            (facility.SensorStale, ()),
            (facility.SensorRestored, ()),
            (road.RoadRegistered, ()),
            (road.WorkPermitted, ("operator",)),
            (road.WorkStarted, ()),
            (road.WorkExtended, ()),
            (road.WorkFinished, ()),
            (road.WorkCancelled, ()),
            (road.SnowBegan, ()),
            (road.SnowMeasured, ()),
            (road.SnowEnded, ()),
            (road.ClearingChanged, ()),
            (road.SegmentStatusChanged, ()),
            (catalogue.ColumnsChanged, ()),
            (catalogue.DatasetRefreshed, ()),
            (catalogue.ProviderFailed, ("reason",)),
            (catalogue.ProviderRestored, ()),
            (catalogue.DatasetLate, ()),
            (catalogue.DatasetOpened, ()),
            (catalogue.DatasetClosed, ()),
            (catalogue.DatasetRetired, ("by",)),
        )
    }
)
"""What citizens hear of, with the fields that are kept from them. A type that is not here is for staff alone."""

PRIVATE = frozenset({"person", "sighting"})
"""Contexts of which neither citizens nor staff hear anything."""

CASE: frozenset[str] = frozenset({person.WatchHit.type})
"""What the officers of a case hear on its own subject; all else of `PRIVATE` stays in the logs."""

_ATTEMPT_S = 2.0
_FEW = 8
"""Measured: an atomic batch takes about 3 ms however small, a single message 0.4 ms."""


async def publish(nc: Client, messages: Sequence[Message], deadline_s: float = 10.0) -> None:
    """Return when FEED, or CASES, has acknowledged every message. Safe to repeat: known ids are not stored again.

    Many go in atomic batches, which cost one fsync each instead of one a message; a few, and a batch that FEED does
    not take (one id that it knows is enough), message by message. Raises `UnavailableError` after `deadline_s`.
    """
    deadline = time.monotonic() + deadline_s
    for stream, ours in groupby(messages, _stream):
        await _publish(nc, stream, list(ours), deadline)


def _stream(message: Message) -> str:
    return subjects.CASES if message.subject.startswith("city.case.") else subjects.FEED


async def _publish(nc: Client, stream: str, messages: Sequence[Message], deadline: float) -> None:
    for start in range(0, len(messages), MAX_BATCH):
        part = messages[start : start + MAX_BATCH]
        left = deadline - time.monotonic()
        if len(part) < _FEW:
            await singly.publish(nc, _singles(part), left)
            continue
        try:
            await append_batch(nc, stream, part, None, min(_ATTEMPT_S, left / 2))
        except (JetStreamApiError, AppendTimeoutError, StorageFullError):
            await singly.publish(nc, _singles(part), deadline - time.monotonic())


def _singles(messages: Sequence[Message]) -> list[Outgoing]:
    return [Outgoing(message.subject, message.headers, message.data) for message in messages]


def project(event: Event) -> list[tuple[Audience, dict[str, Any]]]:
    """Who sees the event, and what of it. Pure; staff see everything but what is `PRIVATE`."""
    whole = event.model_dump(mode="json")
    if event.context in PRIVATE:
        return [("case", whole)] if event.type in CASE else []
    hidden = PUBLIC.get(event.type)
    if hidden is None:
        return [("staff", whole)]
    return [("pub", {name: value for name, value in whole.items() if name not in hidden}), ("staff", whole)]


def messages(batch: Batch) -> list[Message]:
    """The feed messages of a committed batch, in order. Pure: the same batch gives the same messages and ids."""
    # A batch is stored without gaps; records that were not read back do not say where.
    first = batch.sequence - len(batch.events)
    return [
        message for index, record in enumerate(batch.events) for message in _of_record(batch, record, first + index)
    ]


def _of_record(batch: Batch, record: Record, sequence: int) -> list[Message]:
    context, shard = batch.commit.context, batch.commit.shard
    _, _, _, _, entity, name = record.subject.split(".")
    payloads: list[tuple[Audience, bytes]]
    hidden = PUBLIC.get(record.type)
    if record.type not in EVENTS:
        event = read_event(record.type, record.data)
        record, name = replace(record, type=event.type), event.name
        payloads = [(audience, orjson.dumps(payload)) for audience, payload in project(event)]
    elif context in PRIVATE:
        payloads = [("case", record.data)] if record.type in CASE else []
    elif hidden is None:
        payloads = [("staff", record.data)]
    else:
        public = record.data
        if hidden:
            public = orjson.dumps({k: v for k, v in orjson.loads(record.data).items() if k not in hidden})
        payloads = [("pub", public), ("staff", record.data)]
    # Both audiences share the stream and the event's id, so the id of the message names the audience too.
    head = f"{codec.head_of(record)}{POSITION}: {context}.{shard}.{sequence}\r\n{MSG_ID}: {record.id}:"
    return [
        Message(_subject(audience, context, entity, name), data, f"{head}{audience}\r\n") for audience, data in payloads
    ]


def _subject(audience: Audience, context: str, entity: str, name: str) -> str:
    if audience == "case":
        return subjects.case_subject(entity, name)
    return subjects.feed_subject(audience, context, entity, name)
