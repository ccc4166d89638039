"""What a picture's first bytes say: its format and size, read before anything decodes it. Pure.

Only JPEG, PNG and WebP without animation are known; everything else is refused, whatever its name or content type.
"""

import struct
from dataclasses import dataclass
from typing import Literal

from schemas.errors import InvalidError

_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xae\x42\x60\x82"
_JPEG, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD8)))
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers that begin a JPEG frame and hold its size (ITU-T T.81, table B.1)."""
_SCAN = 0xDA
_MARKERS = 1_000
"""Markers before the scan; a camera writes about ten."""


@dataclass(frozen=True, slots=True)
class Header:
    """Format and size in pixels, as stored (before EXIF orientation)."""

    format: Literal["jpeg", "png", "webp"]
    width: int
    height: int


def read_header(data: bytes) -> Header:
    """Read it. Raises `InvalidError` for another format, an animation, or a file that ends too early."""
    try:
        if data.startswith(_JPEG):
            found = _jpeg(data)
        elif data.startswith(_PNG):
            found = _png(data)
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            found = _webp(data)
        else:
            raise InvalidError("the picture is neither JPEG nor PNG nor WebP")
    except (struct.error, IndexError) as error:
        raise InvalidError("the picture's header is cut off") from error
    if not found.width or not found.height:
        raise InvalidError(f"the {found.format} picture says that it has no pixels")
    return found


def _jpeg(data: bytes) -> Header:
    at, size = 2, (0, 0)
    for _ in range(_MARKERS):
        if data[at] != 0xFF:
            raise InvalidError("the JPEG picture has no valid markers")
        marker = data[at + 1]
        if marker == 0xFF:  # fill bytes may stand before a marker
            at += 1
            continue
        at += 2
        if marker in _WITHOUT_LENGTH:
            continue
        (length,) = struct.unpack_from(">H", data, at)
        if marker in _FRAMES:
            if size != (0, 0):
                raise InvalidError("the JPEG picture holds more than one frame")
            height, width = struct.unpack_from(">HH", data, at + 3)
            size = (width, height)
        at += length
        if marker == _SCAN:
            # Within a scan 0xFF is followed by 0x00 or a marker, so this is its end and not that of a thumbnail.
            if data.find(_JPEG_END, at) < 0:
                raise InvalidError("the JPEG picture is cut off")
            return Header("jpeg", *size)
    raise InvalidError("the JPEG picture has too many markers")


def _png(data: bytes) -> Header:
    length, name, width, height = struct.unpack_from(">I4sII", data, 8)
    if (length, name) != (13, b"IHDR"):
        raise InvalidError("the PNG picture does not begin with its header")
    if _PNG_END not in data:
        raise InvalidError("the PNG picture is cut off")
    return Header("png", width, height)


def _webp(data: bytes) -> Header:
    size, chunk = struct.unpack_from("<I4x4s", data, 4)
    if size + 8 > len(data):
        raise InvalidError("the WebP picture is cut off")
    match chunk:
        case b"VP8 ":
            mark, width, height = struct.unpack_from("<3sHH", data, 23)
            if mark != b"\x9d\x01\x2a":
                raise InvalidError("the WebP picture holds no key frame")
            return Header("webp", width & 0x3FFF, height & 0x3FFF)
        case b"VP8L":
            mark, bits = struct.unpack_from("<BI", data, 20)
            if mark != 0x2F:
                raise InvalidError("the WebP picture's header is broken")
            return Header("webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
        case b"VP8X":
            flags = data[20]
            if flags & 0x02:
                raise InvalidError("animated pictures are not accepted")
            width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
            if len(data) < 30:
                raise InvalidError("the picture's header is cut off")
            return Header("webp", width, height)
    raise InvalidError("the WebP picture's header is broken")
