"""What every write shares: commands submitted once, answered with where they stand on disk."""

from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import Request
from starlette.responses import Response

from schemas.base import Command
from serve import positions
from serve.backend import Backend
from serve.idempotency import Once


def stamp(request: Request) -> dict[str, Any]:
    """The fields that every command gets at the edge: `at`, the clock, and `by`, who asks."""
    backend: Backend = request.app.state.backend
    return {"at": backend.now(), "by": request.state.principal.subject}


async def submit(
    request: Request, commands: Sequence[Command], once: Once, status: int = 200, location: str | None = None
) -> Response:
    """Submit commands and answer with position and events; a repeat of a known key says `Idempotency-Replayed`."""
    backend: Backend = request.app.state.backend
    answer = await backend.submit(commands, once.key, once.digest)
    position = positions.encode(answer.position)
    headers = {"bomnae-position": position, "cache-control": "no-store"}
    headers |= {"idempotency-replayed": "true"} if answer.repeated else {}
    headers |= {"location": location} if location is not None else {}
    body = orjson.dumps({"position": position, "events": answer.events}, option=orjson.OPT_UTC_Z)
    return Response(body, status, headers, "application/json")
