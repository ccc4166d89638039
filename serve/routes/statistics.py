"""Statistics (통계): what is declared, and each over the archive and everything that came since."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated

import orjson
from fastapi import Path, Query, Request
from pydantic import model_validator
from starlette.responses import Response

from schemas.base import EntityId, Frozen
from schemas.errors import InvalidError, NotFoundError
from serve import openapi_statistics
from serve.backend import Backend
from serve.reading import QueryTime, frame
from serve.render import JSON
from serve.routes.catalogue import desk_of
from serve.routing import router
from serve.statistics import ALL
from serve.statistics.declared import Asked, Bucket
from serve.statistics.formats import DRAWN, TYPES, Format, body, described
from serve.statistics.gathering import gathered
from serve.statistics.labels import Labels, labels_of
from serve.statistics.run import QUERIES

routes = router("statistics")
DAY, FIRST = timedelta(days=1), datetime(1971, 1, 1, tzinfo=UTC)
_GONE = 499
"""Nobody reads it."""
StatisticId = Annotated[EntityId, Path(description="Id of the statistic.", examples=["readings"])]


class StatisticQuery(Frozen):
    """Of which time and entities; the last 24 hours without `start`."""

    start: Annotated[QueryTime | None, Query(description="From this moment on (RFC 3339 with zone).")] = None
    end: Annotated[QueryTime | None, Query(description="Before this moment; now without it.")] = None
    bucket: Annotated[Bucket, Query(description="Width of the buckets, by the clock of Asia/Seoul.")] = "hour"
    facility: EntityId | None = None
    sensor: EntityId | None = None
    road: EntityId | None = None
    format: Format = "json"

    @model_validator(mode="after")
    def _in_order(self) -> "StatisticQuery":
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError("the window ends before it begins: swap start and end")
        return self


@routes.get("/v1/statistics", responses=openapi_statistics.listed(), summary="What statistics there are · 통계 목록")
async def list_statistics() -> Response:
    """Each with its title, unit, denominator, source, columns, and the filters that it takes beside the window."""
    said = {"items": [described(one) for one in ALL.values()], "next": None}
    return Response(orjson.dumps(said), media_type=JSON)


@routes.get("/v1/statistics/{statistic}", responses=openapi_statistics.answered(), summary="One statistic · 통계")
async def get_statistic(
    request: Request, statistic: StatisticId, query: Annotated[StatisticQuery, Query()]
) -> Response:
    """Over the archive and everything that came since, what happened a second ago included.

    As JSON, CSV, Parquet, an Arrow stream, a Vega-Lite specification or a picture. At most 100,000 rows.
    """
    backend: Backend = request.app.state.backend
    if (told := ALL.get(statistic)) is None:
        raise NotFoundError("statistic", statistic)
    chosen = query.model_dump(include={"bucket", "facility", "sensor", "road"}, exclude_unset=True, exclude_none=True)
    if unused := chosen.keys() - told.takes:
        raise InvalidError(f"{statistic} does not take {min(unused)!r}: leave it out")
    now = backend.now()
    end = now if query.end is None else min(query.end, now)
    asked = Asked(query.start or end - DAY, end, **chosen)
    if asked.start >= asked.end:
        raise InvalidError("the window begins in the future: give an earlier start")
    if asked.start < FIRST:
        raise InvalidError(f"the window begins before {FIRST:%Y}: give a later start")
    longest = told.longest.get(asked.bucket)
    if longest is not None and asked.facility is asked.sensor is None and asked.end - asked.start > longest:
        raise InvalidError(
            f"at most {longest.days} days of all sensors by the {asked.bucket}: name one, or ask for trend"
        )
    facts = await gathered(backend, desk_of(request).areas, told, asked)
    rows = await QUERIES.collected(told.query(facts, asked), request.is_disconnected)
    if rows is None:
        return Response(status_code=_GONE)
    rows = rows.select(column.name for column in told.columns)
    data = await asyncio.to_thread(
        body, told, asked, rows, query.format, _labels(request) if query.format in DRAWN else Labels()
    )
    return Response(data, headers={"cache-control": "no-cache"}, media_type=TYPES[query.format])


def _labels(request: Request) -> Labels:
    backend: Backend = request.app.state.backend
    facilities, roads = backend.view("facility"), backend.view("road")
    return labels_of(
        frame(request, facilities, "facilities"), frame(request, facilities, "sensors"), frame(request, roads, "roads")
    )
