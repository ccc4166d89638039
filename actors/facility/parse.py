"""Messages to columns: Arrow IPC or JSON, from anybody. Never raises on any bytes; what cannot be read has a reason."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from actors.facility.columns import B1, F8, I4, I8, Columns, Mask
from schemas.base import micros
from schemas.tables import GOOD, MAX_READINGS
from streams.ingest import Observed
from streams.subjects import GATEWAY_PREFIX, READINGS

UNKNOWN, FOREIGN = -1, -2
"""Codes instead of a sensor's index: no such sensor; not for this sender to speak for."""
ARROW, JSON = "application/vnd.apache.arrow.stream", "application/json"
READING_TYPE = "city.facility.reading.v1"
MAGIC = b"\xff\xff\xff\xff"
"""Every encapsulated Arrow IPC message begins with it."""
KEPT_DICTIONARIES = 256
LATEST_BOOT = 2**32 - 1
_UNITS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


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


def read(columns: Columns, message: Observed) -> Rows:
    """Decode one message. Raises `UnreadableError`, and nothing else, where the whole message cannot count."""
    if message.kind != READINGS and not message.kind.startswith(GATEWAY_PREFIX):
        raise UnreadableError("kind", f"kind {message.kind!r} is not known here: publish on .readings or .gw-<gateway>")
    try:
        if message.data[:4] == MAGIC:
            return _from_arrow(columns, message)
        if message.data.lstrip()[:1] in {b"{", b"["}:
            return _from_json(columns, message)
    except UnreadableError:
        raise
    except Exception as error:  # the bytes are anybody's, and decoders raise what they like
        text = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise UnreadableError(
            "undecodable", f"the message cannot be decoded ({text}): check how it is written"
        ) from error
    raise UnreadableError("undecodable", "the message is neither an Arrow IPC stream nor JSON: check how it is written")


def _too_large(rows: int) -> UnreadableError:
    return UnreadableError("oversized", f"the message holds {rows} rows or more, {MAX_READINGS} are allowed: split it")


def _from_arrow(columns: Columns, message: Observed) -> Rows:
    batches, total = [], 0
    with pa.ipc.open_stream(message.data) as reader:
        _check_schema(reader.schema)
        for batch in reader:
            batch.validate(full=True)
            total += batch.num_rows
            if total > MAX_READINGS:
                raise _too_large(total)
            batches.append(batch)
        if len(batches) == 1:
            batch = batches[0]
        else:
            table = pa.Table.from_batches(batches, reader.schema).unify_dictionaries().combine_chunks()
            batch = table.to_batches()[0] if total else pa.RecordBatch.from_pylist([], schema=reader.schema)

    faulty = np.zeros(total, bool)
    sensor = _sensors(columns, message, batch.column("sensor"), faulty)
    time = _times(batch.column("time"), faulty)
    value = _numbers(batch.column("value"), pa.float64(), faulty)
    sequence = _integers(batch, "sequence", faulty)
    boot = _integers(batch, "boot", faulty)
    quality = _integers(batch, "quality", faulty).astype(np.uint8)

    def refused(rows: NDArray[Any]) -> tuple[bytes, str]:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch.take(pa.array(rows)))
        return sink.getvalue().to_pybytes(), ARROW

    unit = _units(columns, batch.column("unit")) if "unit" in batch.schema.names else None
    marks = faulty if faulty.any() else None
    return Rows(message, sensor, time, value, sequence, boot, quality, unit, marks, refused)


def _check_schema(schema: pa.Schema) -> None:
    wanted: dict[str, Callable[[pa.DataType], bool]] = {
        "sensor": lambda t: _is_text(t.value_type if pa.types.is_dictionary(t) else t),
        "time": lambda t: pa.types.is_timestamp(t) and t.tz is not None,
        "value": lambda t: pa.types.is_floating(t) or pa.types.is_integer(t),
        "sequence": pa.types.is_integer,
        "boot": pa.types.is_integer,
        "quality": pa.types.is_integer,
        "unit": lambda t: _is_text(t.value_type if pa.types.is_dictionary(t) else t),
    }
    for name, fits in wanted.items():
        places = schema.get_all_field_indices(name)
        if len(places) > 1 or (not places and name in {"sensor", "time", "value", "sequence"}):
            raise UnreadableError("schema", f"column {name!r} occurs {len(places)} times: it must be there once")
        if places and not fits(schema.field(places[0]).type):
            found = schema.field(places[0]).type
            raise UnreadableError(
                "schema", f"column {name!r} has type {found}: see schemas.tables.READINGS for its type"
            )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _sensors(columns: Columns, message: Observed, column: pa.Array, faulty: Mask) -> I4:
    """Sensor indices, or codes below 0. The answer for a dictionary is kept until configuration changes."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    names, places = column.dictionary, column.indices
    hashed = hashlib.blake2b(repr((str(names.type), len(names), names.offset)).encode(), digest_size=16)
    for buffer in names.buffers():
        hashed.update(b"-" if buffer is None else buffer)
    key = (hashed.digest(), message.entity, message.kind)
    codes = columns.codes.get(key)
    if codes is None:
        codes = _codes(columns, message, names.to_pylist())
        columns.codes[key] = codes
        if len(columns.codes) > KEPT_DICTIONARIES:
            columns.codes.popitem(last=False)
    else:
        columns.codes.move_to_end(key)
    if places.null_count or names.null_count:
        faulty |= np.asarray(column.is_null())
        faulty |= np.asarray(pc.is_null(column.cast(names.type)))
        places = places.fill_null(0)
    if not len(names):
        return np.full(len(places), UNKNOWN, np.int32)
    found: I4 = codes[np.asarray(places)]
    return found


def _codes(columns: Columns, message: Observed, names: list[str | None]) -> I4:
    gateway = message.kind.removeprefix(GATEWAY_PREFIX) if message.kind != READINGS else None

    def code(name: str | None) -> int:
        i = columns.index.get(name or "")
        if i is None:
            return UNKNOWN
        if gateway is None:
            return i if columns.facility[i] == message.entity else FOREIGN
        return i if columns.facts[i].gateway == gateway else FOREIGN

    return np.fromiter((code(name) for name in names), np.int32, len(names))


def _times(column: pa.Array, faulty: Mask) -> I8:
    per_second = _UNITS_PER_SECOND[column.type.unit]
    ticks = _numbers(column.cast(pa.int64()), pa.int64(), faulty)
    if per_second > 1_000_000:
        return ticks // (per_second // 1_000_000)
    factor = 1_000_000 // per_second
    if factor == 1:
        return ticks
    far = np.abs(ticks // 2) > np.iinfo(np.int64).max // factor // 2 - 1
    faulty |= far
    return np.where(far, 0, ticks) * factor


def _numbers(column: pa.Array, kind: pa.DataType, faulty: Mask) -> NDArray[Any]:
    """The cells as NumPy; null cells are marked, and 0."""
    if column.null_count:
        faulty |= np.asarray(column.is_null())
        column = column.fill_null(0)
    if column.type != kind:
        column = column.cast(kind, safe=False)
    numbers: NDArray[Any] = np.asarray(column)
    return numbers


_RANGES = {"sequence": 2**63 - 1, "boot": LATEST_BOOT, "quality": 2}


def _integers(batch: pa.RecordBatch, name: str, faulty: Mask) -> I8:
    """A whole-number column as int64, zeros where it is missing; what lies outside its range is marked, and 0."""
    if name not in batch.schema.names:
        return np.zeros(batch.num_rows, np.int64)
    column = batch.column(name)
    numbers = _numbers(column, column.type, faulty)
    wrong = numbers > _RANGES[name] if numbers.dtype.kind == "u" else (numbers < 0) | (numbers > _RANGES[name])
    if wrong.any():
        faulty |= wrong
        numbers = np.where(wrong, 0, numbers)
    return numbers.astype(np.int64)


def _units(columns: Columns, column: pa.Array) -> I4:
    """Numbers of units: −1 where none is given, −2 where no sensor has that unit."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    names = encoded.dictionary.to_pylist()
    codes = np.array([*(columns.units.get(name, -2) if name is not None else -1 for name in names), -1], np.int32)
    found: I4 = codes[np.asarray(encoded.indices.fill_null(len(names)))]
    return found


def _from_json(columns: Columns, message: Observed) -> Rows:
    if (kind := message.headers.get("ce-type", READING_TYPE)) != READING_TYPE:
        raise UnreadableError("type", f"CloudEvents type {kind!r} is not {READING_TYPE!r}: send readings here")
    body = orjson.loads(message.data)
    items = body if isinstance(body, list) else [body]
    if len(items) > MAX_READINGS:
        raise _too_large(len(items))
    cells = [_reading(item) for item in items]
    faulty = np.fromiter((cell is None for cell in cells), bool, len(cells))
    whole = [cell or _NOTHING for cell in cells]
    names, times, values, sequences, boots, qualities, units = zip(*whole, strict=True) if whole else ((),) * 7
    n = len(whole)

    def refused(rows: NDArray[Any]) -> tuple[bytes, str]:
        if len(rows) == n:
            return message.data, JSON
        return orjson.dumps([items[row] for row in rows.tolist()]), JSON

    return Rows(
        message,
        _codes(columns, message, list(names)),
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
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    whole = all(type(number) is int for number in (sequence, boot, quality)) and type(value) is not bool
    if moment.tzinfo is None or not whole or not isinstance(unit, str | None):
        return None
    if not (0 <= sequence <= _RANGES["sequence"] and 0 <= boot <= LATEST_BOOT and 0 <= quality <= _RANGES["quality"]):
        return None
    return sensor, micros(moment), float(value), sequence, boot, quality, unit
