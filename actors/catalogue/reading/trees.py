"""JSON and XML as the same plain trees of dicts, lists and texts; hostile XML is refused."""

from typing import Any
from xml.etree.ElementTree import ParseError

import orjson
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from schemas.errors import InvalidError

DEPTH = 100
"""Elements within elements that are read."""


def tree(text: str) -> Any:
    """JSON, or XML where the text begins with `<`, whatever was asked for: providers tell errors as XML.

    An XML element is the dict of its children by name, without namespaces, its attributes among them; one without
    children is its text, one of a name that comes again is in a list. Raises `InvalidError` for what is neither, and
    for XML with a DOCTYPE or nested too deep.
    """
    stripped = text.lstrip("\ufeff \t\r\n")
    if stripped.startswith("<"):
        return _xml(stripped)
    try:
        return orjson.loads(stripped)
    except orjson.JSONDecodeError as error:
        raise InvalidError(f"what came is not JSON ({error}); it begins with {stripped[:60]!r}") from error


def _xml(text: str) -> Any:
    if text[:15].lower().startswith(("<!doctype html", "<html")):
        raise InvalidError("the provider answered with a web page (HTML) instead of data: look at its address")
    builder = _Builder()
    try:
        parser = DefusedXMLParser(target=builder, forbid_dtd=True)
        parser.feed(text)
        parser.close()
    except (ParseError, DefusedXmlException) as error:
        name = type(error).__name__
        raise InvalidError(f"what came is not XML that can be read ({name}: {error})") from error
    return builder.root


class _Builder:
    """Called by the parser for each start, text and end."""

    def __init__(self) -> None:
        self.root: dict[str, Any] = {}
        self._open: list[tuple[dict[str, Any], list[str]]] = [(self.root, [])]

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._open) > DEPTH:
            raise InvalidError(f"the XML has elements within elements more than {DEPTH} deep")
        self._open.append(({_bare(name): value for name, value in attributes.items()}, []))

    def data(self, text: str) -> None:
        self._open[-1][1].append(text)

    def end(self, tag: str) -> None:
        children, texts = self._open.pop()
        text = "".join(texts)
        value: Any = children or text
        if children and text.strip():
            children["text"] = text
        parent, name = self._open[-1][0], _bare(tag)
        if name not in parent:
            parent[name] = value
        elif isinstance(parent[name], list):
            parent[name].append(value)
        else:
            parent[name] = [parent[name], value]

    def close(self) -> None:
        """Nothing is left open: the parser sees to it."""


def _bare(tag: str) -> str:
    return tag.rpartition("}")[2]
