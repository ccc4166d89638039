"""Records as CloudEvents 1.0 in NATS binary mode, and back.

`ce-id`, `ce-type`, `ce-source`, `ce-subject`, `ce-time` and `ce-specversion` are headers; the payload is the data.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

from schemas.base import from_micros, micros
from streams.log import Record

CE_ID = "ce-id"
CE_TYPE = "ce-type"
CE_SOURCE = "ce-source"
CE_SUBJECT = "ce-subject"
CE_TIME = "ce-time"
CE_VERSION = "ce-specversion"
CONTENT_TYPE = "content-type"
TRACEPARENT = "traceparent"
APPEND_ID = "Bomnae-Batch"
"""The writer's own id of an append, kept with each record: it tells, after a timeout, whether the batch landed."""

JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"
CLOUD_EVENT = "application/cloudevents+json"
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def headers_of(record: Record) -> dict[str, str]:
    """The NATS headers of a record of the log."""
    _, _, context, shard, entity, _ = record.subject.split(".", 5)
    return {
        CE_VERSION: "1.0",
        CE_ID: record.id,
        CE_TYPE: record.type,
        CE_SOURCE: f"/bomnae/{context}/{shard}",
        CE_SUBJECT: entity,
        CE_TIME: time_text(record.time),
        CONTENT_TYPE: JSON,
        APPEND_ID: record.batch,
        **record.headers,
    }


def trace_of(headers: Mapping[str, str]) -> str:
    """The `traceparent` among headers; empty where there is none, or one that is not of W3C Trace Context 00."""
    said = headers.get(TRACEPARENT, "")
    # Strictly: what anybody sent becomes a header of the log, and a header that cannot be written would stop a shard.
    return said if _TRACEPARENT.fullmatch(said) else ""


def record_of(subject: str, data: bytes, headers: Mapping[str, str], sequence: int, stored_at: int) -> Record:
    """Inverse of `headers_of` for a stored message."""
    return Record(
        subject=subject,
        type=headers.get(CE_TYPE, ""),
        data=data,
        id=headers.get(CE_ID, ""),
        batch=headers.get(APPEND_ID, ""),
        time=micros(datetime.fromisoformat(headers[CE_TIME])) if CE_TIME in headers else stored_at,
        headers={TRACEPARENT: headers[TRACEPARENT]} if TRACEPARENT in headers else {},
        sequence=sequence,
        stored_at=stored_at,
    )


@lru_cache(4096)
def time_text(value: int) -> str:
    """RFC 3339 in UTC for microseconds since the epoch."""
    return from_micros(value).isoformat().replace("+00:00", "Z")
