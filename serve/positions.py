"""Positions on the wire: opaque, short, checked on the way in."""

import re
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable

from schemas.errors import InvalidError
from serve.backend import Piece, Position

_CONTEXTS = {"f": "facility", "r": "road", "s": "sighting", "p": "person", "n": "population", "c": "catalogue"}
_LETTER = {
    (context, ingest): letter.upper() if ingest else letter
    for letter, context in _CONTEXTS.items()
    for ingest in (False, True)
}
_KIND = {letter: kind for kind, letter in _LETTER.items()}
_MANY = 1_000
"""Letters from which on a position is compressed: one of a thousand shards has to fit a header, and an address."""
LONGEST = 12_000
"""Letters of the longest position that is taken; one of 1,024 shards has fewer."""
_PIECE = re.compile(r"([fFrRsSpnc])(\d{1,4})\.(\d{1,18})")


def encode(position: Position) -> str:
    """The opaque form; `Bomnae-Position` and `position` carry it."""
    plain = "~".join(f"{_LETTER[one.context, one.ingest]}{one.shard}.{one.sequence}" for one in position).encode()
    return urlsafe_b64encode(plain if len(plain) < _MANY else zlib.compress(plain)).decode().rstrip("=")


def decode(text: str, shards: Callable[[str], int]) -> Position:
    """Inverse of `encode`. Raises `InvalidError` for anything that no write of this city answered with."""
    try:
        said = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        # No piece begins like zlib's own first byte.
        plain = (_unpacked(said) if said[:1] == b"x" else said).decode("ascii")
    except (ValueError, zlib.error):
        raise InvalidError("min_position is not a position: give one exactly as a write answered it") from None
    pieces = []
    for word in plain.split("~"):
        if (match := _PIECE.fullmatch(word)) is None:
            raise InvalidError("min_position is not a position: give one exactly as a write answered it")
        context, ingest = _KIND[match[1]]
        if int(match[2]) >= shards(context):
            raise InvalidError("min_position names a shard that this city does not have")
        pieces.append(Piece(context, int(match[2]), int(match[3]), ingest))
    return tuple(pieces)


def _unpacked(said: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    plain = unpacking.decompress(said, 4 * LONGEST)
    if not unpacking.eof:
        raise ValueError("cut off, or larger than any position")
    return plain
