"""Works (도로 굴착): permitted → started → extended → finished, early and late."""

from typing import Annotated, assert_never

import polars as pl
from fastapi import Path, Query, Request
from starlette.responses import Response

from schemas.api import Cancel, Extend, Finish, Start, Work, WorkChange
from schemas.base import EntityId
from schemas.errors import NotFoundError
from schemas.road import CancelWork, ExtendWork, FinishWork, PermitWork, StartWork, WorkCommand, WorkState
from serve import openapi
from serve.idempotency import OnceFor
from serve.reading import Filters, Listing, MinPosition, Page, QueryTime, frame, view_after, view_of
from serve.routing import router
from serve.writing import stamp, submit

routes = router("works")
HIDDEN = ("operator",)
"""Columns for staff alone: who digs may be a person; the public feed leaves it out too."""

WorkId = Annotated[EntityId, Path(description="Id of the work.", examples=["work-2026-17"])]


class WorkQuery(Page):
    """Which works."""

    state: WorkState | None = None
    road: EntityId | None = None
    active_at: Annotated[
        QueryTime | None, Query(description="Works whose window, or real time from start to finish, holds this moment.")
    ] = None


def _active(rows: pl.DataFrame, filters: Filters) -> pl.DataFrame:
    if (at := filters["active_at"]) is None:
        return rows
    begin = pl.coalesce("started_at", "window_start")
    # A started work is there until it is finished, however late; one that is only permitted, in its window.
    end = pl.when(pl.col("state") == "started").then(None).otherwise(pl.coalesce("finished_at", "window_end"))
    return rows.filter((begin <= at) & (end.is_null() | (end > at)) & (pl.col("state") != "cancelled"))


_LISTING = Listing("works", ("work",), hidden=HIDDEN, prepare=_active)


@routes.get("/v1/works", responses=openapi.page("Work"), summary="Works on the roads")
async def list_works(request: Request, query: Annotated[WorkQuery, Query()]) -> Response:
    """What digs where since when until when, by id."""
    return await _LISTING.answer(request, await view_of(request, "road", query, query.road), query)


@routes.post("/v1/works", status_code=201, responses=openapi.written(201), summary="Permit a work")
async def permit(request: Request, body: Work, once: OnceFor) -> Response:
    """The same permit again changes nothing; another under the same id is 409."""
    command = PermitWork(**stamp(request), **dict(body))
    return await submit(request, [command], once, 201, f"/v1/works?road={body.road}")


@routes.patch("/v1/works/{work}", responses=openapi.written(), summary="Start, extend, finish or cancel a work")
async def change_work(
    request: Request, work: WorkId, body: WorkChange, once: OnceFor, min_position: MinPosition = None
) -> Response:
    """Give the permit's position as `min_position` to act on a work permitted a moment ago."""
    view = await view_after(request, "road", min_position)
    found = frame(request, view, "works").filter(pl.col("work") == work)["road"]
    if found.is_empty():
        raise NotFoundError("work", work)
    whose = {**stamp(request), "road": found[0], "work": work}
    command: WorkCommand
    match body:
        case Start():
            command = StartWork(**whose)
        case Extend():
            command = ExtendWork(**whose, until=body.until, reason=body.reason)
        case Finish():
            command = FinishWork(**whose)
        case Cancel():
            command = CancelWork(**whose, reason=body.reason)
        case _:
            assert_never(body)
    return await submit(request, [command], once)
