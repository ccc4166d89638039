"""Facilities: their state with sensors, alarms and the reasons for the risk; and the commands that configure them."""

from typing import Annotated

import polars as pl
from fastapi import Path, Query, Request
from starlette.responses import Response

from schemas.api import Calibration, Maintenance, Replacement
from schemas.base import EntityId
from schemas.errors import NotFoundError
from schemas.facility import (
    BeginMaintenance,
    CalibrateSensor,
    ChangeThresholds,
    EndMaintenance,
    FacilityFacts,
    FacilityKind,
    Limits,
    RegisterFacility,
    RegisterSensor,
    ReplaceSensor,
    Risk,
    SensorFacts,
)
from serve import openapi, render
from serve.history import History, events_of
from serve.idempotency import OnceFor
from serve.reading import Listing, Moment, Page, answer, frame, view_of
from serve.routes.alarms import HIDDEN as ALARMS_HIDDEN
from serve.routing import router
from serve.unique import refuse_taken
from serve.writing import stamp, submit

routes = router("facilities")
Facility = Annotated[EntityId, Path(description="Id of the facility.", examples=["soyang-bridge-1"])]
Sensor = Annotated[EntityId, Path(description="Id of the sensor.", examples=["soyang-bridge-1-tilt-1"])]


class FacilityQuery(Page):
    """Which facilities."""

    kind: FacilityKind | None = None
    risk: Risk | None = None


_LISTING = Listing("facilities", ("facility",))


@routes.get("/v1/facilities", responses=openapi.page("Facility"), summary="Facilities with their risk level")
async def list_facilities(request: Request, query: Annotated[FacilityQuery, Query()]) -> Response:
    """All facilities by id, or those of a kind or risk level."""
    return await _LISTING.answer(request, await view_of(request, "facility", query), query)


@routes.get("/v1/facilities/{facility}", responses=openapi.one("FacilityState"), summary="One facility's state")
async def get_facility(request: Request, facility: Facility, moment: Annotated[Moment, Query()]) -> Response:
    """Its facts, sensors and alarms, its risk level and why (`reasons`) since when (`risk_since`)."""
    view = await view_of(request, "facility", moment, facility)
    hidden = [] if request.state.principal.staff else ALARMS_HIDDEN

    def produce() -> bytes:
        mine = pl.col("facility") == facility
        row = frame(request, view, "facilities").filter(mine)
        if row.is_empty():
            raise NotFoundError("facility", facility)
        sensors = render.json_rows(frame(request, view, "sensors").filter(mine).sort("sensor"))
        alarms = render.json_rows(frame(request, view, "alarms").filter(mine).drop(hidden).sort("alarm"))
        return b'%b,"sensors":%b,"alarms":%b}' % (render.json_row(row)[:-1], sensors, alarms)

    return await answer(request, view, (facility, not hidden), produce)


@routes.get(
    "/v1/facilities/{facility}/history",
    responses=openapi.json_page("HistoryItem", tagged=True),
    summary="What happened to a facility",
)
async def facility_history(request: Request, facility: Facility, asked: Annotated[History, Query()]) -> Response:
    """Its events, oldest first; without a token those that are public, as downstream apps see them."""
    return await events_of(request, "facility", facility, asked)


@routes.put("/v1/facilities/{facility}", responses=openapi.written(), summary="Register a facility or change it")
async def put_facility(request: Request, facility: Facility, body: FacilityFacts, once: OnceFor) -> Response:
    """The same facts again change nothing."""
    return await submit(request, [RegisterFacility(**stamp(request), facility=facility, facts=body)], once)


@routes.put(
    "/v1/facilities/{facility}/sensors/{sensor}", responses=openapi.written(), summary="Register a sensor or change it"
)
async def put_sensor(
    request: Request, facility: Facility, sensor: Sensor, body: SensorFacts, once: OnceFor
) -> Response:
    """The same facts again change nothing. Sensor ids are unique in the city: one of another facility is 409."""
    refuse_taken(request, "facility", "sensors", "sensor", [sensor], facility)
    command = RegisterSensor(**stamp(request), facility=facility, sensor=sensor, facts=body)
    return await submit(request, [command], once)


@routes.put(
    "/v1/facilities/{facility}/sensors/{sensor}/thresholds",
    responses=openapi.written(),
    summary="Replace all limits of a sensor",
)
async def put_thresholds(request: Request, facility: Facility, sensor: Sensor, body: Limits, once: OnceFor) -> Response:
    """An alarm whose limit goes away returns to normal; a limit that is exceeded now raises now."""
    command = ChangeThresholds(**stamp(request), facility=facility, sensor=sensor, limits=body.limits)
    return await submit(request, [command], once)


@routes.put(
    "/v1/facilities/{facility}/sensors/{sensor}/calibration", responses=openapi.written(), summary="Calibrate a sensor"
)
async def put_calibration(
    request: Request, facility: Facility, sensor: Sensor, body: Calibration, once: OnceFor
) -> Response:
    """From now on value = gain × raw + offset."""
    command = CalibrateSensor(**stamp(request), facility=facility, sensor=sensor, gain=body.gain, offset=body.offset)
    return await submit(request, [command], once)


@routes.put(
    "/v1/facilities/{facility}/sensors/{sensor}/replacement", responses=openapi.written(), summary="Replace a sensor"
)
async def put_replacement(
    request: Request, facility: Facility, sensor: Sensor, body: Replacement, once: OnceFor
) -> Response:
    """A new instrument: its sequence, boot and statistics start anew."""
    command = ReplaceSensor(**stamp(request), facility=facility, sensor=sensor, serial=body.serial)
    return await submit(request, [command], once)


@routes.post("/v1/facilities/{facility}/maintenance", responses=openapi.written(), summary="Begin maintenance")
async def begin_maintenance(request: Request, facility: Facility, body: Maintenance, once: OnceFor) -> Response:
    """New alarms are suppressed until it ends."""
    command = BeginMaintenance(**stamp(request), facility=facility, reason=body.reason)
    return await submit(request, [command], once)


@routes.delete("/v1/facilities/{facility}/maintenance", responses=openapi.written(), summary="End maintenance")
async def end_maintenance(request: Request, facility: Facility, once: OnceFor) -> Response:
    """A limit that is exceeded now raises now."""
    return await submit(request, [EndMaintenance(**stamp(request), facility=facility)], once)
