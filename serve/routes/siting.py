"""Siting (입지): where the next facilities of a kind should stand, for whom, and what each choice is worth."""

import asyncio
from collections.abc import Awaitable
from typing import Annotated, Any, Literal, TypeVar

import orjson
import polars as pl
from fastapi import Query, Request
from pydantic import ValidationError
from starlette.responses import Response

from schemas.errors import InvalidError
from schemas.siting import Model, Site, SitingRequest, Slot, Terms
from serve import openapi_siting
from serve.backend import Backend
from serve.boxes import box_of
from serve.catalogue.rows import Asked as AskedRows
from serve.catalogue.rows import picked
from serve.catalogue.standing import audience_of, standing_of
from serve.charts.render import render
from serve.population.asking import asked_of, source_of
from serve.population.atlas import Atlas
from serve.population.query import Answer, answer, chosen
from serve.reading import frame
from serve.render import GEOJSON
from serve.routes.catalogue import desk_of
from serve.routing import router
from serve.siting.answer import collection
from serve.siting.asked import CandidatesOf, FromDataset, FromFacilities, FromPopulation, Siting
from serve.siting.chart import chosen_map, comparison
from serve.siting.distances import Distances, Walks, distances
from serve.siting.places import candidates_of, demand_of, named, sites_of
from serve.siting.prepare import demand_places, problems, site_places
from serve.siting.problem import Problem
from serve.siting.run import Solving
from serve.statistics.formats import TYPES, VEGA

routes = router("siting")
Format = Literal["geojson", "vega", "svg", "png"]
R = TypeVar("R")
_GONE = 499
"""Nobody reads it."""


@routes.post("/v1/siting", responses=openapi_siting.answered(), summary="Where the next one should stand · 입지 분석")
async def post_siting(
    request: Request,
    body: Siting,
    format: Annotated[Format, Query(description="GeoJSON, or a picture.")] = "geojson",  # noqa: A002
    draw: Annotated[Literal["comparison", "map"], Query(description="What a picture shows.")] = "comparison",
    model: Annotated[Model | None, Query(description="Whose choice a map shows; the first without it.")] = None,
) -> Response:
    """The best of the candidates by each model, proven so where size and time allow, side by side.

    `about.models` says status, objective, bound and gap of each; `about.compared` what each choice is worth by every
    measure, and what there is now. Sites say who comes to them, demand points how far they have it before and after.
    Nothing is kept of it.
    """
    if model is not None and model not in body.models:
        raise InvalidError(f"model {model!r} is not asked for: there are {', '.join(body.models)}")
    solving: Solving = request.app.state.solving
    with solving.place():
        asked, told = await _checked(_resolved(request, body))
        atlas: Atlas = request.app.state.atlas
        ways = await atlas.walks() if asked.distance == "roads" else None
        far, posed = await asyncio.to_thread(_posed, asked, None if ways is None else ways[1])
        if (solved := await solving.solved(posed, request.is_disconnected)) is None:
            return Response(status_code=_GONE)
        solutions, measures = solved

    def produce() -> bytes:
        said = collection(asked, far, posed, solutions, measures)
        said["about"] |= told
        if format == "geojson":
            return orjson.dumps(said)
        spec = comparison(asked.kind, measures) if draw == "comparison" else chosen_map(said, model or asked.models[0])
        return orjson.dumps(spec) if format == "vega" else render(spec, "svg" if format == "svg" else "png")

    media = {"geojson": GEOJSON, "vega": VEGA}.get(format) or TYPES["svg" if format == "svg" else "png"]
    return Response(await asyncio.to_thread(produce), headers={"cache-control": "no-store"}, media_type=media)


async def _resolved(request: Request, body: Siting) -> tuple[SitingRequest, dict[str, Any]]:
    """The question with all its places, and what to say of where they come from."""
    told: dict[str, Any] = {}
    slots: tuple[Slot, ...] = body.slots
    if isinstance(body.demand, FromPopulation):
        found = await _counted(request, body.demand)
        if slots and body.demand.weights:
            raise InvalidError("demand.weights and slots both weigh: give weights in one of them")
        own, demand = await asyncio.to_thread(demand_of, found, body.demand.weights)
        if slots and [one.id for one in slots] != [one.id for one in own]:
            raise InvalidError(f"slots: the demand has the slots {', '.join(one.id for one in own)}: leave slots out")
        slots, told["demand"] = slots or own, found.described()
    else:
        demand = body.demand
    candidates = body.candidates
    if isinstance(candidates, CandidatesOf):
        rows, about = await _points(request, candidates, "candidates")
        candidates, told["candidates"] = candidates_of(rows, candidates), about
    existing = await _existing(request, body, told)
    terms = {name: getattr(body, name) for name in Terms.model_fields} | {"slots": slots}
    return SitingRequest(**terms, demand=demand, candidates=candidates, existing=existing), told


async def _existing(request: Request, body: Siting, told: dict[str, Any]) -> tuple[Site, ...]:
    existing = body.existing
    if isinstance(existing, FromFacilities):
        backend: Backend = request.app.state.backend
        table = frame(request, backend.view("facility"), "facilities")
        rows = table.filter(pl.col("kind") == existing.facilities).drop_nulls(["lon", "lat"])
        told["existing"] = {
            "facilities": existing.facilities,
            "synthetic": int((rows["synthetic"] | rows["position_synthetic"]).sum()),
        }
        return sites_of(rows.select(pl.col("facility").alias("id"), "lon", "lat"), existing.capacity)
    if isinstance(existing, FromDataset):
        rows, told["existing"] = await _points(request, existing, "existing")
        return sites_of(rows.with_columns(pl.format("기존 existing: {}", "id").alias("id")), existing.capacity)
    return existing


async def _counted(request: Request, said: FromPopulation) -> Answer:
    backend: Backend = request.app.state.backend
    atlas: Atlas = request.app.state.atlas
    view = backend.view("population")
    source, facts, retired = source_of(frame(request, view, "sources"), said.measure, said.source)
    within = await atlas.areas_named([one.strip() for one in said.area.split(",")]) if said.area is not None else None
    asked = asked_of(
        facts,
        said.measure,
        hours=said.hours,
        weekday=said.weekday,
        days=said.days,
        within=within,
        bbox=said.bbox,
        partial=said.partial,
    )
    days = frame(request, view, "days").filter(pl.col("source") == source)
    wanted = days.filter(chosen(asked))
    counts = await atlas.counts(wanted if said.partial else wanted.filter("whole"), facts.suppress_below)
    return await asyncio.to_thread(answer, source, facts, days, counts, asked, retired)


async def _points(request: Request, said: FromDataset, what: str) -> tuple[pl.DataFrame, dict[str, Any]]:
    desk = desk_of(request)
    one = standing_of(desk.standings(), said.dataset)
    found = await desk.rows(one, audience_of(request.state.principal), None, request.is_disconnected)
    rows, version = found if found is not None else (pl.DataFrame(), "")
    if rows.is_empty():
        raise InvalidError(f"{what}: dataset {said.dataset!r} holds no rows yet")
    shown = picked(rows, one.facts, AskedRows(said.where, bbox=None if said.bbox is None else box_of(said.bbox)))
    about = {
        "dataset": one.id,
        "title_ko": one.facts.title_ko,
        "source": one.facts.source,
        "version": version or None,
        "synthetic": one.facts.synthetic,
    }
    return named(shown, one.facts, said, what), about


def _posed(asked: SitingRequest, roads: Walks | None) -> tuple[Distances, list[Problem]]:
    far = distances(demand_places(asked), site_places(asked), roads, asked.detour)
    return far, problems(asked, far.metres)


async def _checked(resolving: Awaitable[R]) -> R:
    """Raises `InvalidError` where places that the city found do not fit together, or into a question."""
    try:
        return await resolving
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise InvalidError(f"{where}: {said}" if where else said) from None
