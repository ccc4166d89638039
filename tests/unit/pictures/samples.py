"""Pictures that the tests draw themselves: bytes good and bad, a street with two people, a face."""

import struct
import zlib

import cv2
import numpy as np

from serve.pictures.sandbox import Pixels

GPS = b"\x25\x88\x04\x00\x01\x00\x00\x00"
"""A TIFF directory entry that points to GPS data, little-endian."""


def gradient(width: int = 64, height: int = 48) -> Pixels:
    """Dark left, bright right, red growing downwards: every turn of it differs."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width, dtype=np.uint8)
    pixels[..., 2] = np.linspace(0, 255, height, dtype=np.uint8)[:, None]
    return pixels


def encoded(pixels: Pixels, suffix: str = ".jpg", quality: int = 95) -> bytes:
    return cv2.imencode(suffix, pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG that says it has this size (8 bits, grey), whatever its data holds."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")


def with_exif(jpeg: bytes, orientation: int) -> bytes:
    """The JPEG with an EXIF block: orientation, and a position at 37.88 N."""
    entries = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0) + GPS + struct.pack("<I", 38)
    gps = struct.pack("<H", 1) + struct.pack("<HHII", 2, 5, 3, 56) + struct.pack("<I", 0)
    place = struct.pack("<IIIIII", 37, 1, 52, 1, 48, 1)
    tiff = b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", 2) + entries + struct.pack("<I", 0) + gps + place
    body = b"Exif\x00\x00" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def face(size: int = 320) -> Pixels:
    """A drawn face that a face detector takes for one."""
    pixels = np.full((size, size, 3), (200, 190, 180), np.uint8)
    middle = size // 2

    def s(value: float) -> int:
        return round(value * size / 320)

    cv2.ellipse(pixels, (middle, middle - s(20)), (s(92), s(115)), 0, 0, 360, (30, 40, 60), -1)
    cv2.ellipse(pixels, (middle, middle + s(10)), (s(78), s(105)), 0, 0, 360, (150, 180, 225), -1)
    for x in (middle - s(32), middle + s(32)):
        cv2.ellipse(pixels, (x, middle - s(15)), (s(16), s(8)), 0, 0, 360, (245, 245, 245), -1)
        cv2.circle(pixels, (x, middle - s(15)), s(7), (40, 50, 70), -1)
        cv2.ellipse(pixels, (x, middle - s(34)), (s(20), s(5)), 0, 180, 360, (30, 40, 60), max(1, s(4)))
    cv2.line(pixels, (middle, middle - s(10)), (middle - s(6), middle + s(30)), (110, 140, 190), max(1, s(4)))
    cv2.ellipse(pixels, (middle, middle + s(32)), (s(14), s(7)), 0, 0, 180, (100, 130, 180), max(1, s(4)))
    cv2.ellipse(pixels, (middle, middle + s(62)), (s(28), s(9)), 0, 0, 360, (90, 90, 190), -1)
    return cv2.GaussianBlur(pixels, (0, 0), 2)


def person(upper: tuple[int, int, int], lower: tuple[int, int, int], height: int = 160) -> Pixels:
    """A standing figure in two colours (BGR) before grey."""
    width = height // 2
    pixels = np.full((height, width, 3), 128, np.uint8)
    cv2.circle(pixels, (width // 2, height // 10), height // 14, (150, 180, 225), -1)
    cv2.rectangle(pixels, (width // 4, height // 6), (3 * width // 4, height // 2), upper, -1)
    cv2.rectangle(pixels, (width // 3, height // 2), (2 * width // 3, height - height // 20), lower, -1)
    return pixels
