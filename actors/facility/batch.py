"""A run of messages as one batch of columns, with a reason beside each row that cannot count."""

import logging
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.facility.columns import B1, F8, I8, MICRO, Columns
from actors.facility.parse import read
from actors.facility.rows import FOREIGN, UNKNOWN, Rows, UnreadableError
from streams.ingest import Observed
from streams.rejected import RESUBMITTED, Rejection

logger = logging.getLogger(__name__)

FUTURE = 300 * MICRO
"""How far a reading's time may lie after its arrival: room for clocks set by hand (no public figure found)."""
NAME = "facility"

REASONS: dict[str, str] = {
    "": "",
    "cells": "have an empty or impossible cell: fill sensor, time, value, sequence, boot and quality (0, 1 or 2)",
    "unknown": "name sensors that are not registered: register them or correct the id",
    "foreign": "name sensors for which this sender may not speak: use the subject of their facility or gateway",
    "value": "have a value that is no finite number: leave such readings out, the gap is counted",
    "future": "have a time more than 5 minutes after their arrival: set the device's clock",
    "past": "have a time before 1970: set the device's clock",
    "unit": "have another unit than their sensor is registered with: convert the value or register the unit",
    "boot": "come from a boot that two later ones have superseded: count boot up with each restart",
    "behind": "were sent again when their sensors were 64 sequences further, where nobody knows whether they counted: "
    "send refused readings again before newer ones come",
}
"""Code to what is wrong and what to do; the number of a reason is its place here."""
CODES = tuple(REASONS)
SUPERSEDED, BEHIND = CODES.index("boot"), CODES.index("behind")


@dataclass(slots=True)
class Part:
    """One message's rows `[begin, end)` in the batch, without its first `skip` rows, which were folded before."""

    message: Observed
    skip: int
    begin: int
    end: int
    rows: Rows | None
    error: UnreadableError | None = None


@dataclass(slots=True)
class Batch:
    """Rows of many messages in stream order; `reason` is 0 where nothing speaks against a row so far."""

    parts: list[Part]
    sensor: I8
    time: I8
    value: F8
    sequence: I8
    boot: I8
    quality: B1
    arrived: I8
    reason: B1

    def __len__(self) -> int:
        return len(self.sensor)

    def message(self, row: int) -> Observed:
        """The message that a row came with."""
        # Of the parts that begin here the last: those before it have no rows.
        return self.parts[bisect_right(self.parts, row, key=lambda part: part.begin) - 1].message


def gather(columns: Columns, messages: Sequence[Observed], skip: int, enough: int, version: int) -> Batch:
    """Read messages until `enough` rows are there, at least one; `skip` rows of the first are left out.

    `version` is the fold version by whose rules they are read.
    """
    parts: list[Part] = []
    at = 0
    for message in messages:
        try:
            rows = read(columns, message, version)
            size = max(len(rows) - skip, 0)
            parts.append(Part(message, skip, at, at + size, rows))
            at += size
        except UnreadableError as error:
            parts.append(Part(message, skip, at, at, None, error))
        skip = 0
        if at >= enough:
            break
    return _joined(columns, parts)


def _joined(columns: Columns, parts: list[Part]) -> Batch:
    found = [(part.rows, part.skip, part.message) for part in parts if part.rows is not None]
    sizes = [len(rows) - min(skip, len(rows)) for rows, skip, _ in found]

    def column(name: str, dtype: type[Any]) -> NDArray[Any]:
        pieces = [getattr(rows, name)[skip:] for rows, skip, _ in found]
        return np.concatenate(pieces).astype(dtype, copy=False) if pieces else np.empty(0, dtype)

    arrived = np.repeat(np.array([message.arrived for _, _, message in found], np.int64), sizes)
    batch = Batch(
        parts, column("sensor", np.int64), column("time", np.int64), column("value", np.float64),
        column("sequence", np.int64), column("boot", np.int64), column("quality", np.uint8), arrived,
        np.zeros(sum(sizes), np.uint8),
    )  # fmt: skip
    for part in parts:
        if part.rows is not None and part.rows.faulty is not None:
            _mark(batch.reason[part.begin : part.end], part.rows.faulty[part.skip :], "cells")
    _mark(batch.reason, batch.sensor == UNKNOWN, "unknown")
    _mark(batch.reason, batch.sensor == FOREIGN, "foreign")
    _mark(batch.reason, ~np.isfinite(batch.value), "value")
    _mark(batch.reason, batch.time > arrived + FUTURE, "future")
    _mark(batch.reason, batch.time < 0, "past")
    for part in parts:
        if part.rows is not None and part.rows.unit is not None and columns.n:
            unit = part.rows.unit[part.skip :]
            wanted = columns.unit[np.maximum(batch.sensor[part.begin : part.end], 0)]
            _mark(batch.reason[part.begin : part.end], (unit != -1) & (unit != wanted), "unit")
    return batch


def _mark(reason: B1, wrong: NDArray[np.bool_], code: str) -> None:
    """The first reason found is the one that counts."""
    if wrong.any():
        reason[wrong & (reason == 0)] = CODES.index(code)


def refuse_again(batch: Batch, behind: I8) -> None:
    """Of the rows behind the window refuse those that an operator sent again: they would vanish among the duplicates.

    Not those of others: what devices and feeds repeat would fill REJECTED. Nothing but REJECTED tells the difference.
    """
    if not len(behind):
        return
    for part in batch.parts:
        if RESUBMITTED in part.message.headers:
            batch.reason[behind[(behind >= part.begin) & (behind < part.end)]] = BEHIND


def rejections(batch: Batch, taken: int) -> list[Rejection]:
    """What of the batch's first `taken` rows does not count, one per message and reason, in stream order.

    Ids are `facility-<sequence>-<code>`, with `-<row>` where a commit had divided the message before that row.
    """
    found = []
    for part in batch.parts:
        if part.end > taken and part.begin >= taken:
            break
        if part.error is not None:
            found.append(
                _rejection(part, part.error.code, str(part.error), part.message.data, _content_type(part.message))
            )
        if part.rows is None:
            continue
        reason = batch.reason[part.begin : min(part.end, taken)]
        for code in np.unique(reason[reason > 0]).tolist():
            rows = np.flatnonzero(reason == code)
            data, content_type = _refused(part.message, part.rows, rows + part.skip)
            text = f"{len(rows)} of {len(reason)} readings for {part.message.entity} {REASONS[CODES[code]]}"
            found.append(_rejection(part, CODES[code], text, data, content_type))
    return found


def _refused(message: Observed, rows: Rows, which: NDArray[np.intp]) -> tuple[bytes, str]:
    """Some rows of a message by themselves; the whole message where its decoder cannot part them from the others."""
    try:
        return rows.refused(which)
    except MemoryError:
        raise
    except Exception:  # the fold has moved on: what is refused may be kept in any form, but not hold it up
        logger.exception("message %s of %s is kept whole", message.sequence, NAME)
        return message.data, _content_type(message)


def _content_type(message: Observed) -> str:
    return message.headers.get("content-type", "application/octet-stream")


def _rejection(part: Part, code: str, reason: str, data: bytes, content_type: str) -> Rejection:
    offset = f"-{part.skip}" if part.skip else ""
    message = part.message
    return Rejection(
        f"{NAME}-{message.sequence}-{code}{offset}", message.entity, reason, data, content_type, message.sequence
    )
