"""Answers of providers, JSON and XML: the records of one page, and how many there are in all."""

from dataclasses import dataclass
from typing import Any

from actors.catalogue.reading import refusals
from actors.catalogue.reading.decoding import decode
from actors.catalogue.reading.trees import tree
from schemas.dataset import Layout
from schemas.errors import InvalidError

_RECORDS = ("items", "item", "data", "records", "rows", "row", "list")
_WRAPPERS = ("response", "body")
_TOTALS = ("matchCount", "totalCount", "list_total_count", "total")
_PAGES = ("pageNo", "page")
_SIZES = ("numOfRows", "perPage")


@dataclass(frozen=True)
class Page:
    """The records of one answer, with what it says of itself; None where it does not say.

    `total` counts the records of all pages, `page` is this one's number, `size` the records of a full one.
    """

    records: list[Any]
    total: int | None = None
    page: int | None = None
    size: int | None = None


def envelope(data: bytes, reading: Layout) -> Page:
    """The records of an answer: at `reading.path`, or where Korean providers put them.

    A path is names with dots between them, `.` the whole answer. Known are `response.body.items(.item)` of data.go.kr
    with one item, many or none, `data` of odcloud.kr, a plain list, and what has one of the usual names (`records`,
    `rows`, …). A code that says "no data" is an empty page. Raises `RefusedError` where the provider refused, which
    comes with HTTP 200, too; `InvalidError` where no records are found.
    """
    content = tree(decode(data, reading.encoding))
    if refusals.check(content):
        return Page([], 0)
    if reading.path == ".":
        return Page(_listed(content))
    trail = _walked(content, reading.path) if reading.path else _found(content)
    records = _listed(trail.pop())
    return Page(records, _number(trail, _TOTALS), _number(trail, _PAGES), _number(trail, _SIZES))


def _walked(node: Any, path: str) -> list[Any]:
    names = path.split(".")
    if isinstance(node, dict) and names[0] not in node and len(node) == 1:
        node = next(iter(node.values()))  # the root element of XML need not be named
    trail = [node]
    for name in names:
        if isinstance(node, dict) and name in node:
            node = node[name]
        elif isinstance(node, list) and name.isdecimal() and int(name) < len(node):
            node = node[int(name)]
        elif node in ("", None):  # an empty element has no children
            return [*trail, []]
        else:
            raise InvalidError(f"the answer has no {name!r} of the path {path!r}; {_seen(node)}")
        trail.append(node)
    return trail


def _found(node: Any) -> list[Any]:
    trail = [node]
    while isinstance(node, dict):
        names = (*_RECORDS, *_WRAPPERS)
        name = next((name for name in names if name in node), None) or (next(iter(node)) if len(node) == 1 else None)
        if name is None:
            raise InvalidError(f"no records are found in the answer: name their path; {_seen(node)}")
        node = node[name]
        trail.append(node)
        if name in _RECORDS:
            return trail
    if isinstance(node, list) or node in ("", None):
        return trail
    raise InvalidError(f"no records are found in the answer: name their path; {_seen(node)}")


def _listed(node: Any) -> list[Any]:
    if isinstance(node, dict) and len(node) == 1:
        name, inner = next(iter(node.items()))
        if name in _RECORDS or isinstance(inner, list):
            node = inner
    if node in ("", None):
        return []
    return node if isinstance(node, list) else [node]


def _number(trail: list[Any], names: tuple[str, ...]) -> int | None:
    for node in reversed(trail):
        if isinstance(node, dict):
            for name in names:
                value = str(node.get(name, "")).strip()
                if value.isdecimal():
                    return int(value)
    return None


def _seen(node: Any) -> str:
    return f"it has {', '.join(map(repr, list(node)[:12]))}" if isinstance(node, dict) else f"it has {str(node)[:60]!r}"
