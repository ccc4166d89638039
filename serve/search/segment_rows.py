"""Sightings as columns: what a batch must look like, which of its rows are refused and why, how columns are joined."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from serve.search.quantise import Encoded, Model, encode, unit

ATTRIBUTES = ("upper", "lower", "age", "sex", "bag", "hat")
LONGEST_TEXT = 200
MOST_VALUES = 10_000
"""Different values of one attribute. A sender that invents more has its rows refused, not our memory filled."""


def sightings(model: Model) -> pa.Schema:
    """The table that `Index.append` takes; a null attribute is unknown.

    float32 embeddings, a map of strings as attributes, dictionary columns, other units of time and an additional string
    column `model` are taken too.
    """
    return pa.schema(
        {
            "sighting_id": pa.string(),
            "camera": pa.string(),
            "time": pa.timestamp("us", tz="UTC"),
            "embedding": pa.list_(pa.float16(), model.dimension),
            "quality": pa.float32(),
            "attributes": pa.struct({name: pa.string() for name in ATTRIBUTES}),
        }
    )


class Refused(NamedTuple):
    """A row that was not taken."""

    row: int
    sighting_id: str | None
    reason: str


@dataclass(slots=True)
class Vocabulary:
    """Numbers for texts, the same in all segments of an index; grows only. -1 is null."""

    numbers: dict[str, int] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)

    def encode(self, column: pa.Array) -> npt.NDArray[np.int32]:
        """Numbers of a string or dictionary column."""
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        known = [self._number(text) for text in column.dictionary.to_pylist()]
        at = column.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
        numbers: npt.NDArray[np.int32] = np.array([*known, -1], np.int32)[at]
        return numbers

    def _number(self, text: str | None) -> int:
        if text is None:
            return -1
        number = self.numbers.get(text)
        if number is None:
            number = len(self.texts)
            self.texts.append(text)
            self.numbers[text] = number
        return number

    def chosen(self, texts: Iterable[str]) -> npt.NDArray[np.bool_]:
        """By number, whether the text is one of these; one more at the end, so that -1 is never chosen."""
        size = len(self.texts)  # appends may go on beside a search: what comes later is in none of its segments
        flags = np.zeros(size + 1, np.bool_)
        flags[[number for text in texts if 0 <= (number := self.numbers.get(text, -1)) < size]] = True
        return flags

    def text(self, number: int) -> str | None:
        """The text of a number."""
        return None if number < 0 else self.texts[number]


@dataclass(slots=True)
class Vocabularies:
    """Of cameras and of each attribute."""

    camera: Vocabulary = field(default_factory=Vocabulary)
    attributes: tuple[Vocabulary, ...] = field(default_factory=lambda: tuple(Vocabulary() for _ in ATTRIBUTES))


@dataclass(frozen=True, slots=True)
class Rows:
    """n sightings as columns. `time` is µs since 1970 UTC, `attributes` int16 [n, 6]; texts by `Vocabularies`."""

    ids: pa.Array
    camera: npt.NDArray[np.int32]
    time: npt.NDArray[np.int64]
    quality: npt.NDArray[np.float32]
    attributes: npt.NDArray[np.int16]
    vectors: Encoded

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: npt.NDArray[np.intp]) -> "Rows":
        """These rows in this order."""
        half, codes, bits, error = self.vectors
        return Rows(
            self.ids.take(pa.array(rows)),
            self.camera[rows],
            self.time[rows],
            self.quality[rows],
            self.attributes[rows],
            Encoded(half[rows], codes[rows], bits[rows], error),
        )

    @staticmethod
    def join(parts: Sequence["Rows"]) -> "Rows":
        """All of them, by camera, then time. Each vector is copied once."""
        camera, time = np.concatenate([part.camera for part in parts]), np.concatenate([part.time for part in parts])
        order = np.lexsort((time, camera))
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        places = np.split(place, np.cumsum([len(part) for part in parts[:-1]]))

        def put(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
            joined = np.empty((len(order), *arrays[0].shape[1:]), arrays[0].dtype)
            for at, array in zip(places, arrays, strict=True):
                joined[at] = array
            return joined

        vectors = [part.vectors for part in parts]
        return Rows(
            pa.concat_arrays([part.ids for part in parts]).take(pa.array(order)),
            camera[order],
            time[order],
            put([part.quality for part in parts]),
            put([part.attributes for part in parts]),
            Encoded(
                put([one.half for one in vectors]),
                put([one.codes for one in vectors]),
                put([one.bits for one in vectors]),
                max(one.error for one in vectors),
            ),
        )


def hashes(ids: pa.Array) -> npt.NDArray[np.uint64]:
    """64 bits for each id, for finding; who finds compares the ids themselves."""
    return pl.Series(pl.from_arrow(ids)).hash(seed=0).to_numpy()


class Checked(NamedTuple):
    """The good rows of a batch, encoded, and why the others were refused."""

    rows: Rows
    refused: tuple[Refused, ...]


def check(table: pa.Table | pa.RecordBatch, model: Model, texts: Vocabularies) -> Checked:
    """Rows of `sightings(model)` that can be kept; what is wrong with a row refuses that row alone.

    Raises `pa.ArrowInvalid` or `KeyError` when a column is missing or has a type that cannot hold what it should.
    """
    whole = pa.table(table).combine_chunks() if isinstance(table, pa.RecordBatch) else table.combine_chunks()
    columns = {name: _chunk(whole[name]) for name in whole.column_names}
    ids, camera = _text(columns["sighting_id"]), _text(columns["camera"])
    time = columns["time"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    quality = columns["quality"].cast(pa.float32()).fill_null(np.nan).to_numpy(zero_copy_only=False)
    attributes = _attributes(columns["attributes"])
    reasons = np.full(len(whole), None, object)
    for column, name in ((ids, "sighting_id"), (camera, "camera"), (time, "time")):
        reasons[_flags(pc.is_null(column))] = f"no {name}"
    for column in (ids, camera, *attributes):
        reasons[_flags(pc.greater(pc.utf8_length(column), LONGEST_TEXT))] = (
            f"a text longer than {LONGEST_TEXT} characters"
        )
    reasons[~((quality >= 0) & (quality <= 1))] = "quality is not between 0 and 1"
    if "model" in columns:
        reasons[~_flags(pc.equal(_text(columns["model"]), model.name))] = f"not a vector of {model.name}"
    vectors = _vectors(columns["embedding"], model, reasons)
    _bounded(attributes, texts, reasons)
    bad = reasons.astype(np.bool_)  # None is false, a reason is not empty
    good = np.flatnonzero(~bad)
    refused = tuple(Refused(int(row), ids[row].as_py(), reasons[row]) for row in np.flatnonzero(bad))
    kept = pa.array(good)
    values = [known.encode(column.take(kept)) for known, column in zip(texts.attributes, attributes, strict=True)]
    rows = Rows(
        ids.take(kept),
        texts.camera.encode(camera.take(kept)),
        time.take(kept).to_numpy(zero_copy_only=False).astype(np.int64),
        quality[good],
        np.stack(values, axis=1).astype(np.int16),
        encode(vectors if len(good) == len(vectors) else vectors[good], model),
    )
    return Checked(rows, refused)


def _chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])


def _flags(column: pa.Array) -> npt.NDArray[np.bool_]:
    flags: npt.NDArray[np.bool_] = column.fill_null(False).to_numpy(zero_copy_only=False)
    return flags


def _text(column: pa.Array) -> pa.Array:
    return column.cast(pa.string())


def _attributes(column: pa.Array) -> list[pa.Array]:
    if pa.types.is_map(column.type):
        return [_text(pc.map_lookup(column, name, "first")) for name in ATTRIBUTES]
    present = {one.name for one in column.type}
    unknown = pa.nulls(len(column), pa.string())
    return [_text(pc.struct_field(column, name)) if name in present else unknown for name in ATTRIBUTES]


def _bounded(attributes: Sequence[pa.Array], texts: Vocabularies, reasons: npt.NDArray[Any]) -> None:
    for name, known, column in zip(ATTRIBUTES, texts.attributes, attributes, strict=True):
        fresh = set(column.unique().to_pylist()) - {None} - known.numbers.keys()
        if len(known.texts) + len(fresh) > MOST_VALUES:
            over = pa.array(sorted(fresh), pa.string())
            reasons[_flags(pc.is_in(column, value_set=over))] = f"more than {MOST_VALUES} values of {name}"


def _vectors(column: pa.Array, model: Model, reasons: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    wanted = pa.list_(column.type.value_type, model.dimension)
    lengths = pc.list_value_length(column).fill_null(-1).to_numpy(zero_copy_only=False)
    fits = lengths == model.dimension
    for row in np.flatnonzero(~fits):
        reasons[row] = f"{max(0, lengths[row])} dimensions, {model.name} has {model.dimension}"
    if not fits.all():
        column = pc.if_else(pa.array(fits), column, None).filter(pa.array(fits)).cast(wanted)
    values = column.flatten()
    values = values.fill_null(np.nan) if values.null_count else values
    scaled, endless, zero = unit(values.to_numpy(zero_copy_only=False).reshape(-1, model.dimension))
    where = np.flatnonzero(fits)
    reasons[where[endless]] = "a component is not finite"
    reasons[where[zero]] = "the vector is zero"
    if len(where) == len(fits):
        return scaled
    vectors = np.zeros((len(fits), model.dimension), np.float32)
    vectors[where] = scaled
    return vectors
