"""What statistics answer with, for OpenAPI."""

from serve.openapi import Json, Responses
from serve.statistics.formats import TYPES

_TEXT: Json = {"type": "string"}
_BINARY: Json = {"type": "string", "format": "binary"}
_TEXTS: Json = {"type": "array", "items": _TEXT}
_COLUMN: Json = {"type": "object", "properties": dict.fromkeys(("name", "ko", "en", "unit"), _TEXT)}
_STATISTIC: Json = {
    "type": "object",
    "required": ["statistic", "title_ko", "title_en", "unit", "denominator", "source", "takes", "columns"],
    "properties": {
        **dict.fromkeys(("statistic", "title_ko", "title_en", "unit", "denominator"), _TEXT),
        **dict.fromkeys(("source", "takes"), _TEXTS),
        "columns": {"type": "array", "items": _COLUMN},
    },
}


def listed() -> Responses:
    """What statistics there are."""
    items: Json = {"type": "array", "items": _STATISTIC}
    schema: Json = {"type": "object", "required": ["items"], "properties": {"items": items, "next": {"type": "null"}}}
    return {200: {"description": "All of them.", "content": {"application/json": {"schema": schema}}}}


def answered() -> Responses:
    """One statistic, in every format."""
    rows: Json = {"type": "array", "items": {"type": "object"}}
    whole: Json = {**_STATISTIC, "properties": {**_STATISTIC["properties"], "rows": rows}}
    schemas: dict[str, Json] = {"json": whole, "csv": _TEXT, "vega": {"type": "object"}}
    content: Json = {media: {"schema": schemas.get(form, _BINARY)} for form, media in TYPES.items()}
    return {200: {"description": "What it is, and its rows.", "content": content}}
