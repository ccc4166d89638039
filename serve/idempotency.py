"""The Idempotency-Key of a write: what it is scoped to, and what a repeat is compared with."""

import hashlib
from typing import Annotated
from urllib.parse import quote, unquote_plus

from fastapi import Depends, Header, Request

from schemas.errors import InvalidError
from serve.auth import Principal

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="1–255 printable ASCII characters. A repeat within 24 h gives the first answer; "
        "with another request it is 422.",
    ),
]


class Once:
    """The key of this request, if it has one, scoped to the principal, with the digest of the request."""

    __slots__ = ("digest", "key")

    def __init__(self, key: str | None, digest: str | None) -> None:
        self.key, self.digest = key, digest


async def _once(request: Request, key: Key = None) -> Once:
    if key is None:
        return Once(None, None)
    if not 1 <= len(key) <= 255 or not all(" " <= letter <= "~" for letter in key):
        raise InvalidError("an Idempotency-Key has 1 to 255 printable ASCII characters")
    said = f"{request.method}\n{request.url.path}?{_asked(request.url.query)}\n".encode() + await request.body()
    caller: Principal = request.state.principal
    # Quoted, so that no principal's name and key together read like another's.
    return Once(f"{quote(caller.subject, safe='')}:{key}", hashlib.sha256(said).hexdigest())


def _asked(query: str) -> str:
    """The query without the position to wait for: what is asked for is the same before it and after."""
    parts = query.split("&")
    return "&".join(part for part in parts if unquote_plus(part.partition("=")[0]) != "min_position")


OnceFor = Annotated[Once, Depends(_once)]
