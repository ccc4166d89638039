"""OpenAPI of cases, cameras and sightings: what their answers look like."""

import pyarrow as pa
from pydantic import BaseModel

from schemas import tables
from schemas.models import ModelCard
from schemas.person import Coverage
from schemas.sighting import Sighting
from serve.openapi import Json, Responses, row
from serve.render import ARROW, GEOJSON

_TEXT: Json = {"type": "string"}
_TIME: Json = {"type": "string", "format": "date-time"}
_NUMBER: Json = {"type": ["number", "null"]}
_JSON = "application/json"
_REFS = "#/components/schemas/{model}"
_PLACE: Json = {
    "type": ["object", "null"],
    "description": "Where the camera stands; null where it is not registered any more.",
    "properties": {"name_ko": _TEXT, "name_en": _TEXT, "lon": _NUMBER, "lat": _NUMBER},
}
_CANDIDATE: Json = {
    "candidate": _TEXT,
    "sighting": _TEXT,
    "camera": _TEXT,
    "time": {**_TIME, "description": "UTC."},
    "local_time": {**_TIME, "description": "Asia/Seoul."},
    "model": _TEXT,
    "score": {"type": "number", "description": "Cosine, with what attributes add to it."},
    "probability": {**_NUMBER, "description": "Calibrated; null where the model has no calibration."},
    "above_threshold": {
        "type": ["boolean", "null"],
        "description": "Whether the score reaches the threshold of the model's card; null where it has none.",
    },
    "place": _PLACE,
    "picture": {"type": "string", "description": "Where its picture is; looking at it is an entry of the ledger."},
}
_SAMPLE: Json = {
    "candidate": "cam-17.20260115T030000.3",
    "sighting": "20260115T030000.3",
    "camera": "cam-17",
    "time": "2026-01-15T03:00:00Z",
    "local_time": "2026-01-15T12:00:00+09:00",
    "model": "body-example",
    "score": 0.81,
    "probability": 0.64,
    "above_threshold": True,
    "place": {"name_ko": "춘천역 1번 출구", "name_en": "Chuncheon Station exit 1", "lon": 127.717, "lat": 37.885},
    "picture": "/v1/cases/case-5d1f0c2b9a7e4836/pictures/cam-17.20260115T030000.3",
}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(name: str) -> Json:
    return {"type": "array", "items": _ref(name)}


def _object(properties: Json, describe: str, example: Json | None = None) -> Json:
    made = {"type": "object", "required": list(properties), "properties": properties, "description": describe}
    return made if example is None else {**made, "example": example}


def _without(schema: pa.Schema, *names: str) -> pa.Schema:
    return pa.schema([field for field in schema if field.name not in names])


def components() -> Json:
    """The schemas that the responses below refer to."""
    case = row(tables.CASES, "A case with what it rests on.")
    listed = row(_without(tables.CASES, "reason", "legal_ground"), "A case; an auditor sees less of it.")
    watch = row(_without(tables.WATCHES, "query"), "A standing query; active while `ended_at` is null.")
    decided: Json = {
        "state": {"enum": ["found", "confirmed", "dismissed"]},
        "found_by": _TEXT,
        "found_at": _TIME,
        "decided_at": {**_TIME, "type": ["string", "null"]},
        "decided_by": {"type": ["string", "null"]},
        "reason": {"type": ["string", "null"]},
        "likelihood": {**_NUMBER, "description": "Given what was confirmed; null of dismissed ones."},
    }
    made: Json = {
        "CaseListed": listed,
        "CaseState": {**case, "properties": {**case["properties"], "watches": _list("Watch")}},
        "Watch": watch,
        "Candidate": _object(_CANDIDATE, "A sighting that may be the person. A human decides.", _SAMPLE),
        "CandidateState": _object({**_CANDIDATE, **decided}, "A candidate and what a human said of it."),
        "Camera": row(tables.CAMERAS, "A camera; silent while `silent_since` is not null."),
        "Erasure": row(tables.ERASURES, "An erasure; under way while `erased_at` is null."),
        "LedgerEntry": _object(
            {"id": _TEXT, "type": _TEXT, "time": _TIME, "by": _TEXT, "data": {"type": "object"}},
            "An event of the case: who did what, when and why.",
            {
                "id": "person-0-17-0",
                "type": "city.person.view-recorded.v1",
                "time": "2026-01-15T03:00:00Z",
                "by": "officer-kim",
                "data": {"case": "case-5d1f0c2b9a7e4836", "what": "picture", "candidate": "cam-17.20260115T030000.3"},
            },
        ),
    }
    for model in (Coverage, ModelCard, Sighting):
        made |= _model(model)
    counts: Json = {"shards": {"type": "integer"}, "seconds": {"type": "number"}, "records": {"type": "integer"}}
    behind = _object({**counts, "why": _TEXT}, "Shards that answered without having read everything; 0: all had.")
    complete: Json = {"type": "boolean", "description": "Every shard answered, and had read everything."}
    rested = {**made["Coverage"]["properties"], "complete": complete, "behind": behind}
    made["Rested"] = {**made["Coverage"], "properties": rested, "required": list(rested)}
    return made


def _model(model: type[BaseModel]) -> Json:
    schema = model.model_json_schema(ref_template=_REFS, mode="serialization")
    nested: Json = schema.pop("$defs", {})
    return {**nested, model.__name__: schema}


def _json(schema: Json, describe: str, status: int = 200) -> Responses:
    return {status: {"description": describe, "content": {_JSON: {"schema": schema}}}}


def _page(name: str) -> Json:
    return _object({"items": _list(name), "next": {"type": ["string", "null"]}}, "A page.")


def page(name: str) -> Responses:
    """A page of rows, never kept by caches."""
    return _json(_page(name), "A page.")


def one(name: str) -> Responses:
    """One object, never kept by caches."""
    return _json(_ref(name), "Its state.")


def found() -> Responses:
    """What a search found."""
    window = _object({"start": _TIME, "end": _TIME}, "What was searched.")
    counts: Json = {"type": "array", "items": {"type": "integer"}, "description": "Persons seen on each photograph."}
    said = {"position": _TEXT, "search": _TEXT, "window": window, "candidates": _list("Candidate")}
    said |= {"coverage": _ref("Rested"), "persons_on_photos": counts}
    nobody = "No candidate reaches the threshold of its model; null where that of some is not known."
    said |= {"nobody": {"type": ["boolean", "null"], "description": nobody}, "nobody_ko": _TEXT, "nobody_en": _TEXT}
    return _json(_object(said, "Candidates, best first, and what the answer rests on."), "In the ledger.", 201)


def ledger() -> Responses:
    """A page of the ledger, or all of it as CSV."""
    content = {_JSON: {"schema": _page("LedgerEntry")}, "text/csv": {"schema": _TEXT}}
    return {200: {"description": "Entries, oldest first.", "content": content}}


def picture() -> Responses:
    """A JPEG."""
    content = {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}
    return {200: {"description": "The person alone.", "content": content}}


def journey() -> Responses:
    """A route as GeoJSON."""
    kinds = [
        {"type": "null"},
        *(
            _object({"type": {"const": kind}, "coordinates": {"type": "array"}}, "GeoJSON, WGS84.")
            for kind in ("Point", "LineString", "Polygon", "MultiPolygon")
        ),
    ]
    properties = {"type": {"const": "Feature"}, "geometry": {"oneOf": kinds}, "properties": {"type": "object"}}
    feature = _object(properties, "A stop, a leg, or an area.")
    many: Json = {"type": "array", "items": feature}
    said = {"type": {"const": "FeatureCollection"}, "features": many, "impossible": many, "left_out": many}
    said["reach"] = {"oneOf": [{"type": "null"}, feature]}
    maps: Json = {media: {"schema": {"type": "string", "format": "binary"}} for media in ("image/svg+xml", "image/png")}
    maps["application/vnd.vegalite.v6+json"] = {"schema": {"type": "object"}}
    return {200: {"description": "The route.", "content": {GEOJSON: {"schema": _object(said, "The route.")}, **maps}}}


def models() -> Responses:
    """Model cards."""
    return _json(_page("ModelCard"), "Cards.")


def receipt() -> Responses:
    """An erasure with its receipts."""
    receipts = {"type": "array", "items": _object({"id": _TEXT, "type": _TEXT, "data": {"type": "object"}}, "Event.")}
    return _json(_object({"erasures": _list("Erasure"), "receipts": receipts}, "What is gone."), "The receipt.")


def sightings_accepted() -> Responses:
    """What sightings are answered with."""
    refused = {"type": "array", "items": _object({"camera": _TEXT, "reason": _TEXT}, "A camera that was refused.")}
    said = {"position": _TEXT, "accepted": {"type": "integer"}, "refused": refused}
    return _json(_object(said, "Stored."), "Stored.", 202)


def people() -> Responses:
    """Who is in a picture."""
    content = {ARROW: {"schema": {"type": "string", "format": "binary"}}}
    return {200: {"description": "People, as serve.pictures.wire.PEOPLE.", "content": content}}


PICTURE_BODY: Json = {
    "requestBody": {
        "required": True,
        "content": {
            f"image/{kind}": {"schema": {"type": "string", "format": "binary"}} for kind in ("jpeg", "png", "webp")
        },
    }
}
"""The body of `POST /v1/encodings`, which is not JSON."""
SIGHTINGS_BODY: Json = {
    "requestBody": {
        "required": True,
        "content": {
            _JSON: {"schema": {"oneOf": [_ref("Sighting"), {**_list("Sighting"), "minItems": 1}]}},
            ARROW: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
"""The body of `POST /v1/sightings`, which the route parses itself."""
