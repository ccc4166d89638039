"""What the population is answered with, for OpenAPI."""

from typing import get_args

from schemas import tables
from serve import openapi
from serve.openapi import Json, Responses
from serve.population.formats import TYPES
from serve.population.reached import Format as Reached

_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
_COUNT: Json = {"type": "integer"}
_OR_NONE: Json = {"type": ["number", "null"]}
_TEXTS: Json = {"type": "array", "items": _TEXT}
_OBJECTS: Json = {"type": "array", "items": {"type": "object"}}
_DATES: Json = {"type": "array", "items": {"type": "string", "format": "date"}}
_WHY: Json = {"type": ["string", "null"], "description": "Why it is partial."}
_BINARY: Json = {"type": "string", "format": "binary"}
_JSON = "application/json"

_MEAN: Json = {
    "slot": _TEXT,
    "days": {**_COUNT, "description": "Days that the mean is of."},
    "count": {**_NUMBER, "description": "The sum over these days, without what is hidden."},
    "hidden": {**_COUNT, "description": "Counts of a cell, hour and day that were too small to be told."},
    "mean": {**_OR_NONE, "description": "Per whole day, or per hour for people who are there; null: all is hidden."},
    "at_most": {**_NUMBER, "description": "What the mean is under with the hidden counts."},
}
_ABOUT: Json = {
    **dict.fromkeys(("source", "source_ko", "source_en", "provider", "licence", "zone"), _TEXT),
    **dict.fromkeys(("measure", "measure_ko", "measure_en", "not_ko", "not_en", "unit_ko", "unit_en"), _TEXT),
    **dict.fromkeys(("denominator_ko", "denominator_en", "days_ko", "days_en", "hidden_ko", "hidden_en"), _TEXT),
    **dict.fromkeys(("days", "days_left_out"), _DATES),
    "hidden_below": _COUNT,
    "synthetic": {"type": "boolean"},
    "retired_at": {"type": ["string", "null"], "format": "date-time", "description": "Since then nothing more comes."},
    "retired_why": {"type": ["string", "null"]},
    "slots": _OBJECTS,
    "boundaries": {"type": ["string", "null"], "description": "Whose borders of areas are shown."},
}


def _object(properties: Json) -> Json:
    return {"type": "object", "required": list(properties), "properties": properties}


def _list(properties: Json) -> Json:
    return {"type": "array", "items": _object(properties)}


_COLLECTION: Json = _object({"type": {"const": "FeatureCollection"}, "about": _object(_ABOUT), "features": _OBJECTS})
_DAY: Json = {
    "day": {"type": "string", "format": "date"},
    "outcome": {"enum": ["recorded", "replaced", "unchanged"]},
    **dict.fromkeys(("received", "placed", "outside", "unplaced", "repeated"), _NUMBER),
    **dict.fromkeys(("rows", "places_outside", "places_unplaced"), _COUNT),
    "hours": {"type": "array", "items": _COUNT},
    "whole": {"type": "boolean"},
    **dict.fromkeys(("partial_ko", "partial_en"), _WHY),
}


def _content(schema: Json, forms: tuple[str, ...]) -> Json:
    schemas: dict[str, Json] = {"json": schema, "geojson": _COLLECTION, "csv": _TEXT, "vega": {"type": "object"}}
    return {TYPES[form]: {"schema": schemas.get(form, _BINARY)} for form in forms}


def _answers(describe: str, content: Json) -> Responses:
    return {200: {"description": describe, "content": content}, 304: {"description": "As the client has it."}}


def answered() -> Responses:
    """Means by cell or area, in every format."""
    row = {**_MEAN, "cell": _TEXT, "code": {"type": ["string", "null"]}, "name": {"type": ["string", "null"]}}
    rows = {"type": "array", "items": {"type": "object", "required": list(_MEAN), "properties": row}}
    schema = _object({**_ABOUT, "totals": _list(_MEAN), "rows": rows, "told": _OBJECTS})
    return _answers("What it is, and its rows.", _content(schema, tuple(TYPES)))


def reached() -> Responses:
    """People over facilities."""
    said: Json = {
        **_ABOUT,
        **dict.fromkeys(
            ("layer", "layer_ko", "layer_en", "layer_source", "distances", "stands_ko", "stands_en"), _TEXT
        ),
        **dict.fromkeys(("layer_count", "layer_without_place", "layer_synthetic"), _COUNT),
        **dict.fromkeys(("nearest_by_road", "nearest_by_straight_line"), _COUNT),
        **dict.fromkeys(("reach_min", "walk_m_per_min"), _NUMBER),
        **dict.fromkeys(("totals", "facilities", "gaps", "cells"), _OBJECTS),
    }
    return _answers("People, facilities and gaps.", _content(_object(said), get_args(Reached)))


def sources() -> Responses:
    """Sources; with their days for staff."""
    row = openapi.row(tables.SOURCES, "")["properties"]
    days = openapi.row(tables.DAYS, "")["properties"]
    hours: Json = {"type": "array", "items": _COUNT}
    told = {name: days[name] for name in days if name not in {"source", "earlier"}} | {"hours": hours}
    item: Json = {
        **row,
        "hours": hours,
        "day_count": _COUNT,
        **dict.fromkeys(("measure_ko", "measure_en", "measure_not_ko", "measure_not_en", "unit_ko", "unit_en"), _TEXT),
        "days": {"type": "array", "items": {"type": "object", "properties": told}, "description": "For staff."},
    }
    items: Json = {"type": "array", "items": {"type": "object", "required": ["source", "measure"], "properties": item}}
    return _answers("All of them.", {_JSON: {"schema": _object({"items": items, "next": {"type": "null"}})}})


def written() -> Responses:
    """What a command answers."""
    return openapi.written()


def counted() -> Responses:
    """What became of a file."""
    schema = _object(
        {
            **dict.fromkeys(("position", "source", "measure", "measure_ko", "measure_en", "input"), _TEXT),
            "boundary": {"type": ["string", "null"], "description": "Whose border; null: nothing was outside."},
            "places": {"type": ["integer", "null"]},
            "days": _list(_DAY),
            "elsewhere": {**_OBJECTS, "description": "Places outside or without coordinates, the first 200."},
            "elsewhere_count": _COUNT,
            "findings": {"type": "object"},
            "cells_found": _OBJECTS,
            "notes": {"type": "array", "items": _object({"ko": _TEXT, "en": _TEXT})},
        }
    )
    return {202: {"description": "Counted, on disk.", "content": {_JSON: {"schema": schema}}}}


DAYS_BODY: Json = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {"schema": _TEXT},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": _BINARY, "places": _BINARY},
                }
            },
        },
    }
}
"""The body of `POST /v1/population/sources/{source}/days`, which the route parses itself."""
