"""Untrusted pictures and video files to plain pixels: no metadata survives, and no input can take the process down."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from schemas.errors import InvalidError
from serve.pictures.header import read_header
from serve.pictures.sandbox import Limits, Pixels, Sandbox


class Decoder:
    """Decodes in a child process, see `Sandbox`. Threads may share it: they take turns."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.sandbox = Sandbox(self.limits)

    def decode(self, data: bytes) -> Pixels:
        """The pixels of a JPEG, PNG or WebP picture, turned upright by its EXIF orientation, without its metadata.

        Raises `InvalidError` for another format, too many bytes or pixels (known before decoding), a broken or
        cut-off picture, and one that the child process died of.
        """
        if len(data) > self.limits.bytes:
            raise InvalidError(f"the picture of {len(data):,} bytes is larger than {self.limits.bytes:,}")
        header = read_header(data)
        if header.width * header.height > self.limits.pixels:
            size = f"{header.width} x {header.height}"
            raise InvalidError(f"the picture of {size} pixels has more than {self.limits.pixels:,}")
        _, pixels = self.sandbox.pixels({"do": "decode"}, data)
        if pixels is None:
            raise InvalidError("the picture cannot be read: it is empty")
        return pixels

    def close(self) -> None:
        """End the child process."""
        self.sandbox.close()


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a video, `at_us` microseconds after its first."""

    at_us: int
    pixels: Pixels


def frames(path: Path, every: int = 1, limits: Limits | None = None) -> Iterator[Frame]:
    """Every n-th frame of a video file, read in a child process of its own that ends with the iteration.

    Times are the file's own; where it has none, or they do not go on, the frame rate counts. Raises `InvalidError` for
    a file that is no video, or at the frame that the child process died of.
    """
    sandbox = Sandbox(limits)
    try:
        opened, _ = sandbox.ask({"do": "open", "path": str(path.absolute()), "pixels": sandbox.limits.pixels})
        step_us = round(1e6 * every / (rate if 0 < (rate := float(opened["rate"])) < 1_000 else 25.0))
        first, last = None, -step_us
        while True:
            said, pixels = sandbox.pixels({"do": "next", "every": every})
            if pixels is None:
                return
            told = round(float(said["at_ms"]) * 1000)
            first = told if first is None else first
            last = told - first if told - first > last else last + step_us
            yield Frame(last, pixels)
    finally:
        sandbox.close()


def jpeg(pixels: Pixels, most: int, longest: int = 320, quality: int = 85) -> bytes:
    """The pixels as a new JPEG of at most `most` bytes and sides of `longest`, without metadata."""
    scale = min(1.0, longest / max(pixels.shape[:2]))
    while True:
        if scale < 1:
            pixels = np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        written, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if written and len(data) <= most:
            return data.tobytes()
        quality, scale = max(60, quality - 10), 0.7
