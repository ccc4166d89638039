"""The latest value of all sensors in one read."""

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from schemas.base import EntityId
from schemas.facility import SensorKind
from serve import openapi
from serve.reading import Listing, Whole, view_of
from serve.routing import router

routes = router("sensors")


class SensorQuery(Whole):
    """Which sensors."""

    facility: EntityId | None = None
    kind: SensorKind | None = None
    stale: bool | None = None


_LISTING = Listing("sensors", ("sensor", "facility"), (str, str))


@routes.get("/v1/sensors/latest", responses=openapi.page("Sensor"), summary="Latest values of all sensors")
async def latest(request: Request, query: Annotated[SensorQuery, Query()]) -> Response:
    """Every sensor by id with its latest value, quality, level and statistics; all in one answer without `limit`."""
    return await _LISTING.answer(request, await view_of(request, "facility", query, query.facility), query)
