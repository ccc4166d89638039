"""A look into the envelope of an Arrow IPC stream before anything is unpacked."""

import struct

_DICTIONARY, _RECORDS = 2, 3
_HEADER_KIND, _HEADER, _BODY_LENGTH = 1, 2, 3
_DICTIONARY_DATA, _COMPRESSION = 1, 3
"""Numbers of kinds and fields in Arrow's format/Message.fbs, version 5."""


def is_compressed(data: bytes) -> bool:
    """Whether any batch of the stream is compressed. Raises `struct.error` or `ValueError` where it is no such stream.

    Arrow's reader allocates what a compressed buffer says it needs, and offers no limit.
    """
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
