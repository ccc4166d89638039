"""What siting answers with, for OpenAPI."""

from serve.openapi import Json, Responses
from serve.render import GEOJSON
from serve.statistics.formats import TYPES

_OBJECT: Json = {"type": "object"}
_FEATURE: Json = {"type": "object", "required": ["type", "geometry", "properties"]}


def answered() -> Responses:
    """A FeatureCollection, or a picture."""
    whole: Json = {
        "type": "object",
        "required": ["type", "about", "features"],
        "properties": {
            "type": {"const": "FeatureCollection"},
            "about": _OBJECT,
            "features": {"type": "array", "items": _FEATURE},
        },
    }
    binary: Json = {"type": "string", "format": "binary"}
    pictures: Json = {TYPES[form]: {"schema": binary} for form in ("svg", "png")}
    content: Json = {GEOJSON: {"schema": whole}, TYPES["vega"]: {"schema": _OBJECT}, **pictures}
    return {200: {"description": "Sites, demand points, and how the models compare.", "content": content}}
