"""What asking a source takes beside the bytes: pages, what changed of it, and words without its key."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, unquote

from actors.catalogue.reading.answers import envelope
from schemas.dataset import Dataset, FromFile, FromHttp

_TELLING = 8
"""Letters of a key that are too many to tell."""


def more_of(connector: FromHttp) -> Callable[[bytes, int], bool]:
    """Whether a page is followed by another: rows are lacking of the total that it tells, or else it is full."""
    come = 0

    def more(page: bytes, _: int) -> bool:
        nonlocal come
        told = envelope(page, connector)
        come += len(told.records)
        size = told.size or (connector.paging.rows if connector.paging is not None else 0)
        return bool(told.records) and (come < told.total if told.total is not None else len(told.records) >= size > 0)

    return more


def declared_in(facts: Dataset) -> str:
    """What the rows of a declaration depend on, in a few letters: another one, and they are read again."""
    said = facts.model_dump_json(
        include={"columns", "key", "mode", "rules", "geometry", "inside", "connector", "newest"}
    )
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def signature(folder: Path | None, connector: FromFile) -> tuple[object, ...]:
    """What changes with a file, without reading it."""
    try:
        stat = ((folder or Path()) / connector.file).stat()
    except (OSError, ValueError) as error:
        return (str(error),)
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def without(said: str, key: str | None) -> str:
    """Words without a key, however it is written, and without its beginning where it was cut: providers repeat it."""
    written = [(re.escape(one), quote(one, safe=""), quote(quote(one, safe=""))) for one in unquote(key or "")]
    letters = [f"(?:{'|'.join(ways)})" for ways in written]
    for length in range(len(letters), min(len(letters), _TELLING) - 1, -1) if letters else ():
        said = re.sub("".join(letters[:length]), "…", said, flags=re.IGNORECASE)
    return said
