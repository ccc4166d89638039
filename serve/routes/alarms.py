"""Alarms: the list, and their life cycle after ISA-18.2."""

from typing import Annotated, Literal

from fastapi import Path, Query, Request
from starlette.responses import Response

from schemas.api import Judgement, Note, Shelving
from schemas.base import EntityId
from schemas.facility import AcknowledgeAlarm, ClearAlarm, JudgeAlarm, Level, ShelveAlarm, UnshelveAlarm
from serve import openapi
from serve.idempotency import OnceFor
from serve.reading import Listing, Page, view_of
from serve.routing import router
from serve.unique import owner_of
from serve.writing import stamp, submit

routes = router("alarms")
HIDDEN = ("acknowledged_by", "shelved_by")
"""Columns that name people: for staff alone."""

Alarm = Annotated[
    str,
    Path(
        max_length=160,
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}\.[a-z-]+\.\d{1,18}$",
        description="`<sensor>.<condition>-<level>.<occurrence>`",
        examples=["soyang-bridge-1-tilt-1.high-danger.1"],
    ),
]


Which = Annotated[
    EntityId | None,
    Query(description="Its facility; needed only where two facilities have a sensor of this id (else 409)."),
]


class AlarmQuery(Page):
    """Which alarms."""

    facility: EntityId | None = None
    level: Level | None = None
    state: Literal["active", "acknowledged", "returned"] | None = None


_NO_NOTE = Note()
_LISTING = Listing("alarms", ("alarm", "facility"), (str, str), hidden=HIDDEN)


@routes.get("/v1/alarms", responses=openapi.page("Alarm"), summary="Alarms on the list")
async def list_alarms(request: Request, query: Annotated[AlarmQuery, Query()]) -> Response:
    """Raised and not yet cleared, by id: active, acknowledged, or returned to normal unacknowledged."""
    return await _LISTING.answer(request, await view_of(request, "facility", query, query.facility), query)


def _facility_of(request: Request, alarm: str, named: str | None) -> str:
    # By the sensor, not the alarm: a cleared alarm has left the list, and acting on it again must change nothing.
    view = request.app.state.backend.view("facility")
    return owner_of(request, view, "sensors", "sensor", alarm.partition(".")[0], named)


@routes.post("/v1/alarms/{alarm}/acknowledge", responses=openapi.written(), summary="Acknowledge an alarm")
async def acknowledge(
    request: Request, alarm: Alarm, once: OnceFor, body: Note = _NO_NOTE, facility: Which = None
) -> Response:
    """An operator has seen it; once it has also returned to normal it leaves the list."""
    whose = _facility_of(request, alarm, facility)
    command = AcknowledgeAlarm(**stamp(request), facility=whose, alarm=alarm, note=body.note)
    return await submit(request, [command], once)


@routes.post("/v1/alarms/{alarm}/shelve", responses=openapi.written(), summary="Silence an alarm for a time")
async def shelve(request: Request, alarm: Alarm, body: Shelving, once: OnceFor, facility: Which = None) -> Response:
    """It counts into no risk until then; at most 7 days ahead."""
    whose = _facility_of(request, alarm, facility)
    command = ShelveAlarm(**stamp(request), facility=whose, alarm=alarm, until=body.until, reason=body.reason)
    return await submit(request, [command], once)


@routes.post("/v1/alarms/{alarm}/unshelve", responses=openapi.written(), summary="End the silence of an alarm")
async def unshelve(request: Request, alarm: Alarm, once: OnceFor, facility: Which = None) -> Response:
    """Before its time."""
    whose = _facility_of(request, alarm, facility)
    return await submit(request, [UnshelveAlarm(**stamp(request), facility=whose, alarm=alarm)], once)


@routes.post("/v1/alarms/{alarm}/clear", responses=openapi.written(), summary="Take an alarm off the list")
async def clear(
    request: Request, alarm: Alarm, once: OnceFor, body: Note = _NO_NOTE, facility: Which = None
) -> Response:
    """Only one that has returned to normal; 409 while its condition lasts."""
    whose = _facility_of(request, alarm, facility)
    command = ClearAlarm(**stamp(request), facility=whose, alarm=alarm, note=body.note)
    return await submit(request, [command], once)


@routes.post("/v1/alarms/{alarm}/judge", responses=openapi.written(), summary="Say whether an alarm was real or false")
async def judge(request: Request, alarm: Alarm, body: Judgement, once: OnceFor, facility: Which = None) -> Response:
    """At any time after it was raised, also when it was cleared long ago; the newest verdict counts.

    It changes neither the list nor the risk: statistics tell the share of false alarms by it. The same verdict again
    changes nothing; of an alarm that was cleared it is told again.
    """
    whose = _facility_of(request, alarm, facility)
    command = JudgeAlarm(**stamp(request), facility=whose, alarm=alarm, verdict=body.verdict, note=body.note)
    return await submit(request, [command], once)
