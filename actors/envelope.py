"""What is done with an Arrow IPC stream of anybody's before anything is unpacked, so that few bytes stay few."""

import struct

import pyarrow as pa
import pyarrow.compute as pc

_DICTIONARY, _RECORDS = 2, 3
_HEADER_KIND, _HEADER, _BODY_LENGTH = 1, 2, 3
_DICTIONARY_DATA, _COMPRESSION = 1, 3
"""Numbers of kinds and fields in Arrow's format/Message.fbs, version 5."""


def is_compressed(data: bytes) -> bool:
    """Whether any batch of the stream is compressed. Raises `ValueError` where it is no such stream.

    Arrow's reader allocates what a compressed buffer says it needs, and offers no limit.
    """
    try:
        return _is_compressed(data)
    except (struct.error, IndexError) as error:
        raise ValueError("a message of the stream points outside of itself") from error


def whole(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece; of dictionaries, with one dictionary."""
    joined = column.unify_dictionaries().combine_chunks()
    return joined if isinstance(joined, pa.Array) else pa.concat_arrays(joined.chunks)


def text(column: pa.Array, most: int) -> pa.StringArray:
    """A column of text, plain. Of a dictionary's words longer than `most` letters the first `most` and one more.

    A word of a dictionary stands in a stream once, however many rows name it: whole, a long one would cost a thousand
    times the bytes that came. A word that was cut is still too long for all that it could be.
    """
    if not pa.types.is_dictionary(column.type):
        return column.cast(pa.string())
    words = pc.utf8_slice_codeunits(column.dictionary, 0, most + 1)
    return pa.DictionaryArray.from_arrays(column.indices, words).dictionary_decode().cast(pa.string())


def _is_compressed(data: bytes) -> bool:
    place = 0
    while place + 8 <= len(data):
        mark, size = struct.unpack_from("<Ii", data, place)
        if size == 0:
            return False
        if mark != 0xFFFF_FFFF or size < 0:
            raise ValueError("a message of the stream has no continuation mark")
        meta = data[place + 8 : place + 8 + size]
        root = struct.unpack_from("<i", meta, 0)[0]
        length_at = _field(meta, root, _BODY_LENGTH)
        length = struct.unpack_from("<q", meta, length_at)[0] if length_at else 0
        if length < 0:
            raise ValueError("a message of the stream has a negative length")
        if _has_compression(meta, root):
            return True
        place += 8 + size + length
    return False


def _has_compression(meta: bytes, root: int) -> bool:
    kind_at = _field(meta, root, _HEADER_KIND)
    kind = meta[kind_at] if kind_at else 0
    if kind not in {_DICTIONARY, _RECORDS}:
        return False
    header = _table(meta, root, _HEADER)
    if kind == _DICTIONARY:
        header = _table(meta, header, _DICTIONARY_DATA)
    return _field(meta, header, _COMPRESSION) != 0


def _field(meta: bytes, table: int, number: int) -> int:
    """Where a field of a flatbuffers table lies; 0 where it is absent."""
    vtable = table - struct.unpack_from("<i", meta, table)[0]
    if 4 + 2 * number >= struct.unpack_from("<H", meta, vtable)[0]:
        return 0
    offset: int = struct.unpack_from("<H", meta, vtable + 4 + 2 * number)[0]
    return table + offset if offset else 0


def _table(meta: bytes, table: int, number: int) -> int:
    """Where the table lies that a field refers to. Raises `ValueError` where the field is absent."""
    place = _field(meta, table, number)
    if not place:
        raise ValueError("a message of the stream has no header")
    return place + int(struct.unpack_from("<i", meta, place)[0])
