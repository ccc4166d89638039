"""The events of one entity as a page: all of them for staff, for others what the public feed shows of them."""

from typing import Any

import orjson
import polars as pl
from fastapi import Request
from starlette.responses import Response

from schemas.base import from_micros
from schemas.errors import NotFoundError
from schemas.registry import read_event
from serve import paging
from serve.backend import Backend, HistoryItem
from serve.reading import frame
from streams.feed import project

_ENTITIES = {"facility": "facilities", "road": "roads"}
"""The table that holds a row for each entity of a context, in a column of the context's name."""


async def events_of(request: Request, context: str, entity: str, limit: int, cursor: str | None) -> Response:
    """A page of an entity's events in log order. Without a staff role a page may hold fewer than `limit`.

    Raises `NotFoundError` for an entity that is not there.
    """
    backend: Backend = request.app.state.backend
    if frame(request, backend.view(context), _ENTITIES[context]).filter(pl.col(context) == entity).is_empty():
        raise NotFoundError(context, entity)
    (after,) = paging.decode(cursor, int) or (0,)
    found = await backend.history(context, entity, max(after, 0), limit)
    items = [shown for one in found if (shown := _shown(one, request.state.principal.staff)) is not None]
    following = paging.encode((found[-1].sequence,)) if len(found) == limit else None
    body = orjson.dumps({"items": items, "next": following}, option=orjson.OPT_UTC_Z)
    return Response(body, headers={"cache-control": "no-cache"}, media_type="application/json")


def _shown(item: HistoryItem, staff: bool) -> dict[str, Any] | None:
    data: dict[str, Any] | None = item.data
    if not staff:
        event = read_event(item.type, orjson.dumps(item.data))
        data = next((fields for audience, fields in project(event) if audience == "pub"), None)
    if data is None:
        return None
    return {"id": item.id, "type": item.type, "time": from_micros(item.time), "data": data}
