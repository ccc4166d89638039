"""Readings from an Arrow IPC stream (`schemas.tables.READINGS`), column by column."""

import hashlib
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from actors.envelope import is_compressed
from actors.facility.columns import I4, I8, Columns, Mask
from actors.facility.rows import ARROW, RANGES, UNKNOWN, Rows, UnreadableError, codes_of, too_large
from schemas.tables import MAX_READINGS
from streams.ingest import Observed

MAGIC = b"\xff\xff\xff\xff"
"""Every encapsulated Arrow IPC message begins with it."""
KEPT_DICTIONARIES = 256
KEPT_BYTES = 16 * 1024 * 1024
"""What dictionaries mean is kept for so many at most, of so many bytes together: four a name."""
_UNITS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def from_arrow(columns: Columns, message: Observed, version: int) -> Rows:
    """Decode by the rules of a fold version.

    Raises `UnreadableError`, or whatever Arrow raises on bytes that are no such stream.
    """
    if is_compressed(message.data):
        raise UnreadableError("compressed", "the Arrow stream is compressed: send it uncompressed")
    batches, total = [], 0
    with pa.ipc.open_stream(message.data) as reader:
        # Other columns are left alone: they may be of types that Arrow can read and do nothing else with.
        names = [name for name in check_schema(reader.schema) if name in reader.schema.names]
        for whole in reader:
            total += whole.num_rows
            if total > MAX_READINGS:
                raise too_large(total)
            whole.validate(full=True)
            batch = whole.select(names)
            batches.append(batch)
        if len(batches) != 1:
            schema = pa.schema([reader.schema.field(name) for name in names])
            table = pa.Table.from_batches(batches, schema).unify_dictionaries().combine_chunks()
            batch = table.to_batches()[0] if total else pa.RecordBatch.from_pylist([], schema=schema)

    if version > 1:
        _check_dictionaries(batch)
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


def check_schema(schema: pa.Schema) -> Collection[str]:
    """The names of the columns that a reading may have. Raises `UnreadableError` where one is missing or odd."""
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
    return wanted


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _check_dictionaries(batch: pa.RecordBatch) -> None:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_dictionary(column.type) and len(column.dictionary) > MAX_READINGS:
            raise UnreadableError(
                "dictionary",
                f"the dictionary of column {name!r} has {len(column.dictionary)} entries, {MAX_READINGS} are allowed: "
                "send those that the rows name",
            )


def _sensors(columns: Columns, message: Observed, column: pa.Array, faulty: Mask) -> I4:
    """Sensor indices, or codes below 0. The answer for a dictionary is kept until configuration changes."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    names, places = column.dictionary, column.indices
    hashed = hashlib.blake2b(repr((str(names.type), len(names), names.offset)).encode(), digest_size=16)
    for buffer in names.buffers():
        # With its size: the same bytes, divided otherwise between offsets and text, are other names.
        hashed.update(b"-" if buffer is None else b"%d " % buffer.size)
        hashed.update(buffer or b"")
    key = (hashed.digest(), message.entity, message.kind)
    codes = columns.codes.get(key)
    if codes is None:
        codes = codes_of(columns, message, names.to_pylist())
        columns.codes[key] = codes
        while (
            len(columns.codes) > KEPT_DICTIONARIES or sum(kept.nbytes for kept in columns.codes.values()) > KEPT_BYTES
        ):
            columns.codes.popitem(last=False)
    else:
        columns.codes.move_to_end(key)
    if places.null_count or names.null_count:
        faulty |= np.asarray(column.is_null())
        places = places.fill_null(0)
    if not len(names):
        return np.full(len(places), UNKNOWN, np.int32)
    if names.null_count:
        faulty |= np.asarray(names.is_null())[np.asarray(places)]
    found: I4 = codes[np.asarray(places)]
    return found


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


def _integers(batch: pa.RecordBatch, name: str, faulty: Mask) -> I8:
    """A whole-number column as int64, zeros where it is missing; what lies outside its range is marked, and 0."""
    if name not in batch.schema.names:
        return np.zeros(batch.num_rows, np.int64)
    column = batch.column(name)
    numbers = _numbers(column, column.type, faulty)
    wrong = numbers > RANGES[name] if numbers.dtype.kind == "u" else (numbers < 0) | (numbers > RANGES[name])
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
