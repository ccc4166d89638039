"""A JPEG without what is not picture: EXIF with its place and its device, XMP, comments, thumbnails. Pure."""

import re

_START, _END = b"\xff\xd8", b"\xff\xd9"
_SCAN, _ADOBE = 0xDA, 0xEE
_PICTURE = frozenset({*range(0xC0, 0xD0), _SCAN, 0xDB, 0xDC, 0xDD} - {0xC8})
"""Segments that decode: tables, frames, scans, restarts (ITU-T T.81, table B.1)."""
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""A marker that ends a scan: in its data 0xFF is followed by 0x00, or by the number of a restart."""
_MARKER = re.compile(rb"\xff+([^\xff\x00\x01\xd0-\xd8])", re.DOTALL)
"""A marker that a length follows, or the end; fill bytes may stand before it."""
_MOST = 100
"""Segments; a picture in ten scans has about forty. More would cost a shard more than a picture is worth."""


def bare(data: bytes) -> bytes | None:
    """The picture alone, bit for bit, up to its end; None where the bytes are no whole JPEG.

    Of application segments only Adobe's is kept, 12 bytes that say how colours are coded. A turn that EXIF told is
    lost with it.
    """
    if not data.startswith(_START):
        return None
    kept, at, scans = [_START], 2, 0
    for _ in range(_MOST):
        if (marker := _MARKER.match(data, at)) is None:
            return None
        kind, at = marker[1][0], marker.end()
        if kind == _END[1]:
            return b"".join([*kept, _END]) if scans else None
        end = at + (length := int.from_bytes(data[at : at + 2]))
        if length < 2 or end > len(data):
            return None
        if kind == _SCAN:
            if (following := _AFTER_SCAN.search(data, end)) is None:
                return None
            scans, end = scans + 1, following.start()
        adobe = kind == _ADOBE and length == 14 and data.startswith(b"Adobe", at + 2)
        if kind in _PICTURE or adobe:
            kept += [bytes((0xFF, kind)), data[at:end]]
        at = end
    return None
