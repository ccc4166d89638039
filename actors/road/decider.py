"""The road's decider: what a command leads to, and what an event changes."""

from datetime import datetime, timedelta
from typing import assert_never

from actors.road.state import Clearing, Road, Segment, Snow, State, Work
from actors.road.status import changes_after
from schemas.base import from_micros, micros
from schemas.errors import ConflictError, InvalidError, NotFoundError
from schemas.road import (
    BeginSnow,
    CancelWork,
    ClearingChanged,
    ClearingRow,
    EndSnow,
    ExtendWork,
    FinishWork,
    MeasureSnow,
    PermitWork,
    RegisterRoad,
    RoadEvent,
    RoadFacts,
    RoadRegistered,
    SetClearing,
    SnowBegan,
    SnowEnded,
    SnowMeasured,
    StartWork,
    WorkCancelled,
    WorkExtended,
    WorkFinished,
    WorkPermitted,
    WorkStarted,
)

AnyRoadCommand = (
    RegisterRoad
    | PermitWork
    | StartWork
    | ExtendWork
    | FinishWork
    | CancelWork
    | BeginSnow
    | MeasureSnow
    | EndSnow
    | SetClearing
)

FUTURE = timedelta(minutes=5)
"""How far a source's clock may run ahead. Without a bound one wrong date would block a segment's later reports."""


def decide(state: State, command: AnyRoadCommand) -> list[RoadEvent]:  # noqa: C901, PLR0911 - a line per command
    """The events that a command leads to; `[]` when it is already so. Changes nothing.

    Raises `NotFoundError`, `ConflictError` or `InvalidError` for a request that is impossible now.
    """
    match command:
        case RegisterRoad():
            return _register(state, command)
        case PermitWork():
            return _permit(state, command)
        case StartWork():
            return _start(state, command)
        case ExtendWork():
            return _extend(state, command)
        case FinishWork():
            return _finish(state, command)
        case CancelWork():
            return _cancel(state, command)
        case BeginSnow():
            return _begin_snow(state, command)
        case MeasureSnow():
            return _measure_snow(state, command)
        case EndSnow():
            return _end_snow(state, command)
        case SetClearing():
            return decide_clearing(state, command.road, command, command.at)
        case _:
            assert_never(command)


def decide_clearing(state: State, road: str, row: ClearingRow, at: datetime) -> list[RoadEvent]:
    """What one report on a segment of `road` leads to at `at`; `[]` unless it is greater than the known (`Clearing`).

    Raises `NotFoundError` for a segment that is not the road's, `InvalidError` for a change in the future.
    """
    _road(state, road)
    known = _segment(state, road, row.segment)
    if row.changed_at > at + FUTURE:
        ahead = f"changed_at {row.changed_at.isoformat()} lies more than 5 minutes ahead of {at.isoformat()}"
        raise InvalidError(ahead)
    if Clearing.of(row) <= known.clearing:
        return []
    return _with_status(
        state,
        ClearingChanged(
            at=at,
            road=road,
            segment=row.segment,
            state=row.state,
            was=known.clearing.state,
            changed_at=row.changed_at,
            window=row.window,
            source=row.source,
            source_state=row.source_state,
        ),
    )


def _register(state: State, command: RegisterRoad) -> list[RoadEvent]:
    facts = command.facts
    for segment in facts.segments:
        known = state.segments.get(segment.segment)
        if known is not None and known.road != command.road:
            raise ConflictError(f"segment {segment.segment!r} belongs to road {known.road!r}: give it another id")
    before = _facts(state, command.road)
    segments = {segment.segment: segment for segment in (*(before.segments if before else ()), *facts.segments)}
    after = facts.model_copy(update={"segments": tuple(segments.values())})
    return [] if after == before else [RoadRegistered(at=command.at, road=command.road, facts=after)]


def _permit(state: State, command: PermitWork) -> list[RoadEvent]:
    road = _road(state, command.road)
    segments = tuple(dict.fromkeys(command.segments))
    for segment in segments:
        _segment(state, command.road, segment)
    permit = WorkPermitted(segments=segments, **{k: v for k, v in command if k not in {"by", "segments"}})
    if (known := road.works.get(command.work)) is None:
        return [permit]
    if known.permit.model_copy(update={"at": command.at}) != permit:
        raise ConflictError(f"work {command.work!r} is permitted with other facts: use another id, or extend it")
    return []


def _start(state: State, command: StartWork) -> list[RoadEvent]:
    work = _work(state, command.road, command.work)
    if work.state == "started":
        return []
    if work.state != "permitted":
        raise ConflictError(f"work {command.work!r} is {work.state} and cannot start")
    early_s = (work.permit.window.start - command.at).total_seconds()
    segments = work.permit.segments
    started = WorkStarted(at=command.at, road=command.road, work=command.work, segments=segments, early_s=early_s)
    return _with_status(state, started)


def _extend(state: State, command: ExtendWork) -> list[RoadEvent]:
    work = _work(state, command.road, command.work)
    until = micros(command.until)
    if work.state in {"finished", "cancelled"}:
        raise ConflictError(f"work {command.work!r} is {work.state} and cannot be extended")
    if until < work.window_end:
        end = from_micros(work.window_end).isoformat()
        raise ConflictError(f"work {command.work!r} may last until {end} already: an extension ends later")
    if until == work.window_end:
        return []
    until_at, reason = command.until, command.reason
    return [WorkExtended(at=command.at, road=command.road, work=command.work, until=until_at, reason=reason)]


def _finish(state: State, command: FinishWork) -> list[RoadEvent]:
    work = _work(state, command.road, command.work)
    if work.state == "finished":
        return []
    if work.state != "started":
        raise ConflictError(f"work {command.work!r} is {work.state}: only a started work can finish")
    late_s = (command.at - from_micros(work.window_end)).total_seconds()
    segments = work.permit.segments
    finished = WorkFinished(at=command.at, road=command.road, work=command.work, segments=segments, late_s=late_s)
    return _with_status(state, finished)


def _cancel(state: State, command: CancelWork) -> list[RoadEvent]:
    work = _work(state, command.road, command.work)
    if work.state == "cancelled":
        return []
    if work.state != "permitted":
        raise ConflictError(f"work {command.work!r} is {work.state}: only a work that has not begun can be cancelled")
    return [WorkCancelled(at=command.at, road=command.road, work=command.work, reason=command.reason)]


def _begin_snow(state: State, command: BeginSnow) -> list[RoadEvent]:
    known = _road(state, command.road).snow.get(command.snow)
    if known is None:
        facts = {k: v for k, v in command if k != "by"}
        return _with_status(state, SnowBegan(**facts))
    if (known.first_depth_cm, known.synthetic) != (command.depth_cm, command.synthetic):
        raise ConflictError(f"snow event {command.snow!r} began with other facts: measure it, or use another id")
    return []


def _measure_snow(state: State, command: MeasureSnow) -> list[RoadEvent]:
    snow = _snow(state, command.road, command.snow)
    if snow.ended_at is not None:
        raise ConflictError(f"snow event {command.snow!r} has ended on road {command.road!r}: begin another")
    if snow.depth_cm == command.depth_cm:
        return []
    return [SnowMeasured(at=command.at, road=command.road, snow=command.snow, depth_cm=command.depth_cm)]


def _end_snow(state: State, command: EndSnow) -> list[RoadEvent]:
    if _snow(state, command.road, command.snow).ended_at is not None:
        return []
    return [SnowEnded(at=command.at, road=command.road, snow=command.snow)]


def _with_status(state: State, event: RoadEvent) -> list[RoadEvent]:
    return [event, *changes_after(state, event)]


def _facts(state: State, road_id: str) -> RoadFacts | None:
    if (road := state.roads.get(road_id)) is None:
        return None
    segments = tuple(state.segments[segment].facts for segment in road.segments)
    name_ko, name_en, rank = road.name_ko, road.name_en, road.rank
    return RoadFacts(name_ko=name_ko, name_en=name_en, rank=rank, segments=segments, synthetic=road.synthetic)


def _road(state: State, road: str) -> Road:
    if (known := state.roads.get(road)) is None:
        raise NotFoundError("road", road)
    return known


def _segment(state: State, road: str, segment: str) -> Segment:
    known = state.segments.get(segment)
    if known is None or known.road != road:
        raise NotFoundError(f"segment of road {road!r}", segment)
    return known


def _work(state: State, road: str, work: str) -> Work:
    if (known := _road(state, road).works.get(work)) is None:
        raise NotFoundError(f"work on road {road!r}", work)
    return known


def _snow(state: State, road: str, snow: str) -> Snow:
    if (known := _road(state, road).snow.get(snow)) is None:
        raise NotFoundError(f"snow event on road {road!r}", snow)
    return known
