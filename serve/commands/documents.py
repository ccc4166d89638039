"""`bomnae asyncapi` and `bomnae openapi`: the descriptions of the two interfaces; nothing needs to run."""

from typing import Any, cast

from schemas.settings import Settings
from serve.app import create_app
from serve.auth import Verifier
from serve.backend import Backend
from streams import asyncapi, instance


def asyncapi_document(settings: Settings) -> dict[str, Any]:
    """AsyncAPI 3.0 of the NATS, WebSocket and MQTT subjects, with the addresses of the instance where it has any."""
    found = instance.load(settings.data)
    if found is None:
        return asyncapi.document()
    ports = {"nats": found.ports.nats, "ws": found.ports.websocket, "mqtt": found.ports.mqtt}
    return asyncapi.document({name: f"{name}://{settings.host}:{port}" for name, port in ports.items()})


def openapi_document() -> dict[str, Any]:
    """OpenAPI 3.1 of the HTTP API."""
    # The description reads the routes alone; no request will reach a backend.
    return create_app(cast("Backend", None), Verifier(None)).openapi()
