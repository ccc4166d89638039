"""Records as CloudEvents 1.0 in NATS binary mode, and back.

`ce-id`, `ce-type`, `ce-source`, `ce-subject`, `ce-time` and `ce-specversion` are headers; the payload is the data.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

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
SYNTHETIC = "ce-synthetic"
"""`true` where the event tells of something made up; left out otherwise. An extension attribute of CloudEvents."""
APPEND_ID = "Bomnae-Batch"
"""The writer's own id of an append, kept with each record: it tells, after a timeout, whether the batch landed."""

JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"
CLOUD_EVENT = "application/cloudevents+json"
_CARRIED = (TRACEPARENT, SYNTHETIC)
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def head_of(record: Record) -> str:
    """The headers of an event, as lines: what LOG and FEED say alike. Raises `ValueError` as `head` does."""
    _, _, context, shard, entity, _ = record.subject.split(".", 5)
    # One text instead of a dictionary: this is done twice for every event.
    said = (
        f"{CE_VERSION}: 1.0\r\n{CE_ID}: {record.id}\r\n{CE_TYPE}: {record.type}\r\n"
        f"{CE_SOURCE}: /bomnae/{context}/{shard}\r\n{CE_SUBJECT}: {entity}\r\n"
        f"{CE_TIME}: {time_text(record.time)}\r\n{CONTENT_TYPE}: {JSON}\r\n"
    )
    return _checked(said, 7) + head(record.headers) if record.headers else _checked(said, 7)


def log_head_of(record: Record) -> str:
    """The headers of a record of the log, as lines. Raises `ValueError` as `head` does."""
    return head_of(record) + _append_line(record.batch)


@lru_cache(16)
def _append_line(batch: str) -> str:
    return head({APPEND_ID: batch})


def head(headers: Mapping[str, str]) -> str:
    """Headers as lines. Raises `ValueError` where a value would end its line and begin another."""
    return _checked("".join([f"{name}: {value}\r\n" for name, value in headers.items()]), len(headers))


def structured(headers: Mapping[str, str], data: bytes) -> bytes:
    """An event with JSON data in the JSON format of CloudEvents 1.0, on one line."""
    attributes: dict[str, Any] = {name[3:]: said for name, said in headers.items() if name.startswith("ce-")}
    if SYNTHETIC in headers:
        # A Boolean, which headers can only spell.
        attributes[SYNTHETIC[3:]] = headers[SYNTHETIC] == "true"
    return orjson.dumps({**attributes, "datacontenttype": JSON, "data": orjson.Fragment(data)}).replace(b"\n", b"")


def headers_of(lines: str) -> dict[str, str]:
    """Inverse of `head`."""
    return dict(line.split(": ", 1) for line in lines.split("\r\n")[:-1])


def _checked(lines: str, count: int) -> str:
    if not lines.count("\n") == lines.count("\r") == count:
        raise ValueError(f"one of these headers cannot be said to NATS: {lines!r}")
    return lines


def trace_of(headers: Mapping[str, str]) -> str:
    """The `traceparent` among headers; empty where there is none, or one that is not of W3C Trace Context 00."""
    said = headers.get(TRACEPARENT, "")
    # Strictly: what anybody sent becomes a header of the log, and a header that cannot be written would stop a shard.
    return said if _TRACEPARENT.fullmatch(said) else ""


def record_of(subject: str, data: bytes, headers: Mapping[str, str], sequence: int, stored_at: int) -> Record:
    """Inverse of `log_head_of` for a stored message."""
    return Record(
        subject=subject,
        type=headers.get(CE_TYPE, ""),
        data=data,
        id=headers.get(CE_ID, ""),
        batch=headers.get(APPEND_ID, ""),
        time=micros(datetime.fromisoformat(headers[CE_TIME])) if CE_TIME in headers else stored_at,
        headers={name: headers[name] for name in _CARRIED if name in headers},
        sequence=sequence,
        stored_at=stored_at,
    )


@lru_cache(4096)
def time_text(value: int) -> str:
    """RFC 3339 in UTC for microseconds since the epoch."""
    return from_micros(value).isoformat().replace("+00:00", "Z")
