"""The header that came against the columns declared."""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable

import orjson

from actors.catalogue.reading.findings import Findings, Said
from actors.catalogue.reading.source import Source
from schemas.dataset import Column, Dataset
from schemas.errors import InvalidError

_BLANK = re.compile(r"[\s\u200b\ufeff]+")

_MISSING = Said(
    "선언된 열이 파일에 없어 비워 두었습니다", "the column is declared and not in what came: it stays empty"
)
_EXTRA = Said("선언되지 않은 열이라 읽지 않았습니다", "the column is not declared: it is not loaded")


def bare(name: str) -> str:
    """A header without its blanks, in one way of writing: `정류장 번호` and `정류장번호` are one."""
    return _BLANK.sub("", unicodedata.normalize("NFKC", name))


def matched(columns: Iterable[Column], header: tuple[str, ...]) -> dict[str, int]:
    """The place in `header` of each column that is there, by id.

    Looked for are `source` as it is written, then without blanks, then the id. Of a header that comes twice the first
    is taken; two columns of the same `source` take the first and the second.
    """
    free = dict(enumerate(header))
    found: dict[str, int] = {}
    ways: tuple[tuple[Callable[[Column], str], Callable[[str], str]], ...] = (
        (lambda column: column.header, str),
        (lambda column: bare(column.header), bare),
        (lambda column: column.id, bare),
    )
    for wanted, written in ways:
        for column in columns:
            if column.id in found:
                continue
            place = next((place for place, name in free.items() if written(name) == wanted(column)), None)
            if place is not None:
                found[column.id] = place
                del free[place]
    return found


def judged(dataset: Dataset, source: Source, findings: Findings) -> dict[str, int]:
    """`matched`, with a finding for each column that is missing or not declared.

    Raises `InvalidError` where no declared column is there, or where rows replace those of a key that is not.
    """
    found = matched(dataset.columns, source.header)
    if not source.header:
        return found
    if not found:
        came, wanted = (", ".join(map(repr, names[:12])) for names in (source.header, _headers(dataset)))
        raise InvalidError(f"none of the dataset's columns is in what came: it has {came}; declared are {wanted}")
    absent = [column for column in dataset.columns if column.id not in found]
    if dataset.mode == "upsert":
        for column in absent:
            if column.id in dataset.key:
                raise InvalidError(
                    f"the key column {column.header!r} is not in what came: rows could not replace those of their key"
                )
    for column in absent:
        findings.file("missing-column", "emptied", column.id, column.header, _MISSING)
    taken = set(found.values())
    for place, name in enumerate(source.header):
        if place not in taken:
            findings.file("extra-column", "dropped", name, name, _EXTRA)
    return found


def digest(source: Source, ordered: bool) -> str:
    """SHA-256 (hex) over headers and types as they came, sorted where they are not `ordered`; empty without any."""
    if not source.header:
        return ""
    pairs = list(zip(source.header, source.kinds, strict=True))
    return hashlib.sha256(orjson.dumps(pairs if ordered else sorted(pairs))).hexdigest()


def _headers(dataset: Dataset) -> tuple[str, ...]:
    return tuple(column.header for column in dataset.columns)
