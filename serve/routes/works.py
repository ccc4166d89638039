"""Works (도로 굴착): permitted → started → extended → finished, early and late."""

from typing import Annotated, assert_never

import polars as pl
from fastapi import Path, Query, Request
from starlette.responses import Response

from schemas.api import Cancel, Extend, Finish, Start, Work, WorkChange
from schemas.base import EntityId
from schemas.road import CancelWork, ExtendWork, FinishWork, PermitWork, StartWork, WorkCommand, WorkState
from serve import openapi
from serve.idempotency import OnceFor
from serve.reading import Filters, Listing, MinPosition, Page, QueryTime, view_after, view_of
from serve.routing import router
from serve.unique import owner_of, refuse_taken
from serve.writing import stamp, submit

routes = router("works")
HIDDEN = ("operator",)
"""Columns for staff alone: who digs may be a person; the public feed leaves it out too."""

WorkId = Annotated[EntityId, Path(description="Id of the work.", examples=["work-2026-17"])]


WhichRoad = Annotated[
    EntityId | None, Query(description="Its road; needed only where two roads have a work of this id (else 409).")
]


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


_LISTING = Listing("works", ("work", "road"), (str, str), hidden=HIDDEN, prepare=_active)


@routes.get("/v1/works", responses=openapi.page("Work"), summary="Works on the roads")
async def list_works(request: Request, query: Annotated[WorkQuery, Query()]) -> Response:
    """What digs where since when until when, by id."""
    return await _LISTING.answer(request, await view_of(request, "road", query, query.road), query)


@routes.post("/v1/works", status_code=201, responses=openapi.written(201), summary="Permit a work")
async def permit(request: Request, body: Work, once: OnceFor) -> Response:
    """The same permit again changes nothing; another under the same id is 409, also on another road."""
    refuse_taken(request, "road", "works", "work", [body.work], body.road)
    command = PermitWork(**stamp(request), **dict(body))
    return await submit(request, [command], once, 201, f"/v1/works?road={body.road}")


@routes.patch("/v1/works/{work}", responses=openapi.written(), summary="Start, extend, finish or cancel a work")
async def change_work(
    request: Request,
    work: WorkId,
    body: WorkChange,
    once: OnceFor,
    min_position: MinPosition = None,
    road: WhichRoad = None,
) -> Response:
    """Give the permit's position as `min_position` to act on a work permitted a moment ago."""
    view = await view_after(request, "road", min_position)
    whose = {**stamp(request), "road": owner_of(request, view, "works", "work", work, road), "work": work}
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
