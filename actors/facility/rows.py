"""One message as columns, and what every decoder needs: who may speak for which sensor, and what is allowed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.facility.columns import B1, F8, I4, I8, Columns, Mask
from schemas.tables import MAX_READINGS
from streams.ingest import Observed
from streams.subjects import GATEWAY_PREFIX, READINGS

UNKNOWN, FOREIGN = -1, -2
"""Codes instead of a sensor's index: no such sensor; not for this sender to speak for."""
ARROW, JSON = "application/vnd.apache.arrow.stream", "application/json"
LATEST_BOOT = 2**32 - 1


RANGES = {"sequence": 2**63 - 1, "boot": LATEST_BOOT, "quality": 2}
"""The greatest number that a cell may hold; the least is 0."""


class UnreadableError(ValueError):
    """The whole message cannot count; `code` names the reason in ids."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(slots=True)
class Rows:
    """One message as columns. `faulty` marks rows with null or impossible cells; `refused(rows)` gives them back."""

    message: Observed
    sensor: I4
    time: I8
    value: F8
    sequence: I8
    boot: I8
    quality: B1
    unit: I4 | None
    faulty: Mask | None
    refused: Callable[[NDArray[Any]], tuple[bytes, str]]

    def __len__(self) -> int:
        return len(self.sensor)


def too_large(rows: int) -> UnreadableError:
    """The refusal of a message beyond `MAX_READINGS`."""
    return UnreadableError("oversized", f"the message holds {rows} rows or more, {MAX_READINGS} are allowed: split it")


def codes_of(columns: Columns, message: Observed, names: list[str | None]) -> I4:
    """Each sensor's index, or `UNKNOWN`, or `FOREIGN` where the subject does not let its sender speak for it."""
    gateway = message.kind.removeprefix(GATEWAY_PREFIX) if message.kind != READINGS else None

    def code(name: str | None) -> int:
        i = columns.index.get(name or "")
        if i is None:
            return UNKNOWN
        if gateway is None:
            return i if columns.facility[i] == message.entity else FOREIGN
        return i if columns.facts[i].gateway == gateway else FOREIGN

    return np.fromiter((code(name) for name in names), np.int32, len(names))
