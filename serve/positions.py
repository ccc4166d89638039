"""Positions on the wire: opaque, short, checked on the way in."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable

from schemas.errors import InvalidError
from serve.backend import Piece, Position

_CONTEXTS = {"f": "facility", "r": "road", "s": "sighting", "p": "person"}
_LETTER = {
    (context, ingest): letter.upper() if ingest else letter
    for letter, context in _CONTEXTS.items()
    for ingest in (False, True)
}
_KIND = {letter: kind for kind, letter in _LETTER.items()}
_PIECE = re.compile(r"([fFrRsSp])(\d{1,4})\.(\d{1,18})")


def encode(position: Position) -> str:
    """The opaque form; `Bomnae-Position` and `position` carry it."""
    plain = "~".join(f"{_LETTER[one.context, one.ingest]}{one.shard}.{one.sequence}" for one in position)
    return urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def decode(text: str, shards: Callable[[str], int]) -> Position:
    """Inverse of `encode`. Raises `InvalidError` for anything that no write of this city answered with."""
    try:
        plain = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except ValueError:
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
