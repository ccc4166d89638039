"""Readings from JSON: one, or a list of them, bare or as CloudEvents (binary or structured)."""

from datetime import datetime
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic_core import from_json as with_constants
from pydantic_core import to_json

from actors.facility.columns import Columns
from actors.facility.rows import JSON, LATEST_BOOT, RANGES, Rows, UnreadableError, codes_of, too_large
from schemas.base import micros
from schemas.tables import GOOD, MAX_READINGS
from streams.ingest import Observed

READING_TYPE = "city.facility.reading.v1"


def from_json(columns: Columns, message: Observed, version: int) -> Rows:
    """Decode by the rules of a fold version. Raises `UnreadableError`, or `ValueError` on bytes that are no JSON."""
    if (kind := message.headers.get("ce-type", READING_TYPE)) != READING_TYPE:
        raise UnreadableError("type", f"CloudEvents type {kind!r} is not {READING_TYPE!r}: send readings here")
    try:
        body = orjson.loads(message.data)
    except orjson.JSONDecodeError:
        if version == 1:
            raise
        # Many programs write NaN, and numbers that no float64 holds: that reading does not count, those beside it do.
        body = with_constants(message.data)
    items = body if isinstance(body, list) else [body]
    if len(items) > MAX_READINGS:
        raise too_large(len(items))
    cells = [_reading(item) for item in items]
    faulty = np.fromiter((cell is None for cell in cells), bool, len(cells))
    whole = [cell or _NOTHING for cell in cells]
    names, times, values, sequences, boots, qualities, units = zip(*whole, strict=True) if whole else ((),) * 7
    n = len(whole)

    def refused(rows: NDArray[Any]) -> tuple[bytes, str]:
        if len(rows) == n:
            return message.data, JSON
        return to_json([items[row] for row in rows.tolist()], inf_nan_mode="constants"), JSON

    return Rows(
        message,
        codes_of(columns, message, list(names)),
        np.fromiter(times, np.int64, n),
        np.fromiter(values, np.float64, n),
        np.fromiter(sequences, np.int64, n),
        np.fromiter(boots, np.int64, n),
        np.fromiter(qualities, np.uint8, n),
        np.fromiter((columns.units.get(unit, -2) if unit is not None else -1 for unit in units), np.int32, n),
        faulty if faulty.any() else None,
        refused,
    )


_Cells = tuple[str, int, float, int, int, int, str | None]
_NOTHING: _Cells = ("", 0, 0.0, 0, 0, GOOD, None)


def _reading(item: Any) -> _Cells | None:
    """The cells of one reading, bare or in a structured CloudEvent; `None` where it is none."""
    if isinstance(item, dict) and "specversion" in item:
        item = item.get("data") if item.get("type") == READING_TYPE else None
    match item:
        case {"sensor": str(sensor), "time": str(text), "value": int() | float() as value, "sequence": int(sequence)}:
            boot, quality, unit = item.get("boot", 0), item.get("quality", GOOD), item.get("unit")
        case _:
            return None
    try:
        moment, measured = datetime.fromisoformat(text), float(value)
    except (ValueError, OverflowError):
        return None
    whole = all(type(number) is int for number in (sequence, boot, quality)) and type(value) is not bool
    if moment.tzinfo is None or not whole or not isinstance(unit, str | None):
        return None
    if not (0 <= sequence <= RANGES["sequence"] and 0 <= boot <= LATEST_BOOT and 0 <= quality <= RANGES["quality"]):
        return None
    return sensor, micros(moment), measured, sequence, boot, quality, unit
