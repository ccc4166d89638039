"""Refused input: kept with its reason, listed and resubmitted by operators."""

from base64 import b64encode
from typing import Annotated, Literal

import orjson
from fastapi import Path, Request
from starlette.responses import Response

from schemas.base import EntityId, from_micros
from serve import openapi, paging
from serve.backend import Backend
from serve.idempotency import OnceFor
from serve.paging import Cursor, Limit
from serve.routing import router

routes = router("rejected")
Sequence = Annotated[int, Path(ge=1, lt=2**63, description="`sequence` of the item.", examples=[1])]


@routes.get("/v1/rejected", responses=openapi.page("Rejected"), summary="Refused input")
async def list_rejected(
    request: Request,
    context: Literal["facility", "road"] | None = None,
    entity: EntityId | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Oldest first, with the reason and the original bytes (base64)."""
    backend: Backend = request.app.state.backend
    (after,) = paging.decode(cursor, int) or (0,)
    found = await backend.rejected(context, entity, max(after, 0), limit)
    items = [
        {
            "sequence": one.sequence,
            "context": one.context,
            "entity": one.entity,
            "reason": one.reason,
            "content_type": one.content_type,
            "data": b64encode(one.data).decode(),
            "at": from_micros(one.at),
            "resubmitted": one.resubmitted,
        }
        for one in found
    ]
    following = paging.encode((found[-1].sequence,)) if len(found) == limit else None
    body = orjson.dumps({"items": items, "next": following}, option=orjson.OPT_UTC_Z)
    return Response(body, headers={"cache-control": "no-store"}, media_type="application/json")


@routes.post(
    "/v1/rejected/{sequence}/resubmit", status_code=202, responses=openapi.resubmitted(), summary="Send it again"
)
async def resubmit(request: Request, sequence: Sequence, _once: OnceFor) -> Response:
    """Publishes the original bytes again, after what was wrong is put right. Rows that counted before count once."""
    backend: Backend = request.app.state.backend
    stream, stored = await backend.resubmit(sequence)
    return Response(orjson.dumps({"stream": stream, "sequence": stored}), 202, media_type="application/json")
