"""What a segment says, as a table of texts, and its digest: independent of the numbers that an index gave to texts."""

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from serve.search.segment import Segment
from serve.search.segment_rows import ATTRIBUTES, Vocabularies, Vocabulary


def column_table(segment: Segment, texts: Vocabularies) -> pa.Table:
    """Columns without vectors: ids, camera, time in µs, quality and attributes."""
    rows = segment.rows
    attributes = zip(ATTRIBUTES, texts.attributes, rows.attributes.T, strict=True)
    columns = {
        "sighting_id": rows.ids,
        "camera": _words(rows.camera, texts.camera),
        "time": pa.array(rows.time),
        "quality": pa.array(rows.quality),
        **{name: _words(numbers, known) for name, known, numbers in attributes},
    }
    return pa.table(columns)


def digest(segment: Segment, texts: Vocabularies) -> str:
    """SHA-256 over ids, cameras, times, qualities, attributes and half floats, in the order of the rows."""
    total = hashlib.sha256(f"{len(segment)}\n".encode())
    rows = segment.rows
    for column in (
        rows.ids,
        *(_words(numbers, known).dictionary_decode() for numbers, known in _numbered(segment, texts)),
    ):
        total.update(column.is_valid().to_numpy(zero_copy_only=False).tobytes())
        lengths = pa.compute.binary_length(column).fill_null(0).to_numpy(zero_copy_only=False)
        total.update(lengths.astype(np.int32).tobytes())
        total.update(_letters(column))
    for values in (rows.time, rows.quality, rows.vectors.half):
        total.update(np.ascontiguousarray(values).view(np.uint8).data)
    return total.hexdigest()


def _letters(column: pa.Array) -> memoryview:
    """The texts of a string column behind each other, in UTF-8, nulls left out."""
    texts = pa.concat_arrays([column.drop_null()])  # not a view into a longer array: offsets begin at its own texts
    _, offsets, letters = texts.buffers()
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return memoryview(letters)[ends[0] : ends[-1]] if len(ends) and letters else memoryview(b"")


def _numbered(segment: Segment, texts: Vocabularies) -> list[tuple[npt.NDArray[np.integer], Vocabulary]]:
    rows = segment.rows
    return [(rows.camera, texts.camera), *zip(rows.attributes.T, texts.attributes, strict=True)]


def _words(numbers: npt.NDArray[np.integer], known: Vocabulary) -> pa.DictionaryArray:
    used, at = np.unique(numbers, return_inverse=True)
    words = pa.array([known.text(int(number)) for number in used if number >= 0], pa.string())
    indices = pa.array((at - int(len(used) > 0 and used[0] < 0)).astype(numbers.dtype), mask=numbers < 0)
    return pa.DictionaryArray.from_arrays(indices, words)
