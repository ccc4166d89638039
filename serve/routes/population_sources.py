"""Sources of the population: who counts, what and by whom it may be seen, and the days that they tell."""

import asyncio
from datetime import date
from typing import Annotated, Any, Literal

import orjson
import polars as pl
from fastapi import Path, Query, Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import Response

from actors.population.decider import retired
from actors.population.recording import Recording, recordings
from schemas.base import EntityId, Frozen, Text
from schemas.errors import InvalidError, NotFoundError
from schemas.population import MEANINGS, RegisterSource, RetireSource, SourceFacts
from serve import openapi_population, positions
from serve.backend import Backend, View
from serve.idempotency import OnceFor
from serve.population.asking import facts_of
from serve.population.atlas import Atlas
from serve.population.report import report
from serve.population.taking import Taken, layout_of, taken
from serve.reading import MinPosition, Moment, frame, view_after, view_of
from serve.render import Job, Renderer, iso
from serve.routing import router
from serve.writing import accept, stamp, submit
from streams.codec import trace_of

routes = router("population")
Source = Annotated[EntityId, Path(description="Id of the source.", examples=["fare-card"])]
_CSV = frozenset({"text/csv", "application/csv", "application/vnd.ms-excel", "text/plain", "application/octet-stream"})
"""What senders call a CSV file."""
_PARTS = frozenset({"file", "places"})
_STORED_AT_ONCE = 8


class DaysQuery(Frozen):
    """How the file is read."""

    day: Annotated[date | None, Query(description="Of a file that does not say it.")] = None
    columns: Annotated[
        str,
        Query(max_length=500, description="Headers that are others than expected: `day:일자,hour:시간,value:인구`."),
    ] = ""
    alike: Annotated[
        Literal["add", "once"],
        Query(description="Rows that differ in the name of their place alone add up, or count once."),
    ] = "add"
    min_position: MinPosition = None


class Retirement(Frozen):
    """Why nothing more comes of a source."""

    reason: Text


@routes.get(
    "/v1/population/sources", responses=openapi_population.sources(), summary="Who counts the population · 인구 출처"
)
async def list_sources(request: Request, moment: Annotated[Moment, Query()]) -> Response:
    """Each with what it counts, what that is not, and the threshold below which its counts are hidden.

    One that is retired has `retired_at` and `retired_why`. Staff see its `days`, with exact sums: what was placed in
    cells (`total`), outside the city, unplaced, repeated.
    """
    view = await view_of(request, "population", moment)
    staff = request.state.principal.staff

    def produce() -> bytes:
        days = frame(request, view, "days").drop("earlier").with_columns(iso(pl.col(pl.Datetime))).sort("day")
        by_source = days.partition_by("source", as_dict=True, include_key=False) if staff else {}
        items = []
        for row in frame(request, view, "sources").sort("source").with_columns(iso(pl.col(pl.Datetime))).to_dicts():
            meaning = MEANINGS[facts_of(row).measure]
            told = {f"measure_{name}": getattr(meaning, name) for name in ("ko", "en", "not_ko", "not_en")}
            told |= {"unit_ko": meaning.unit_ko, "unit_en": meaning.unit_en, "day_count": row.pop("days")}
            if staff:
                of = by_source.get((row["source"],))
                told["days"] = [] if of is None else of.to_dicts()
            items.append({**row, **told})
        return orjson.dumps({"items": items, "next": None})

    return await _renderer(request).answer(request, view, ("/v1/population/sources", staff), Job(produce))


@routes.put(
    "/v1/population/sources/{source}",
    responses=openapi_population.written(),
    summary="Register a source or correct it · 출처 등록",
)
async def put_source(request: Request, source: Source, body: SourceFacts, once: OnceFor) -> Response:
    """The same facts again change nothing. Its measure stays once it has days.

    `suppress_below` is the threshold below which a count of one cell in one hour of one day is hidden from everybody:
    lowering it tells what was hidden.
    """
    return await submit(request, [RegisterSource(**stamp(request), source=source, facts=body)], once)


@routes.post(
    "/v1/population/sources/{source}/days",
    status_code=202,
    responses=openapi_population.counted(),
    openapi_extra=openapi_population.DAYS_BODY,
    summary="Tell the counts of days · 일별 집계 등록",
)
async def post_days(request: Request, source: Source, query: Annotated[DaysQuery, Query()], once: OnceFor) -> Response:
    """A CSV file as it comes from the fare-card system or a mobile operator: the body itself, or the part `file`.

    Where the places of a file (stops) have no coordinates in it, they come along as the part `places`, a CSV. The
    answer accounts for every number: placed in cells, outside the city, unplaced, repeated; and says which days are
    whole, and why others are not. The same file again changes nothing; other counts of a day replace those before.
    """
    file, places = await _parts(request)
    view = await view_after(request, "population", query.min_position)
    facts = _facts(request, view, source)
    return await accept(request, once, lambda: _record(request, source, facts, query, file, places))


@routes.post(
    "/v1/population/sources/{source}/retire",
    responses=openapi_population.written(),
    summary="Retire a source · 출처 폐기",
)
async def retire_source(request: Request, source: Source, body: Retirement, once: OnceFor) -> Response:
    """No more counts of it are taken; those that it has stay readable, and marked. Again it changes nothing."""
    return await submit(request, [RetireSource(**stamp(request), source=source, reason=body.reason)], once)


async def _record(
    request: Request, source: str, facts: SourceFacts, query: DaysQuery, file: bytes, places: bytes | None
) -> dict[str, Any]:
    atlas: Atlas = request.app.state.atlas
    backend: Backend = request.app.state.backend
    areas, stamped = await atlas.areas(), stamp(request)

    def count() -> tuple[Taken, list[Recording]]:
        city = None if areas is None else areas.city
        layout = layout_of(facts.measure, query.columns)
        found = taken(file, facts, layout, places=places, city=city, day=query.day, alike=query.alike)
        return found, list(recordings(found.counted, source, found.input, stamped["at"], stamped["by"]))

    found, made = await asyncio.to_thread(count)
    if late := [one.command.facts.day for one in made if not one.command.begun]:
        raise InvalidError(f"{late[0]} has not begun in Seoul: nothing of the file was taken; leave such rows out")
    free = asyncio.Semaphore(_STORED_AT_ONCE)

    async def store(one: Recording) -> None:
        async with free:
            await backend.put_object(one.name, one.data)

    await asyncio.gather(*map(store, made))
    # Without the key: it is kept beside the answer, and under a key each command would be to another entity.
    answer = await backend.submit([one.command for one in made], None, None, trace_of(request.headers))
    said = report(found, facts, answer.events, None if areas is None else areas.source)
    return {"position": positions.encode(answer.position), "source": source, **said}


def _facts(request: Request, view: View, source: str) -> SourceFacts:
    row = frame(request, view, "sources").filter(pl.col("source") == source)
    if row.is_empty():
        raise NotFoundError("population source", source)
    if row["retired_at"].item() is not None:
        raise retired(source)
    return facts_of(row.row(0, named=True))


async def _parts(request: Request) -> tuple[bytes, bytes | None]:
    """The file, and the places where they came along. Raises `InvalidError` for other parts."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in _CSV:
        return await request.body(), None
    if kind != "multipart/form-data":
        raise HTTPException(415, "send text/csv, or multipart/form-data with the parts `file` and `places`")
    found: dict[str, bytes] = {}
    async with request.form(max_files=len(_PARTS), max_fields=len(_PARTS)) as form:
        for name, part in form.multi_items():
            if name not in _PARTS or name in found:
                raise InvalidError(f"there is a part {name!r}: send one `file`, and one `places` where it is needed")
            found[name] = await part.read() if isinstance(part, UploadFile) else part.encode()
    if "file" not in found:
        raise InvalidError("the part `file` is missing: it is the file of counts")
    return found["file"], found.get("places")


def _renderer(request: Request) -> Renderer:
    renderer: Renderer = request.app.state.renderer
    return renderer
