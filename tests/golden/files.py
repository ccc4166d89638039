"""Reading and writing the golden files."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from schemas.base import Command, Event
from schemas.registry import COMMANDS, EVENTS
from streams.ingest import Observed
from streams.log import Record

HERE = Path(__file__).parent
_WORDS = {"title", "description", "examples", "example"}


def read_log(path: Path) -> list[Record]:
    return [
        Record(**{**fields, "data": fields["data"].encode()})
        for fields in map(orjson.loads, path.open(encoding="utf8"))
    ]


def log_lines(records: Iterable[Record]) -> bytes:
    return _lines({**asdict(record), "data": record.data.decode()} for record in records)


def read_ingest(path: Path) -> list[Observed]:
    return [
        Observed(**{**fields, "data": base64.b64decode(fields["data"])})
        for fields in map(orjson.loads, path.open(encoding="utf8"))
    ]


def ingest_lines(messages: Iterable[Observed]) -> bytes:
    return _lines({**asdict(message), "data": base64.b64encode(message.data).decode()} for message in messages)


def shapes() -> dict[str, Any]:
    """The shape of every event by its type and of every command by its name, as the classes are now."""
    return {name: _bare(model.model_json_schema()) for name, model in {**events(), **commands()}.items()}


def events() -> dict[str, type[Event]]:
    """Every event of a city; tests register others of their own."""
    return {name: cls for name, cls in EVENTS.items() if cls.__module__.startswith("schemas.")}


def commands() -> dict[str, type[Command]]:
    return {name: cls for name, cls in COMMANDS.items() if cls.__module__.startswith("schemas.")}


def read_shapes() -> dict[str, Any]:
    path = HERE / "shapes.json"
    return orjson.loads(path.read_bytes()) if path.exists() else {}


def shapes_text(known: Mapping[str, Any]) -> bytes:
    lines = (
        b"%s: %s" % (orjson.dumps(name), orjson.dumps(known[name], option=orjson.OPT_SORT_KEYS))
        for name in sorted(known)
    )
    return b"{\n" + b",\n".join(lines) + b"\n}\n"


def _lines(rows: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def _bare(schema: Any) -> Any:
    """Without the words for people; a *field* named `title` or the like is kept."""
    if isinstance(schema, list):
        return [_bare(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _bare(field) for name, field in value.items()} if key in ("properties", "$defs") else _bare(value)
        for key, value in schema.items()
        if key not in _WORDS
    }
