"""What the catalogue answers with, for OpenAPI."""

from serve.openapi import NOT_MODIFIED, Json, Responses
from serve.render import GEOJSON
from serve.statistics.formats import TYPES

_TEXT: Json = {"type": "string"}
_TIME: Json = {"type": ["string", "null"], "format": "date-time"}
_COUNT: Json = {"type": ["integer", "null"]}
_NUMBER: Json = {"type": ["number", "null"]}
_FLAG: Json = {"type": "boolean"}
_MAYBE: Json = {"type": ["string", "null"]}
_BINARY: Json = {"type": "string", "format": "binary"}
_OBJECT: Json = {"type": "object"}
_SUMMARY: Json = {
    "type": "object",
    "required": ["dataset", "title_ko", "title_en", "status", "readable"],
    "properties": {
        **dict.fromkeys(("dataset", "title_ko", "title_en", "subject", "subject_ko", "subject_en", "owner_ko"), _TEXT),
        "status": {"enum": ["not-connected", "waiting", "fresh", "late", "down", "retired"]},
        **dict.fromkeys(("connected", "readable", "synthetic"), _FLAG),
        "opened_to": {"type": "array", "items": _TEXT},
        **dict.fromkeys(("rows", "interval_s"), _COUNT),
        **dict.fromkeys(
            ("refreshed_at", "seen_at", "data_time", "late_since", "down_since", "columns_changed_at", "retired_at"),
            _TIME,
        ),
        **dict.fromkeys(("age_s", "completeness"), _NUMBER),
    },
}
_PAGE: Json = {
    "type": "object",
    "required": ["items", "next"],
    "properties": {"items": {"type": "array", "items": _SUMMARY}, "next": _MAYBE},
}


def _answers(description: str, content: Json, status: int = 200) -> Responses:
    return {status: {"description": description, "content": content}}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def listed() -> Responses:
    """Datasets with how they stand."""
    return _answers("A page.", _json(_PAGE))


def described() -> Responses:
    """One dataset, whole."""
    return _answers("What it is and how it stands.", _json(_SUMMARY))


def linked() -> Responses:
    """JSON-LD."""
    return _answers("DCAT-AP 3.", {"application/ld+json": {"schema": _OBJECT}})


def rows() -> Responses:
    """Rows in every format."""
    found: Json = {"type": "array", "items": _OBJECT}
    page: Json = {
        "type": "object",
        "required": ["dataset", "total", "next", "rows"],
        "properties": {
            "dataset": _TEXT,
            "total": {"type": "integer"},
            "next": _MAYBE,
            "rows": found,
        },
    }
    schemas: dict[str, Json] = {"json": page, "csv": _TEXT}
    content: Json = {
        TYPES[form]: {"schema": schemas.get(form, _BINARY)} for form in ("json", "csv", "parquet", "arrow")
    }
    return _answers("Rows.", {**content, GEOJSON: {"schema": _OBJECT}}) | NOT_MODIFIED


def mapped() -> Responses:
    """A map."""
    pictures: Json = {TYPES[form]: {"schema": _BINARY} for form in ("svg", "png")}
    found: Json = {GEOJSON: {"schema": _OBJECT}, TYPES["vega"]: {"schema": _OBJECT}, **pictures}
    return _answers("A map.", found) | NOT_MODIFIED


def charted() -> Responses:
    """A chart."""
    pictures: Json = {TYPES[form]: {"schema": _BINARY} for form in ("svg", "png")}
    found: Json = {TYPES["vega"]: {"schema": _OBJECT}, **_json(_OBJECT), **pictures}
    return _answers("A chart.", found) | NOT_MODIFIED


def findings() -> Responses:
    """What was found."""
    properties: Json = {
        "row": _COUNT,
        "column": _MAYBE,
        **dict.fromkeys(("kind", "action"), _TEXT),
        **dict.fromkeys(("value", "detail_ko", "detail"), _MAYBE),
    }
    items: Json = {"type": "array", "items": {"type": "object", "properties": properties}}
    page: Json = {
        "type": "object",
        "required": ["items"],
        "properties": {"items": items, "next": _MAYBE},
    }
    return _answers("Findings, those of the whole file first.", _json(page))


def refreshed() -> Responses:
    """What came in."""
    return _answers(
        "What came in, and what was found.", _json({**_OBJECT, "required": ["dataset", "version", "rows"]}), 201
    )


def asked() -> Responses:
    """What came of asking a source."""
    outcome: Json = {"enum": ["refreshed", "unchanged", "failed"]}
    schema: Json = {"type": "object", "properties": {"dataset": _TEXT, "outcome": outcome}}
    return _answers("What came of it.", _json(schema))


ROWS_BODY: Json = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": _BINARY}
            for kind in (
                "text/csv",
                "application/geo+json",
                "application/json",
                "application/xml",
                "application/vnd.apache.parquet",
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
                "application/octet-stream",
            )
        },
    }
}
"""The body of `POST /v1/datasets/{dataset}/rows`, which the route reads itself."""
