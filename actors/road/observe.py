"""What a road feed publishes on INGEST, decided row by row; what does not count is refused with the reason."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from pydantic import ValidationError

from actors.context import Outcome
from actors.road.decider import decide_clearing
from actors.road.fold import evolve
from actors.road.state import State
from schemas.base import from_micros
from schemas.errors import BomnaeError, NotFoundError
from schemas.road import ClearingRow, RoadEvent
from streams import codec
from streams.ingest import Observed
from streams.log import Position
from streams.rejected import Rejection

CLEARING = "clearing"
"""The kind of INGEST subject on which a feed speaks: `city.raw.road.<road>.clearing`."""

Refused = dict[str, tuple[str, list[Any]]]
"""By reason code: the sentence for the first refused row, and all rows refused for that reason."""


def observe(state: State, messages: Sequence[Observed], start: Position, max_events: int) -> Outcome:
    """Fold feed messages into the state in stream order, evolving each event; never raises on input.

    A message is a JSON array of `ClearingRow`, or one of them. Rows up to `start` are skipped; `end` falls short of
    the messages where a further row's events would exceed `max_events` (one row is consumed in any case).
    `Outcome.rows` counts the good rows. Refused rows make one `Rejection` per message and reason code, with those rows
    alone as JSON; its id is `road-<sequence>-<code>`, followed by `-<from>-<to>` where only a part was observed.
    """
    outcome = Outcome([], [], start)
    for message in messages:
        if message.sequence <= start.sequence:
            continue
        skip = outcome.end.rows
        if (consumed := _observe(state, message, skip, max_events, outcome)) is not None:
            outcome.end = Position(outcome.end.sequence, consumed)
            break
        outcome.end = Position(message.sequence, 0)
    return outcome


def _observe(state: State, message: Observed, skip: int, max_events: int, outcome: Outcome) -> int | None:
    """Fold one message behind its first `skip` rows; the rows consumed if it was cut, None if it is done."""
    rows = _rows(state, message)
    if isinstance(rows, Rejection):
        outcome.rejections.append(rows)
        return None
    at, refused, cut = from_micros(message.arrived), Refused(), None
    for number in range(skip, len(rows)):
        try:
            events = _decide(state, message.entity, rows[number], at)
        except MemoryError:  # of the process, not of the row
            raise
        except Exception as error:  # the row is anybody's
            code, reason = _reason(error)
            refused.setdefault(code, (f"{reason} (row {number})", []))[1].append(rows[number])
            continue
        if outcome.events and len(outcome.events) + len(events) > max_events:
            cut = number
            break
        for event in events:
            evolve(state, event)
        outcome.events += events
        outcome.traces += [codec.trace_of(message.headers)] * len(events)
        outcome.rows += 1
    part = "" if skip == 0 and cut is None else f"-{skip}-{len(rows) if cut is None else cut}"
    outcome.rejections += [_refuse_rows(message, code, part, *why) for code, why in refused.items()]
    return cut


def _decide(state: State, road: str, row: object, at: datetime) -> list[RoadEvent]:
    return decide_clearing(state, road, ClearingRow.model_validate(row), at)


def _rows(state: State, message: Observed) -> list[Any] | Rejection:
    if message.kind != CLEARING:
        return _refuse(message, "unknown-kind", f"a road feed publishes {CLEARING!r}, not {message.kind!r}")
    if message.entity not in state.roads:
        return _refuse(message, "unknown-road", f"there is no road {message.entity!r}: register it first")
    try:
        content = orjson.loads(message.data)
    except orjson.JSONDecodeError as error:
        return _refuse(message, "undecodable", f"the payload is not JSON ({error}): send an array of clearing rows")
    if not isinstance(content, list | dict):
        return _refuse(message, "undecodable", "the payload is neither a JSON array of clearing rows nor one such row")
    return content if isinstance(content, list) else [content]


def _reason(error: Exception) -> tuple[str, str]:
    if isinstance(error, NotFoundError):
        return "unknown-segment", f"{error}: register it, or publish under its own road"
    if isinstance(error, BomnaeError):
        return "future-time", str(error)
    if not isinstance(error, ValidationError):
        return "malformed-row", f"the row cannot be judged ({type(error).__name__}): check how it is written"
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "row"
    return "malformed-row", f"{place}: {first['msg']}"


def _refuse(message: Observed, code: str, reason: str) -> Rejection:
    content_type = message.headers.get("content-type", "application/json")
    identity = f"road-{message.sequence}-{code}"
    return Rejection(identity, message.entity, reason, message.data, content_type, message.sequence)


def _refuse_rows(message: Observed, code: str, part: str, reason: str, rows: list[Any]) -> Rejection:
    identity = f"road-{message.sequence}-{code}{part}"
    try:
        data = orjson.dumps(rows)
    except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
        data = message.data
    return Rejection(identity, message.entity, reason, data, "application/json", message.sequence)
