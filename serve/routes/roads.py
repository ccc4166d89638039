"""Roads as GeoJSON segments with their status, one road with its works and snow, and the commands on them."""

from typing import Annotated

import orjson
import polars as pl
from fastapi import Path, Query, Request
from starlette.responses import Response

from schemas.api import Clearing
from schemas.api import Road as RoadBody
from schemas.base import EntityId
from schemas.errors import NotFoundError
from schemas.road import ClearingState, Rank, RegisterRoad, SegmentStatus, SetClearing
from serve import openapi, render
from serve.history import History, events_of
from serve.idempotency import OnceFor
from serve.reading import Listing, Moment, Whole, answer, frame, view_of
from serve.routes.works import HIDDEN as WORKS_HIDDEN
from serve.routing import router
from serve.unique import refuse_taken
from serve.writing import stamp, submit

routes = router("roads")
Road = Annotated[EntityId, Path(description="Id of the road.", examples=["jungang-ro"])]
Segment = Annotated[EntityId, Path(description="Id of the segment.", examples=["jungang-ro-1"])]


class SegmentQuery(Whole):
    """Which segments."""

    road: EntityId | None = None
    rank: Rank | None = None
    status: SegmentStatus | None = None
    clearing: ClearingState | None = None


def _features(rows: pl.DataFrame) -> bytes:
    line = pl.col("line")
    geometry = pl.struct(pl.lit("LineString").alias("type"), line.alias("coordinates"))
    rows = rows.with_columns(render.iso(pl.col(pl.Datetime)))
    return render.json_rows(
        rows.select(
            pl.lit("Feature").alias("type"),
            pl.col("segment").alias("id"),
            pl.when(line.list.len() > 1).then(geometry).otherwise(None).alias("geometry"),
            pl.struct(pl.exclude("line")).alias("properties"),
        )
    )


def _collection(rows: pl.DataFrame, following: str | None) -> bytes:
    return b'{"type":"FeatureCollection","features":%b,"next":%b}' % (_features(rows), orjson.dumps(following))


_LISTING = Listing("segments", ("segment", "road"), (str, str), page=_collection, media_type=render.GEOJSON)


@routes.get("/v1/roads", responses=openapi.collection("Segment"), summary="Road segments with their status")
async def list_segments(request: Request, query: Annotated[SegmentQuery, Query()]) -> Response:
    """A GeoJSON FeatureCollection, by segment id; `geometry` is null where none is known. All without `limit`."""
    return await _LISTING.answer(request, await view_of(request, "road", query, query.road), query)


@routes.get("/v1/roads/{road}", responses=openapi.one("RoadState"), summary="One road's state")
async def get_road(request: Request, road: Road, moment: Annotated[Moment, Query()]) -> Response:
    """Its facts, the status of each segment and why, its works and its snow events."""
    view = await view_of(request, "road", moment, road)
    staff = request.state.principal.staff

    def produce() -> bytes:
        mine = pl.col("road") == road
        row = frame(request, view, "roads").filter(mine)
        if row.is_empty():
            raise NotFoundError("road", road)
        segments = render.json_rows(frame(request, view, "segments").filter(mine).sort("segment"))
        works = frame(request, view, "works").filter(mine).sort("work").drop([] if staff else WORKS_HIDDEN)
        snow = render.json_rows(frame(request, view, "snow").filter(mine).sort("snow"))
        return b'%b,"segments":%b,"works":%b,"snow":%b}' % (
            render.json_row(row)[:-1],
            segments,
            render.json_rows(works),
            snow,
        )

    return await answer(request, view, (road, staff), produce)


@routes.get(
    "/v1/roads/{road}/history",
    responses=openapi.json_page("HistoryItem", tagged=True),
    summary="What happened to a road",
)
async def road_history(request: Request, road: Road, asked: Annotated[History, Query()]) -> Response:
    """Its events, oldest first; without a token those that are public, as downstream apps see them."""
    return await events_of(request, "road", road, asked)


@routes.put("/v1/roads/{road}", responses=openapi.written(), summary="Register a road or change it")
async def put_road(request: Request, road: Road, body: RoadBody, once: OnceFor) -> Response:
    """The same facts again change nothing; segments are added or changed, never removed.

    A request brings at most 2,000 segments, each with a line of at most 2,000 points. Segment ids are unique in the
    city: one of another road is 409.
    """
    refuse_taken(request, "road", "segments", "segment", [one.segment for one in body.segments], road)
    return await submit(request, [RegisterRoad(**stamp(request), road=road, facts=body)], once)


@routes.patch(
    "/v1/roads/{road}/segments/{segment}", responses=openapi.written(), summary="Set a segment's clearing state"
)
async def set_clearing(request: Request, road: Road, segment: Segment, body: Clearing, once: OnceFor) -> Response:
    """An older change than the one known changes nothing."""
    stamped = stamp(request)
    command = SetClearing(
        **stamped,
        road=road,
        segment=segment,
        state=body.state,
        changed_at=body.changed_at or stamped["at"],
        window=body.window,
        source=body.source,
        source_state=body.source_state,
    )
    return await submit(request, [command], once)
