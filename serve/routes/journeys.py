"""The route of a case (이동 경로): confirmed and likely sightings on a map, and where the person could be by now."""

import asyncio
import hashlib
from typing import Annotated, Literal

import orjson
import polars as pl
from fastapi import Query, Request
from starlette.responses import Response

from serve import openapi_cases, render
from serve.backend import Backend, View
from serve.casework import NO_STORE, CaseId, look, searching
from serve.reading import MinPosition, frame, view_after
from serve.routing import router
from serve.search.journey import FASTEST_M_S
from serve.search.reach import Roads
from serve.search.route import last_confirmed, reach_feature, route, stops_of
from serve.seeking import places

routes = router("journeys")
MOST_HOURS = 12
"""How far ahead of the last confirmed sighting the reach is drawn; behind that it is everywhere."""


@routes.get("/v1/cases/{case}/route", responses=openapi_cases.journey(), summary="The route so far · 이동 경로")
async def get_route(
    request: Request,
    case: CaseId,
    likely: Annotated[float, Query(ge=0, le=1, description="Candidates of this likelihood or more are on it.")] = 0.5,
    mode: Annotated[Literal["walk", "bus", "car"], Query(description="How the person may go on from there.")] = "walk",
    min_position: MinPosition = None,
) -> Response:
    """GeoJSON: stops and legs in order of time; `impossible` lists what nobody can have gone, with the reason.

    `reach` is where the person could be by now, from the last confirmed sighting along the roads that the city knows
    (`method` says `straight-line` where none is near). The look is written into the ledger first.
    """
    backend: Backend = request.app.state.backend
    view = await view_after(request, "person", min_position)
    searching(request, view, case)
    await look(request, case, "route")
    rows = frame(request, view, "candidates").filter(pl.col("case") == case).to_dicts()
    known = places(request, backend.view("sighting"), [row["camera"] for row in rows])
    stops = stops_of(rows, known)
    found = await asyncio.to_thread(route, stops, known, likely)
    found["reach"] = None
    if (last := last_confirmed(stops)) is not None:
        seconds = min(max((backend.now() - last.time).total_seconds(), 0.0), MOST_HOURS * 3600)
        area = await asyncio.to_thread(
            lambda: _roads(request, backend.view("road")).within(last.lon, last.lat, seconds, FASTEST_M_S[mode])
        )
        found["reach"] = reach_feature(area, last, mode, seconds)
    return Response(orjson.dumps(found, option=orjson.OPT_UTC_Z), headers=NO_STORE, media_type=render.GEOJSON)


def _roads(request: Request, view: View) -> Roads:
    """The graph of the city's roads, made anew when their lines have changed."""
    lines = view.tables["segments"]["line"].combine_chunks()
    digest = hashlib.blake2b(str(len(lines)).encode())
    for buffer in lines.buffers():
        digest.update(buffer or b"")
    known: tuple[bytes, Roads] | None = getattr(request.app.state, "ways", None)
    if known is None or known[0] != digest.digest():
        known = request.app.state.ways = digest.digest(), Roads(lines.to_pylist())
    return known[1]
