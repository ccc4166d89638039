"""The route of a case (이동 경로): confirmed and likely sightings on a map, and where the person could be by now."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Annotated, Literal

import orjson
import polars as pl
from fastapi import Query, Request
from starlette.responses import Response

from serve import openapi_cases, render
from serve.backend import Backend, View
from serve.casework import NO_STORE, CaseId, look, searching
from serve.charts.render import MEDIA, SCHEMA
from serve.charts.render import render as draw
from serve.charts.route import route_spec
from serve.reading import MinPosition, frame, view_after
from serve.routing import router
from serve.search.journey import FASTEST_M_S, Journey, plan
from serve.search.reach import Area, Line, Roads
from serve.search.route import last_confirmed, reach_feature, route, stops_of
from serve.seeking import places

routes = router("journeys")
VEGA = "application/vnd.vegalite.v6+json"
MOST_HOURS = 12
"""How far ahead of the last confirmed sighting the reach is drawn; behind that it is everywhere."""


@routes.get("/v1/cases/{case}/route", responses=openapi_cases.journey(), summary="The route so far · 이동 경로")
async def get_route(
    request: Request,
    case: CaseId,
    format: Annotated[Literal["geojson", "svg", "png", "vega"], Query(description="Or as a map.")] = "geojson",  # noqa: A002
    likely: Annotated[float, Query(ge=0, le=1, description="Candidates of this likelihood or more are on it.")] = 0.5,
    mode: Annotated[Literal["walk", "bus", "car"], Query(description="How the person may go on from there.")] = "walk",
    min_position: MinPosition = None,
) -> Response:
    """GeoJSON: stops and legs in order of time; `impossible` lists what nobody can have gone, with the reason.

    `left_out` lists likely stops that would be possible, but without which the route is likelier, with the reason.
    `reach` is where the person could be by now, from the last confirmed sighting along the roads that the city knows
    (`method` says `straight-line` where none is near). `format`: the same as a map, drawn or as Vega-Lite. The look is
    written into the ledger first.
    """
    backend: Backend = request.app.state.backend
    view = await view_after(request, "person", min_position)
    searching(request, view, case)
    await look(request, case, "route")
    rows = frame(request, view, "candidates").filter(pl.col("case") == case).to_dicts()
    known = places(request, backend.view("sighting"), [row["camera"] for row in rows])
    stops = stops_of(rows, known)
    area, last, seconds = None, last_confirmed(stops), 0.0
    if last is not None:
        seconds = min(max((backend.now() - last.time).total_seconds(), 0.0), MOST_HOURS * 3600)
        area = await asyncio.to_thread(
            lambda: _roads(request, backend.view("road")).within(last.lon, last.lat, seconds, FASTEST_M_S[mode])
        )
    if format != "geojson":
        names = {camera: place["name_ko"] for camera, place in known.items()}
        return await _map(format, plan(stops, likely), area, _lines(backend.view("road")), names, case)
    found = await asyncio.to_thread(route, stops, known, likely)
    found["reach"] = reach_feature(area, last, mode, seconds) if area is not None and last is not None else None
    return Response(orjson.dumps(found, option=orjson.OPT_UTC_Z), headers=NO_STORE, media_type=render.GEOJSON)


async def _map(
    form: Literal["svg", "png", "vega"],
    journey: Journey,
    area: Area | None,
    roads: Sequence[Line],
    names: dict[str, str],
    case: str,
) -> Response:
    spec = await asyncio.to_thread(route_spec, journey, area, roads, names, f"이동 경로 route · {case}")
    if form == "vega":
        return Response(orjson.dumps({"$schema": SCHEMA, **spec}), headers=NO_STORE, media_type=VEGA)
    return Response(await asyncio.to_thread(draw, spec, form), headers=NO_STORE, media_type=MEDIA[form])


def _lines(view: View) -> list[Line]:
    lines: list[Line] = view.tables["segments"]["line"].combine_chunks().to_pylist()
    return [line for line in lines if line]


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
