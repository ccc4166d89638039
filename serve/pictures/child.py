"""The process that decodes, `python -m serve.pictures.child`: it sees untrusted bytes, and may die of them.

One request at a time comes on stdin and is answered on stdout: a frame is two lengths (big-endian, 32 bits), a JSON
object and bytes. Nothing here is unpickled or evaluated. When stdin ends, so does the process.
"""

import os
import resource
import struct
import sys
from typing import Any, BinaryIO

import cv2
import numpy as np
import orjson

FRAME = struct.Struct(">II")


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """The next request or answer; None when the stream has ended, in the middle of one too."""
    if len(head := stream.read(FRAME.size)) < FRAME.size:
        return None
    length, rest = FRAME.unpack(head)
    said, data = stream.read(length), stream.read(rest)
    return (orjson.loads(said), data) if len(said) == length and len(data) == rest else None


def write_frame(stream: BinaryIO, said: dict[str, Any], data: bytes | memoryview = b"") -> None:
    """Send one."""
    text = orjson.dumps(said)
    stream.write(FRAME.pack(len(text), len(data)) + text)
    stream.write(data)
    stream.flush()


class Child:
    """Answers requests: `decode` a picture, `open` a video file, and read its `next` frame."""

    def __init__(self) -> None:
        self._video: cv2.VideoCapture | None = None

    def answer(self, asked: dict[str, Any], data: bytes) -> tuple[dict[str, Any], memoryview]:
        """The answer to one request; `error` in it says what is wrong with the input."""
        match asked["do"]:
            case "decode":
                # IMREAD_COLOR turns by the EXIF orientation and keeps nothing else of the metadata.
                pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
                return _pixels(pixels, asked["longest"], {}) if pixels is not None else _error("it is broken")
            case "open":
                self._video = cv2.VideoCapture(asked["path"])
                if not self._video.isOpened():
                    return _error("it is no video that can be read")
                size = (self._video.get(cv2.CAP_PROP_FRAME_WIDTH), self._video.get(cv2.CAP_PROP_FRAME_HEIGHT))
                if size[0] * size[1] > asked["pixels"]:
                    return _error(f"its frames of {size[0]:.0f} x {size[1]:.0f} pixels are too large")
                return {"rate": self._video.get(cv2.CAP_PROP_FPS)}, memoryview(b"")
            case "next":
                return self._next(int(asked["every"]), int(asked["longest"]))
        return _error("unknown request")

    def _next(self, every: int, longest: int) -> tuple[dict[str, Any], memoryview]:
        video = self._video
        if video is None:
            return _error("no video is open")
        for _ in range(every - 1):
            if not video.grab():
                return {"end": True}, memoryview(b"")
        read, pixels = video.read()
        if not read:
            return {"end": True}, memoryview(b"")
        return _pixels(pixels, longest, {"at_ms": video.get(cv2.CAP_PROP_POS_MSEC)})


def _error(reason: str) -> tuple[dict[str, Any], memoryview]:
    return {"error": reason}, memoryview(b"")


def _pixels(pixels: Any, longest: int, more: dict[str, Any]) -> tuple[dict[str, Any], memoryview]:
    height, width = pixels.shape[:2]
    if (scale := longest / max(height, width)) < 1:
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    height, width = pixels.shape[:2]
    return {"width": width, "height": height, **more}, memoryview(pixels.tobytes())


def main(memory_mb: int, cpu_s: int) -> None:
    """Serve stdin until it ends, with at most `memory_mb` of address space and `cpu_s` of CPU for each request."""
    # Whatever a library prints must not fall between the frames.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    cv2.setNumThreads(1)
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    child = Child()
    write_frame(answers, {"ready": True})
    while (request := read_frame(sys.stdin.buffer)) is not None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        resource.setrlimit(
            resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + cpu_s, resource.RLIM_INFINITY)
        )
        try:
            said, data = child.answer(*request)
        except (cv2.error, MemoryError) as error:
            said, data = _error("it does not fit" if isinstance(error, MemoryError) else "it is broken")
        write_frame(answers, said, data)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
