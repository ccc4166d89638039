"""The population (체류인구 × 시설물): who is where when, over facilities, and the sources that count them."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated, Literal

import polars as pl
from fastapi import Query, Request
from starlette.responses import Response

from schemas.base import EntityId
from schemas.population import Measure, SourceFacts
from schemas.siting import WALK_M_PER_MIN
from serve import openapi_population
from serve.areas import Areas
from serve.backend import View
from serve.boxes import box_of
from serve.catalogue.standing import audience_of
from serve.population import formats, reached
from serve.population.asking import asked_of, source_of
from serve.population.atlas import Atlas
from serve.population.query import Answer, Asked, Retired, answer, chosen
from serve.population.suppress import Protected, told_days
from serve.reading import Moment, frame, view_of
from serve.render import Job, Renderer
from serve.routing import router
from serve.statistics.formats import DRAWN

routes = router("population")
_IN_A_THREAD = 10**9
"""Rows that tell the renderer to use a thread."""


class Question(Moment):
    """Of what, when and where. Days are those of Asia/Seoul, and with `partial` not the whole ones alone."""

    measure: Annotated[Measure, Query(description="What is counted; the two that are called 체류인구 are two.")]
    source: Annotated[EntityId | None, Query(description="Needed where several sources have the measure.")] = None
    hours: Annotated[
        str, Query(max_length=200, description="Slots: `7-9,17-20`, `commute`, `hourly`; see docs/population.md.")
    ] = "day"
    weekday: Annotated[str | None, Query(max_length=60, description="`mon,tue`, `월,화`, `weekday`, `weekend`.")] = None
    days: Annotated[str | None, Query(max_length=21, description="`2025-06-26/2025-06-27`, both included.")] = None
    area: Annotated[
        str | None, Query(max_length=1_000, description="Codes or names of areas (읍면동), commas between.")
    ] = None
    bbox: Annotated[str | None, Query(max_length=100, description="west,south,east,north in degrees.")] = None
    cells: Annotated[
        str | None, Query(max_length=20_000, description="Cells of the 500 m grid, at most 1,000, commas between.")
    ] = None
    partial: Annotated[bool, Query(description="Take days counted in part, for the slots that they have whole.")] = (
        False
    )

    @property
    def names(self) -> list[str]:
        """The areas that are named."""
        return [one.strip() for one in self.area.split(",")] if self.area is not None else []


class PopulationQuery(Question):
    """How it is told."""

    by: Literal["cell", "area"] = "cell"
    format: formats.Format = "json"


class FacilitiesQuery(Question):
    """Over what, how far, and how it is told."""

    layer: Annotated[
        EntityId,
        Query(description="A kind of facility (`shelter`, `bridge`, …), or a dataset of points.", examples=["shelter"]),
    ]
    reach_min: Annotated[float, Query(ge=1, le=60, description="Minutes that people walk.")] = 10.0
    walk_m_per_min: Annotated[float, Query(ge=20, le=200, description="How fast; 67 is 4 km/h.")] = WALK_M_PER_MIN
    format: reached.Format = "json"


@routes.get("/v1/population", responses=openapi_population.answered(), summary="Who is where when · 체류인구")
async def get_population(request: Request, query: Annotated[PopulationQuery, Query()]) -> Response:
    """Means by cell of 500 m or by area, and by time slot, of days that were counted in whole.

    A count of one cell in one hour of one day below the source's threshold is in no sum and no mean: `hidden` says how
    many were left out, `at_most` is what the mean is under with them. Everybody sees the same.
    """
    view = await view_of(request, "population", query)
    ready = await _ready(request, query, view, areas=query.by == "area" or query.format in DRAWN)
    areas = ready.areas
    if query.by == "area":
        areas = ready.named or await _atlas(request).areas_named([])

    def produce() -> bytes:
        found = ready.answer()
        return formats.body(found, query.format, ready.told(found), areas, ready.frame, by=query.by)

    job = Job(produce, formats.TYPES[query.format], _IN_A_THREAD)
    return await _renderer(request).answer(request, view, ("/v1/population", *_key(query), *ready.key), job)


@routes.get(
    "/v1/population/facilities",
    responses=openapi_population.reached(),
    summary="People and facilities · 체류인구 × 시설물",
)
async def get_facilities(request: Request, query: Annotated[FacilitiesQuery, Query()]) -> Response:
    """People in reach of each facility on foot, and the gaps: cells with people and nothing in reach, largest first.

    `distances` says how far the ways lead along roads, and which are straight lines; each cell says it of its nearest
    facility (`method`). Small counts are hidden as everywhere.
    """
    view = await view_of(request, "population", query)
    ready = await _ready(request, query, view, areas=query.format in DRAWN)
    facilities = await view_of(request, "facility", query)
    audience = audience_of(request.state.principal)
    layer = await _atlas(request).layer(query.layer, frame(request, facilities, "facilities"), facilities, audience)
    ways = await _atlas(request).walks()
    reach = reached.Reach(query.reach_min, query.walk_m_per_min)

    def produce() -> bytes:
        graph = None if ways is None else ways[1]
        return reached.body(ready.answer(), layer, graph, reach, query.format, ready.areas, ready.frame)

    key = ("/v1/population/facilities", *_key(query), *ready.key, layer.key, None if ways is None else ways[0])
    job = Job(produce, formats.TYPES[query.format], _IN_A_THREAD)
    return await _renderer(request).answer(request, view, key, job)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A question with what its answer is made of: the source's `days`, and `counts` of those that it may rest on."""

    source: str
    facts: SourceFacts
    retired: Retired | None
    asked: Asked
    days: pl.DataFrame
    counts: Protected
    named: Areas | None
    areas: Areas | None
    frame: formats.Frame | None

    @property
    def key(self) -> tuple[Hashable, ...]:
        versions = (None if one is None else one.version for one in (self.areas, self.named))
        return (self.counts.below, *versions)

    def answer(self) -> Answer:
        return answer(self.source, self.facts, self.days, self.counts, self.asked, self.retired)

    def told(self, found: Answer) -> pl.DataFrame:
        return told_days(self.days.filter(pl.col("day").is_in(found.days)), self.counts)


async def _ready(request: Request, query: Question, view: View, *, areas: bool) -> _Ready:
    """Read the question, and fetch what is needed; `areas`: also those that the answer shows."""
    atlas, backend = _atlas(request), request.app.state.backend
    source, facts, retired = source_of(frame(request, view, "sources"), query.measure, query.source)
    named = await atlas.areas_named(query.names) if query.names else None
    asked = asked_of(
        facts,
        query.measure,
        hours=query.hours,
        weekday=query.weekday,
        days=query.days,
        within=named,
        bbox=query.bbox,
        cells=query.cells,
        partial=query.partial,
    )
    days = frame(request, view, "days").filter(pl.col("source") == source)
    wanted = days.filter(chosen(asked))
    # A threshold that was raised since holds for the past, too.
    today = frame(request, backend.view("population"), "sources").filter(pl.col("source") == source)
    below = max(facts.suppress_below, *today["suppress_below"])
    counts = await atlas.counts(wanted if query.partial else wanted.filter("whole"), below)
    box = box_of(query.bbox) if query.bbox is not None else None if named is None else named.bounds
    shown = await atlas.areas() if areas else None
    return _Ready(source, facts, retired, asked, days, counts, named, shown, box)


def _atlas(request: Request) -> Atlas:
    atlas: Atlas = request.app.state.atlas
    return atlas


def _renderer(request: Request) -> Renderer:
    renderer: Renderer = request.app.state.renderer
    return renderer


def _key(query: Question) -> tuple[Hashable, ...]:
    return tuple(query.model_dump(exclude={"as_of", "min_position"}).values())
