"""OpenAPI 3.1 of the API: row schemas from the Arrow tables, problems, security from the table of roles, examples."""

import json
from typing import Any

import pyarrow as pa
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from schemas import tables
from schemas.api import Accepted, Problem, Reading, Written
from serve.auth import ALLOWED, PUBLIC
from serve.render import ARROW, GEOJSON

Json = dict[str, Any]
Responses = dict[int | str, Json]

_NOT_NULL = {
    "facility",
    "sensor",
    "alarm",
    "road",
    "segment",
    "work",
    "snow",
    "risk",
    "state",
    "level",
    "status",
    "clearing",
    "kind",
    "rank",
    "synthetic",
    "reasons",
}
_SAMPLES: Json = {
    "facility": "soyang-bridge-1",
    "sensor": "soyang-bridge-1-tilt-1",
    "alarm": "soyang-bridge-1-tilt-1.high-danger.1",
    "kind": "tilt",
    "unit": "mm/m",
    "risk": "danger",
    "reasons": ["기울기 위험 · tilt danger"],
    "level": "danger",
    "state": "active",
    "condition": "high",
    "verdict": "real",
    "road": "jungang-ro",
    "segment": "jungang-ro-1",
    "rank": "105",
    "status": "works",
    "clearing": "planned",
    "work": "work-2026-17",
    "title_ko": "상수도관 교체",
    "grade": "D",
    "name_ko": "소양1교",
    "name_en": "Soyang Bridge 1",
    "snow": "snow-2026-01-15",
    "impact": "some-lanes-closed",
    "operator": "춘천시 상하수도사업본부",
    "segments": ["jungang-ro-1"],
    "line": [[127.73, 37.88], [127.74, 37.88]],
}


def _type(kind: pa.DataType) -> Json:
    if pa.types.is_timestamp(kind):
        return {"type": "string", "format": "date-time"}
    if pa.types.is_boolean(kind):
        return {"type": "boolean"}
    if pa.types.is_integer(kind):
        return {"type": "integer"}
    if pa.types.is_floating(kind):
        return {"type": "number"}
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return {"type": "array", "items": _type(kind.value_type)}
    return {"type": "string"}


def _sample(name: str, kind: pa.DataType) -> Any:
    if name in _SAMPLES:
        return _SAMPLES[name]
    described = _type(kind)["type"]
    if pa.types.is_timestamp(kind):
        return "2026-01-15T03:00:00.000000Z"
    return {"string": "", "boolean": True, "integer": 1, "number": 0.5, "array": []}[described]


def row(schema: pa.Schema, describe: str) -> Json:
    """The JSON schema of a table's rows. Only ids and states are sure to have a value."""
    properties = {}
    for field in schema:
        one = _type(field.type)
        properties[field.name] = one if field.name in _NOT_NULL else {**one, "type": [one["type"], "null"]}
    example = {field.name: _sample(field.name, field.type) for field in schema}
    return {"type": "object", "description": describe, "properties": properties, "example": example}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(name: str) -> Json:
    return {"type": "array", "items": _ref(name)}


def _components() -> Json:
    text, time = {"type": "string"}, {"type": "string", "format": "date-time"}
    facility = row(tables.FACILITIES, "A facility with its risk level and the reasons for it.")
    road = row(tables.ROADS, "A road.")
    return {
        "Facility": facility,
        "Sensor": row(tables.SENSORS, "A sensor with its latest value and statistics; quality 0 is good, 2 bad."),
        "Alarm": row(tables.ALARMS, "An alarm that is on the list; who acted on it is shown to staff."),
        "FacilityState": {
            **facility,
            "description": "A facility with its sensors and alarms.",
            "properties": {**facility["properties"], "sensors": _list("Sensor"), "alarms": _list("Alarm")},
        },
        "Road": road,
        "Segment": row(tables.SEGMENTS, "A segment with what a driver meets on it, and its clearing state."),
        "Work": row(tables.WORKS, "An excavation; early_s and late_s in seconds against its window."),
        "SnowEvent": row(tables.SNOW, "A snow event on one road."),
        "RoadState": {
            **road,
            "description": "A road with its segments, works and snow events.",
            "properties": {
                **road["properties"],
                "segments": _list("Segment"),
                "works": _list("Work"),
                "snow": _list("SnowEvent"),
            },
        },
        "HistoryItem": {
            "type": "object",
            "required": ["id", "type", "time", "synthetic", "data"],
            "properties": {
                "id": text,
                "type": text,
                "time": time,
                "synthetic": {"type": "boolean", "description": "It tells of something made up, in whole or in part."},
                "data": {"type": "object"},
            },
            "example": {
                "id": "facility-0-17-0",
                "type": "city.facility.alarm-raised.v1",
                "time": "2026-01-15T03:00:00Z",
                "synthetic": True,
                "data": {"facility": "soyang-bridge-1", "level": "danger"},
            },
        },
        "Rejected": {
            "type": "object",
            "required": ["sequence", "reason", "data"],
            "properties": {
                "sequence": {"type": "integer"},
                "context": text,
                "entity": text,
                "reason": text,
                "content_type": text,
                "data": {"type": "string", "contentEncoding": "base64"},
                "at": time,
                "resubmitted": {"type": "boolean"},
                "truncated": {"type": "boolean"},
            },
            "example": {"sequence": 1, "reason": "the time lies in the future", "data": "e30="},
        },
        **{model.__name__: _model(model) for model in (Problem, Written, Accepted, Reading)},
    }


def _model(model: type[Problem | Written | Accepted | Reading]) -> Json:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    for definition in schema.pop("$defs", {}).values():
        # Flat: the one nested model stands in its parent.
        schema["properties"]["refused"]["items"] = definition
    return schema


def _content(media_type: str, schema: Json) -> Json:
    content = {media_type: {"schema": schema}}
    if media_type != "application/json" or "items" in schema.get("properties", {}):
        content[ARROW] = {"schema": {"type": "string", "format": "binary"}}
    return content


def page(name: str) -> Responses:
    """A page of rows as JSON or Arrow, or 304."""
    return {200: {"description": "A page.", "content": _content("application/json", _page(name))}, **NOT_MODIFIED}


def json_page(name: str, *, tagged: bool) -> Responses:
    """A page of items that are no rows of a table; `tagged`: or 304."""
    found: Responses = {200: {"description": "A page.", "content": {_JSON: {"schema": _page(name)}}}}
    return found | NOT_MODIFIED if tagged else found


def _page(name: str) -> Json:
    properties = {"items": _list(name), "next": {"type": ["string", "null"]}}
    return {"type": "object", "required": ["items", "next"], "properties": properties}


def one(name: str) -> Responses:
    """One object as JSON, or 304."""
    return {200: {"description": "Its state.", "content": _content("application/json", _ref(name))}, **NOT_MODIFIED}


def collection(name: str) -> Responses:
    """A GeoJSON FeatureCollection whose properties are rows, or 304."""
    line = {
        "type": ["object", "null"],
        "properties": {"type": {"const": "LineString"}, "coordinates": _type(tables.SEGMENTS.field("line").type)},
    }
    feature = {
        "type": "object",
        "required": ["type", "id", "geometry", "properties"],
        "properties": {
            "type": {"const": "Feature"},
            "id": {"type": "string"},
            "geometry": line,
            "properties": _ref(name),
        },
    }
    schema = {
        "type": "object",
        "required": ["type", "features"],
        "properties": {
            "type": {"const": "FeatureCollection"},
            "features": {"type": "array", "items": feature},
            "next": {"type": ["string", "null"]},
        },
    }
    return {200: {"description": "Features.", "content": _content(GEOJSON, schema)}, **NOT_MODIFIED}


NOT_MODIFIED: Responses = {304: {"description": "As the client has it (If-None-Match)."}}
_JSON = "application/json"


def written(status: int = 200) -> Responses:
    """What a command answers."""
    return {status: {"description": "On disk.", "content": {_JSON: {"schema": _ref("Written")}}}}


def accepted() -> Responses:
    """What readings are answered with."""
    return {202: {"description": "Stored.", "content": {_JSON: {"schema": _ref("Accepted")}}}}


def resubmitted() -> Responses:
    """Whether input was sent again."""
    properties = {"position": {"type": "string"}, "resubmitted": {"type": "boolean"}}
    schema = {"type": "object", "required": ["position", "resubmitted"], "properties": properties}
    return {202: {"description": "Published again.", "content": {_JSON: {"schema": schema}}}}


def event_stream() -> Responses:
    """Server-sent events."""
    event = {
        "specversion": "1.0",
        "id": "facility-0-17-0",
        "type": "city.facility.sensor-stale.v1",
        "source": "/bomnae/facility/0",
        "subject": _SAMPLES["facility"],
        "time": "2026-01-15T03:00:00Z",
        "synthetic": True,
        "datacontenttype": _JSON,
        "data": {"facility": _SAMPLES["facility"], "sensor": _SAMPLES["sensor"], "at": "2026-01-15T03:00:00Z"},
    }
    text = {"example": f"id: 17\nevent: {event['type']}\ndata: {json.dumps(event)}\n\n"}
    return {200: {"description": "A stream without end.", "content": {"text/event-stream": text}}}


READINGS_BODY: Json = {
    "requestBody": {
        "required": True,
        "content": {
            _JSON: {"schema": {"oneOf": [_ref("Reading"), {**_list("Reading"), "minItems": 1}]}},
            ARROW: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
"""The body of `POST /v1/readings`, which the route parses itself."""


def install(app: FastAPI, more: Json) -> None:
    """Let the app describe itself with this document; `more` are schemas beside those of facilities and roads."""

    def openapi() -> Json:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, more)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI, more: Json) -> Json:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        summary=app.summary,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for made in ("HTTPValidationError", "ValidationError"):
        schemas.pop(made, None)
    schemas.update({**_components(), **more})
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    problem = {"description": "A problem.", "content": {"application/problem+json": {"schema": _ref("Problem")}}}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            allowed = ALLOWED[method.upper(), path]
            operation["security"] = [{}, {"bearer": []}] if allowed is PUBLIC else [{"bearer": []}]
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = problem
            if allowed is not PUBLIC:
                operation["description"] += f"\n\nRoles: {', '.join(sorted(allowed))}."
    return document
