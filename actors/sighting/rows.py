"""The rows of one message as columns, whatever they came as. What cannot be read at all has a reason."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import ValidationError

from actors.envelope import is_compressed, text, whole
from actors.sighting.keys import Mask
from schemas.base import micros
from schemas.sighting import ATTRIBUTES, MAX_SIGHTINGS, SIGHTINGS, Sighting
from streams.ingest import Observed

MAGIC = b"\xff\xff\xff\xff"
"""Every encapsulated Arrow IPC message begins with it."""
I8 = NDArray[np.int64]
F4 = NDArray[np.float32]
LONGEST = 80
"""Letters of the longest word that a sighting may hold: its id. What is longer is not told apart from other such."""
_UNITS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_ATTRIBUTES = SIGHTINGS.field("attributes").type
_REQUIRED = ("sighting_id", "camera", "time", "model", "embedding", "quality")


class UnreadableError(Exception):
    """A whole message that cannot count: a code for ids and a sentence, neither with anything of the message in it."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


@dataclass(frozen=True, slots=True)
class Coded:
    """A column of names: a number per row, -1 where it is null, into the distinct names."""

    codes: NDArray[np.int32]
    names: list[str]


@dataclass(frozen=True, slots=True)
class Rows:
    """Columns of equal length. `faulty` marks rows with a null or a cell that cannot be read.

    The embedding of row i is `flat[start[i] : start[i] + length[i]]`.
    """

    ids: pa.StringArray
    camera: Coded
    time: I8
    model: Coded
    flat: F4
    start: I8
    length: I8
    quality: F4
    box: pa.FixedSizeListArray
    attributes: pa.StructArray
    picture: pa.BinaryArray
    faulty: Mask

    def __len__(self) -> int:
        return len(self.ids)


def read(message: Observed) -> Rows:
    """Decode one message. Raises `UnreadableError` where the whole of it cannot count, else only `MemoryError`."""
    try:
        if message.data[:4] == MAGIC:
            return _of_arrow(message.data)
        if message.data.lstrip()[:1] in {b"{", b"["}:
            return _of_json(message.data)
    except (UnreadableError, MemoryError):
        raise
    except Exception as error:  # the bytes are anybody's, decoders raise what they like, and their words may quote it
        kind = type(error).__name__
        raise UnreadableError(
            "undecodable", f"the message cannot be decoded ({kind}): check how it is written"
        ) from None
    raise UnreadableError("undecodable", "the message is neither an Arrow IPC stream nor JSON: check how it is written")


def _of_arrow(data: bytes) -> Rows:
    if is_compressed(data):
        raise UnreadableError("compressed", "the Arrow stream is compressed: send it uncompressed")
    batches, total = [], 0
    with pa.ipc.open_stream(data) as reader:
        _check_schema(reader.schema)
        for batch in reader:
            batch.validate(full=True)
            total += batch.num_rows
            _check_size(total)
            batches.append(batch)
        table = pa.Table.from_batches(batches, reader.schema)
    return _of_table(table, np.zeros(total, bool))


def _of_json(data: bytes) -> Rows:
    body = orjson.loads(data)
    if isinstance(body, dict) and "specversion" in body:
        body = body.get("data")
    items = body if isinstance(body, list) else [body]
    _check_size(len(items))
    rows, faulty = [], np.zeros(len(items), bool)
    for number, item in enumerate(items):
        try:
            one = Sighting.model_validate(item)
        except ValidationError:
            faulty[number] = True
            rows.append({**dict.fromkeys(SIGHTINGS.names), **_told(item), "embedding": [0.0], "quality": 0.0})
            continue
        attributes = one.attributes or {}
        faulty[number] = not attributes.keys() <= ATTRIBUTES.keys()
        given = {name: attributes.get(name) for name in ATTRIBUTES} if one.attributes is not None else None
        rows.append({**dict(one), "time": micros(one.time), "attributes": given})
    loose = pa.schema([field.with_nullable(True) for field in SIGHTINGS])
    return _of_table(pa.Table.from_pylist(rows, loose), faulty)


def _told(item: Any) -> dict[str, str]:
    """What a refused JSON row says of itself, so that the refusal can name it."""
    if not isinstance(item, dict):
        return {}
    return {name: value for name in ("sighting_id", "camera") if isinstance(value := item.get(name), str)}


def _check_size(rows: int) -> None:
    if rows > MAX_SIGHTINGS:
        raise UnreadableError("too-large", f"the message has more than {MAX_SIGHTINGS} rows: send smaller batches")


def _check_schema(schema: pa.Schema) -> None:
    known = set(SIGHTINGS.names)
    for name in [*_REQUIRED, *schema.names]:
        places = schema.get_all_field_indices(name)
        if name not in known:
            raise UnreadableError("schema", "there is a column that no sighting has: see schemas.sighting.SIGHTINGS")
        if len(places) != 1:
            raise UnreadableError("schema", f"column {name!r} occurs {len(places)} times: it must be there once")
        if not _fits(name, schema.field(places[0]).type):
            raise UnreadableError("schema", f"column {name!r} has a wrong type: see schemas.sighting.SIGHTINGS")


def _fits(name: str, kind: pa.DataType) -> bool:  # noqa: PLR0911 - a line per column
    match name:
        case "sighting_id" | "camera" | "model":
            return _is_word(kind)
        case "time":
            return bool(pa.types.is_timestamp(kind) and kind.tz is not None)
        case "embedding":
            return _is_list(kind) and bool(pa.types.is_floating(kind.value_type))
        case "quality":
            return bool(pa.types.is_floating(kind))
        case "box":
            return bool(pa.types.is_null(kind)) or (_is_list(kind) and bool(pa.types.is_integer(kind.value_type)))
        case "attributes":
            return bool(pa.types.is_null(kind)) or (
                bool(pa.types.is_struct(kind))
                and all(
                    field.name in ATTRIBUTES and (_is_word(field.type) or pa.types.is_null(field.type))
                    for field in kind
                )
            )
        case _:
            return bool(pa.types.is_null(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_word(kind: pa.DataType) -> bool:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(plain) or pa.types.is_large_string(plain))


def _is_attribute(field: pa.Field) -> bool:
    return field.name in ATTRIBUTES and (_is_word(field.type) or bool(pa.types.is_null(field.type)))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _of_table(table: pa.Table, faulty: Mask) -> Rows:
    columns = {name: whole(table.column(name)) for name in table.column_names}
    for name in _REQUIRED:
        if columns[name].null_count:
            faulty |= np.asarray(columns[name].is_null())
    count = len(table)
    flat, start, length = _vectors(columns["embedding"])
    return Rows(
        text(columns["sighting_id"], LONGEST),
        _coded(columns["camera"]),
        _times(columns["time"], faulty),
        _coded(columns["model"]),
        flat,
        start,
        length,
        np.asarray(columns["quality"].cast(pa.float32(), safe=False).fill_null(float("nan"))),
        _boxes(columns.get("box"), count, faulty),
        _attributes(columns.get("attributes"), count),
        columns["picture"].cast(pa.binary()) if "picture" in columns else pa.nulls(count, pa.binary()),
        faulty,
    )


def _coded(column: pa.Array) -> Coded:
    # Encoded anew: what a sender calls a dictionary may repeat a name, or hold a null.
    encoded = text(column, LONGEST).dictionary_encode()
    return Coded(np.asarray(encoded.indices.fill_null(-1)), encoded.dictionary.to_pylist())


def _times(column: pa.Array, faulty: Mask) -> I8:
    per_second = _UNITS_PER_SECOND[column.type.unit]
    ticks: I8 = np.asarray(column.cast(pa.int64()).fill_null(0))
    if per_second > 1_000_000:
        return ticks // (per_second // 1_000_000)
    factor = 1_000_000 // per_second
    far = np.abs(ticks // 2) > np.iinfo(np.int64).max // factor // 2 - 1
    faulty |= far
    return np.where(far, 0, ticks) * factor


def _vectors(column: pa.Array) -> tuple[F4, I8, I8]:
    values = column.flatten()
    lengths: I8 = np.asarray(pc.fill_null(pc.list_value_length(column), 0)).astype(np.int64)
    flat: F4 = np.asarray(values.cast(pa.float32(), safe=False).fill_null(float("nan")))
    return flat, np.cumsum(lengths) - lengths, lengths


def _boxes(column: pa.Array | None, count: int, faulty: Mask) -> pa.FixedSizeListArray:
    """Boxes of four numbers; rows whose box has another number of them, or a null among them, are marked."""
    if column is None or pa.types.is_null(column.type):
        column = pa.nulls(count, pa.list_(pa.int32()))
    values, lengths = column.flatten(), np.asarray(pc.fill_null(pc.list_value_length(column), 0)).astype(np.int64)
    there = np.asarray(column.is_valid())
    wrong = there & (lengths != 4)
    start = np.cumsum(lengths) - lengths
    numbers = np.asarray(values.cast(pa.int64()).fill_null(-(2**40)))
    whole = np.zeros((count, 4), np.int64)
    good = there & ~wrong
    whole[good] = numbers[start[good][:, None] + np.arange(4)]
    wrong |= (np.abs(whole) > 2**31 - 1).any(axis=1) | (whole[:, 2:] < 0).any(axis=1)
    faulty |= wrong
    kept = pa.array(np.where(wrong[:, None], 0, whole).astype(np.int32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(kept, 4, mask=pa.array(~good))


def _attributes(column: pa.Array | None, count: int) -> pa.StructArray:
    if column is None or pa.types.is_null(column.type):
        column = pa.nulls(count, _ATTRIBUTES)
    given = {field.name for field in column.type}
    parts = [
        text(pc.struct_field(column, name), LONGEST) if name in given else pa.nulls(count, pa.string())
        for name in ATTRIBUTES
    ]
    return pa.StructArray.from_arrays(parts, fields=list(_ATTRIBUTES), mask=column.is_null())
