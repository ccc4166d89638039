"""The events of one entity as a page: all of them for staff, for others what the public feed shows of them."""

from typing import Any

import orjson
import polars as pl
from fastapi import Request
from starlette.responses import Response

from schemas.base import Frozen, from_micros
from schemas.errors import NotFoundError
from schemas.registry import read_event
from serve import paging, render
from serve.backend import Backend, HistoryItem
from serve.paging import Limit
from serve.reading import MinPosition, frame, view_after
from streams.feed import project

_ENTITIES = {"facility": "facilities", "road": "roads", "dataset": "datasets"}
"""The table that holds a row for each entity, in a column of its name."""


class History(Frozen):
    """Which events. Unknown parameters are refused, `as_of` among them: a history is of all times."""

    limit: Limit = 100
    cursor: paging.Cursor = None
    min_position: MinPosition = None


async def events_of(request: Request, context: str, entity: str, asked: History, kind: str = "") -> Response:
    """A page of an entity's events in log order. Without a staff role a page may hold fewer than `limit`.

    `kind` is what the entities of the context are called, where that is not its own name.

    Raises `NotFoundError` for an entity that is not there, and what `view_after` raises.
    """
    backend: Backend = request.app.state.backend
    (after,) = paging.decode(asked.cursor, int) or (0,)
    view = await view_after(request, context, asked.min_position)
    kind = kind or context
    if frame(request, view, _ENTITIES[kind]).filter(pl.col(kind) == entity).is_empty():
        raise NotFoundError(kind, entity)
    found = await backend.history(context, entity, max(after, 0), asked.limit)
    items = [shown for one in found if (shown := _shown(one, request.state.principal.staff)) is not None]
    following = paging.encode((found[-1].sequence,)) if len(found) == asked.limit else None
    body = orjson.dumps({"items": items, "next": following}, option=orjson.OPT_UTC_Z)
    return render.rendered_of(body, render.JSON, view).answer(request)


def _shown(item: HistoryItem, staff: bool) -> dict[str, Any] | None:
    data: dict[str, Any] | None = item.data
    if not staff:
        event = read_event(item.type, orjson.dumps(item.data))
        data = next((fields for audience, fields in project(event) if audience == "pub"), None)
    if data is None:
        return None
    return {"id": item.id, "type": item.type, "time": from_micros(item.time), "synthetic": item.synthetic, "data": data}
