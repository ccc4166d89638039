"""Asks a database in a process of its own, with limits of memory and time: a driver may hang, and give without end.

Run as a module it is that process. Its input is the address, the query and the bytes that are read at most; its answer
`0` and rows as Parquet, or `1` (never) or `2` (not now) and why there are none.
"""

import hashlib
import io
import sys

import polars as pl

from schemas.dataset import FromDatabase
from schemas.errors import BomnaeError, InvalidError, UnavailableError
from serve.errand import begun, run
from serve.pipes import DONE, answered, parts, write
from streams.connectors.fetching import Fetched

MEMORY_MB, SECONDS = 4_000, 120
_REFUSED, _FAILED = b"1", b"2"
"""It will not be answered; it may be later."""


async def queried(
    connector: FromDatabase, uri: str, mark: str, most: int, memory_mb: int = MEMORY_MB, seconds: int = SECONDS
) -> Fetched | None:
    """The rows that a query gives, as Parquet, or None where they are those of `mark`.

    Raises `InvalidError` for a query that does not read, or gives more than `most` bytes, and `UnavailableError`. No
    message holds the address.
    """
    if not connector.query.lstrip(" \t\r\n(").lower().startswith(("select", "with")):
        # Against mistakes: that nothing is changed is for the rights of the account.
        raise InvalidError("a connector's query reads (SELECT), and changes nothing")
    # By the pipe: arguments of a process can be seen by others.
    asked = [uri.encode(), connector.query.encode(), str(most).encode()]
    status, found = answered(await run(__name__, asked, memory_mb, seconds) or b"")
    if not found:
        raise UnavailableError(f"the database took more than {seconds} s or {memory_mb:,} MB: ask it for less", 300)
    if status != DONE:
        raise (InvalidError if status == _REFUSED else UnavailableError)(found[0].decode())
    now = hashlib.sha256(found[0]).hexdigest()
    return None if now == mark else Fetched((found[0],), now, "database · 데이터베이스")


def rows(uri: str, query: str, most: int) -> bytes:
    """What a query gives, as Parquet. Raises as `queried`."""
    try:
        found = pl.read_database_uri(query, uri, engine="connectorx")
    except Exception as error:  # drivers raise what they like; their words may hold the password
        raise UnavailableError(f"the database gives nothing ({type(error).__name__})", 60) from None
    sink = io.BytesIO()
    found.write_parquet(sink)
    if (size := len(sink.getvalue())) > most:
        raise InvalidError(f"the query gives {size:,} bytes, at most {most:,} are read: ask for fewer")
    return sink.getvalue()


def main() -> None:
    """Ask once and answer."""
    begun()
    answer, (uri, query, most) = sys.stdout.buffer, parts(sys.stdin.buffer)
    try:
        found = rows(uri.decode(), query.decode(), int(most))
    except BomnaeError as error:
        answer.write(_REFUSED if isinstance(error, InvalidError) else _FAILED)
        write(answer, str(error).encode())
        return
    answer.write(DONE)
    write(answer, found)


if __name__ == "__main__":
    main()
