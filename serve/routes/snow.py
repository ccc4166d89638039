"""Snow (제설): what is uncleared, most urgent first; and snow events that reach many roads at once."""

from collections.abc import Sequence
from typing import Annotated

import polars as pl
from fastapi import Path, Query, Request
from starlette.responses import Response

from schemas.api import Measure, Snow, SnowChange
from schemas.base import EntityId
from schemas.errors import NotFoundError
from schemas.road import BeginSnow, ClearingState, EndSnow, MeasureSnow, Rank
from serve import openapi
from serve.idempotency import OnceFor
from serve.reading import Filters, Listing, MinPosition, Page, frame, view_after, view_of
from serve.routing import router
from serve.writing import as_first, stamp, submit

routes = router("snow")
SnowId = Annotated[EntityId, Path(description="Id of the snow event.", examples=["snow-2026-01-15"])]

_UNCLEARED = ("snowed", "planned", "under-way")


class SnowQuery(Page):
    """Which segments."""

    road: EntityId | None = None
    rank: Rank | None = None
    clearing: ClearingState | None = None


class SnowEventQuery(Page):
    """Which snow events."""

    snow: EntityId | None = None
    road: EntityId | None = None


def _by_urgency(rows: pl.DataFrame, _: Filters) -> pl.DataFrame:
    return rows.filter(pl.col("clearing") != "bare").with_columns(
        (~pl.col("clearing").is_in(_UNCLEARED)).cast(pl.Int64).alias("_cleared"),
        pl.coalesce("uncleared_since", "clearing_since").dt.epoch("us").fill_null(0).alias("_since"),
    )


_URGENCY = ("_cleared", "rank", "_since", "segment", "road")
_SEGMENTS = Listing("segments", _URGENCY, (int, str, int, str, str), prepare=_by_urgency)
_EVENTS = Listing("snow", ("snow", "road"), (str, str))


@routes.get("/v1/snow", responses=openapi.page("Segment"), summary="Segments by the urgency of clearing them")
async def list_snow(request: Request, query: Annotated[SnowQuery, Query()]) -> Response:
    """Segments that snow has reached: uncleared first, by rank of the road (101 first), then the longest waiting."""
    return await _SEGMENTS.answer(request, await view_of(request, "road", query, query.road), query)


@routes.get("/v1/snow-events", responses=openapi.page("SnowEvent"), summary="Snow events on the roads")
async def list_events(request: Request, query: Annotated[SnowEventQuery, Query()]) -> Response:
    """One item per event and road that it reached, with depth, begin and end."""
    return await _EVENTS.answer(request, await view_of(request, "road", query, query.road), query)


def _known(request: Request, table: str, roads: Sequence[str] | None, snow: str | None = None) -> list[str]:
    """The roads named, all of which must be in the table (of this event), or all that are; `NotFoundError` for none."""
    rows = frame(request, request.app.state.backend.view("road"), table)
    known = (rows if snow is None else rows.filter(pl.col("snow") == snow))["road"].sort().to_list()
    if roads is None and not known:
        raise NotFoundError("road", "*") if snow is None else NotFoundError("snow event", snow)
    if roads is None:
        return known
    if unknown := set(roads).difference(known):
        raise NotFoundError("road" if snow is None else f"snow {snow} on road", min(unknown))
    return sorted(set(roads))


@routes.post("/v1/snow", status_code=201, responses=openapi.written(201), summary="Snow reaches roads")
async def begin(request: Request, body: Snow, once: OnceFor) -> Response:
    """On the roads named, or on all: one idempotent command each, so a repeat finishes what an outage cut short."""
    roads = await as_first(request, once, lambda: _known(request, "roads", body.roads))
    stamped = stamp(request)
    commands = [
        BeginSnow(**stamped, road=road, snow=body.snow, depth_cm=body.depth_cm, synthetic=body.synthetic)
        for road in roads
    ]
    return await submit(request, commands, once, 201, f"/v1/snow-events?snow={body.snow}")


@routes.patch("/v1/snow/{snow}", responses=openapi.written(), summary="Measure or end a snow event")
async def change(
    request: Request, snow: SnowId, body: SnowChange, once: OnceFor, min_position: MinPosition = None
) -> Response:
    """On the roads named, or on all that it reached; uncleared segments stay uncleared when it ends."""
    await view_after(request, "road", min_position)
    roads = await as_first(request, once, lambda: _known(request, "snow", body.roads, snow))
    stamped = stamp(request)
    if isinstance(body, Measure):
        depth = body.depth_cm
        return await submit(
            request, [MeasureSnow(**stamped, road=road, snow=snow, depth_cm=depth) for road in roads], once
        )
    return await submit(request, [EndSnow(**stamped, road=road, snow=snow) for road in roads], once)
