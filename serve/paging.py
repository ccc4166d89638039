"""Lists in pages: a cursor is the sort key of the last row shown, so rows that come and go in between move no page."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Any

import orjson
from fastapi import Query

from schemas.errors import InvalidError

Limit = Annotated[int, Query(ge=1, le=1000, description="Most items in this answer.")]
Cursor = Annotated[
    str | None, Query(max_length=1000, description="`next` of the page before; opaque.", examples=[None])
]

Scalar = str | int


def encode(key: tuple[Scalar, ...]) -> str:
    """An opaque cursor for the row with this sort key."""
    return urlsafe_b64encode(orjson.dumps(key)).decode().rstrip("=")


def decode(cursor: str | None, *types: type[Scalar]) -> tuple[Any, ...] | None:
    """The sort key in a cursor, None without one. Raises `InvalidError` for one that no page of this list gave."""
    if cursor is None:
        return None
    try:
        key = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        raise InvalidError("cursor is not one of this list: give `next` of the page before") from None
    if not isinstance(key, list) or [type(part) for part in key] != list(types):
        raise InvalidError("cursor is not one of this list: give `next` of the page before")
    if any(isinstance(part, int) and abs(part) >= 2**63 for part in key):
        raise InvalidError("cursor is not one of this list: give `next` of the page before")
    return tuple(key)
