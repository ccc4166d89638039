"""What every write shares: commands submitted once, answered with where they stand on disk."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
from fastapi import Request
from starlette.responses import Response

from schemas.base import Command
from serve import positions
from serve.backend import Backend
from serve.idempotency import Once
from streams.codec import trace_of


def stamp(request: Request) -> dict[str, Any]:
    """The fields that every command gets at the edge: `at`, the clock, and `by`, who asks."""
    backend: Backend = request.app.state.backend
    return {"at": backend.now(), "by": request.state.principal.subject}


async def submit(
    request: Request, commands: Sequence[Command], once: Once, status: int = 200, location: str | None = None
) -> Response:
    """Submit commands and answer with position and events; a repeat of a known key says `Idempotency-Replayed`."""
    backend: Backend = request.app.state.backend
    answer = await backend.submit(commands, once.key, once.digest, trace_of(request.headers))
    position = positions.encode(answer.position)
    headers = {"bomnae-position": position, "cache-control": "no-store"}
    headers |= {"idempotency-replayed": "true"} if answer.repeated else {}
    headers |= {"location": location} if location is not None else {}
    body = orjson.dumps({"position": position, "events": answer.events}, option=orjson.OPT_UTC_Z)
    return Response(body, status, headers, "application/json")


async def as_first(request: Request, once: Once, find: Callable[[], Sequence[str]]) -> list[str]:
    """The entities that a request is about: those that `find` found when its key came first, or finds now.

    "All roads" are others tomorrow, and a repeat has to mean the same ones. They are kept beside the claim of the key.
    """
    backend: Backend = request.app.state.backend
    if once.key is None or once.digest is None:
        return list(find())
    if not (said := await backend.claim(once.key, once.digest)):
        found = orjson.dumps({"entities": list(find())}).decode()
        said = await backend.claim(once.key, once.digest, found)
    entities: list[str] = orjson.loads(said)["entities"]
    return entities


async def accept(request: Request, once: Once, act: Callable[[], Awaitable[dict[str, Any]]]) -> Response:
    """Act, which must be safe to repeat, and answer 202 with what it says, its `position` among it.

    With a key the answer is kept beside the claim in the log, and a repeat gives it again without acting; where a
    crash came before the answer was kept, the repeat acts again (docs/decisions/0005).
    """
    backend: Backend = request.app.state.backend
    said = mine = ""
    if once.key is not None and once.digest is not None:
        said = await backend.claim(once.key, once.digest)
    if not said:
        said = mine = orjson.dumps(await act()).decode()
        if once.key is not None and once.digest is not None:
            # Of two repeats at the same time the one that is kept first answers for both.
            said = await backend.claim(once.key, once.digest, mine)
    headers = {"bomnae-position": orjson.loads(said)["position"], "cache-control": "no-store"}
    headers |= {"idempotency-replayed": "true"} if said != mine else {}
    return Response(said, 202, headers, "application/json")
