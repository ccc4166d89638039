"""How a replica and the processes that compute for it speak: bytes behind their length, over a pipe."""

import io
from collections.abc import Iterator, Sequence
from typing import BinaryIO

HEADER = 8
"""Bytes of a length."""
DONE, FAILED = b"0", b"1"
"""What an answer begins with: it is what was asked for, or why there is none."""


def read(pipe: BinaryIO) -> bytes | None:
    """The bytes behind the next length; None at the end."""
    head = pipe.read(HEADER)
    if len(head) < HEADER:
        return None
    length = int.from_bytes(head, "big")
    data = pipe.read(length)
    return data if len(data) == length else None


def write(pipe: BinaryIO, data: bytes) -> None:
    """Bytes behind their length."""
    pipe.write(len(data).to_bytes(HEADER, "big"))
    pipe.write(data)
    pipe.flush()


def parts(pipe: BinaryIO) -> Iterator[bytes]:
    """All that follows, until the end."""
    while (part := read(pipe)) is not None:
        yield part


def answered(data: bytes) -> tuple[bytes, list[bytes]]:
    """What an answer begins with, and its parts; both empty where none was given."""
    pipe = io.BytesIO(data)
    return pipe.read(1), list(parts(pipe))


def framed(whole: Sequence[bytes]) -> bytes:
    """Parts as they are written one after the other."""
    sink = io.BytesIO()
    for part in whole:
        write(sink, part)
    return sink.getvalue()
