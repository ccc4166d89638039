"""Example values for JSON schemas, for documentation: deterministic, valid, and readable."""

from collections.abc import Mapping
from typing import Any

_WORDS: Mapping[str, Any] = {
    "facility": "soyang-bridge-2",
    "road": "jungang-ro",
    "sensor": "soyang-bridge-2-tilt-1",
    "segment": "jungang-ro-3",
    "work": "work-2026-17",
    "snow": "snow-2026-1",
    "alarm": "soyang-bridge-2-tilt-1.high-warning.1",
    "case": "case-5d1f0c2b9a7e4836",
    "watch": "watch-77a0c4e1d2b3f596",
    "sighting_id": "cam-17.20260115T030000.3",
    "sighting": "20260115T030000.3",
    "camera": "cam-17",
    "candidate": "cam-17.20260115T030000.3",
    "like": "cam-17.20260115T030000.3",
    "model": "body-example",
    "name_ko": "소양2교",
    "name_en": "Soyang Bridge 2",
    "title_ko": "상수도관 교체",
    "title_en": "Water main replacement",
    "operator": "Waterworks",
    "by": "duty-officer",
    "unit": "degree",
    "token": "0123456789abcdef",
    "lon": 127.7290,
    "lat": 37.8880,
    "area": "4211051000",
    "start": "2026-01-15T03:00:00Z",
    "end": "2026-01-16T03:00:00Z",
    "until": "2026-01-17T03:00:00Z",
}
_TIME = "2026-01-15T03:00:00Z"


def sample(  # noqa: C901, PLR0911, PLR0912 - one line for each kind of schema
    schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str = ""
) -> Any:
    """A value that the schema allows. `schemas` resolves a `$ref` by the last part of its path; `name`: the field's."""
    match schema:
        case {"example": value} | {"const": value} | {"enum": [value, *_]}:
            return value
        case {"$ref": str(path)}:
            return sample(schemas[path.rsplit("/", 1)[1]], schemas, name)
        case {"anyOf": [first, *_]} | {"oneOf": [first, *_]}:
            return sample(first, schemas, name)
        case {"type": "object"}:
            return {key: sample(value, schemas, key) for key, value in schema.get("properties", {}).items()}
        case _ if name in _WORDS:
            return _WORDS[name]
        case {"type": "array", "prefixItems": items}:
            return [sample(item, schemas) for item in items]
        case {"type": "array"}:
            return [sample(schema["items"], schemas, name.removesuffix("s"))] * max(1, schema.get("minItems", 1))
        case {"type": "integer" | "number"}:
            return max(1, schema.get("minimum", 1))
        case {"type": "boolean"}:
            return name == "synthetic"
        case {"type": "string", "pattern": "^[0-9a-f]{64}$"}:
            return "5d" * 32
        case {"type": "string", "format": "base64"}:
            return "/9j/"
        case {"type": "string", "format": "date-time"}:
            return _TIME
        case {"type": "string", "format": "date"}:
            return _TIME[:10]
        case _:
            return name.replace("_", "-") or "text"
