"""Refused input: kept with its reason, listed and resubmitted by operators."""

from base64 import b64encode
from typing import Annotated, Any

import orjson
from fastapi import Path, Query, Request
from starlette.responses import Response

from schemas.base import EntityId, from_micros
from serve import openapi, paging, positions
from serve.backend import Backend
from serve.idempotency import OnceFor
from serve.paging import Cursor, Limit
from serve.routing import router
from serve.writing import accept

routes = router("rejected")
Sequence = Annotated[int, Path(ge=1, lt=2**63, description="`sequence` of the item.", examples=[1])]
Reason = Annotated[str, Query(max_length=200, description="Only those whose reason contains this.")]


@routes.get("/v1/rejected", responses=openapi.json_page("Rejected", tagged=False), summary="Refused input")
async def list_rejected(
    request: Request, entity: EntityId | None = None, reason: Reason = "", limit: Limit = 100, cursor: Cursor = None
) -> Response:
    """Oldest first, with the reason and the original bytes (base64), or as many of them as were kept (`truncated`)."""
    backend: Backend = request.app.state.backend
    (after,) = paging.decode(cursor, int) or (0,)
    found = await backend.rejected(entity, reason, max(after, 0), limit)
    items = [
        {
            "sequence": one.sequence,
            "at": from_micros(one.stored_at),
            "context": one.context,
            "entity": one.entity,
            "reason": one.reason,
            "content_type": one.content_type,
            "data": b64encode(one.data).decode(),
            "truncated": one.truncated,
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
async def resubmit(request: Request, sequence: Sequence, once: OnceFor) -> Response:
    """Publishes the original bytes again, after what was wrong is put right; `resubmitted` is false the second time.

    Their rows are judged anew, after this answer: what counted before does not count again, and what cannot count now
    is refused again with its reason, readings too that lie 64 or more sequences behind their sensor's newest.
    """
    backend: Backend = request.app.state.backend

    async def act() -> dict[str, Any]:
        done, position = await backend.resubmit(sequence)
        return {"position": positions.encode(position), "resubmitted": done}

    return await accept(request, once, act)
