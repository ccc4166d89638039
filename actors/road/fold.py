"""The road's fold: what each event changes in the state of a shard. It never raises and never judges."""

from actors.road.state import STAGES, UNCLEARED, Clearing, Road, Segment, Snow, State, Work
from actors.road.status import is_lagging
from schemas.base import Event, micros
from schemas.road import (
    ClearingChanged,
    RoadEvent,
    RoadRegistered,
    SegmentStatusChanged,
    SnowBegan,
    SnowEnded,
    SnowMeasured,
    WorkCancelled,
    WorkExtended,
    WorkFinished,
    WorkPermitted,
    WorkStarted,
)


def initial_state() -> State:
    """The state of a shard without roads."""
    return State()


def evolve(state: State, event: Event) -> None:
    """Apply one event in place. An event about something that no event made known changes nothing."""
    if isinstance(event, RoadRegistered):
        _register(state, event)
    elif isinstance(event, RoadEvent) and (road := state.roads.get(event.road)) is not None:
        if isinstance(event, ClearingChanged | SegmentStatusChanged):
            _evolve_segment(state, event)
        elif isinstance(event, SnowBegan | SnowMeasured | SnowEnded):
            _evolve_snow(state, road, event)
        else:
            _evolve_work(state, road, event)


def _register(state: State, event: RoadRegistered) -> None:
    facts = event.facts
    road = state.roads.setdefault(event.road, Road(facts.name_ko, facts.name_en, facts.rank, facts.synthetic))
    road.name_ko, road.name_en, road.rank, road.synthetic = facts.name_ko, facts.name_en, facts.rank, facts.synthetic
    for segment in facts.segments:
        known = state.segments.get(segment.segment)
        if known is None:
            state.segments[segment.segment] = Segment(event.road, segment)
            road.segments.append(segment.segment)
        else:
            known.facts = segment
        state.touch("segment", event.road, segment.segment)
    state.touch("road", event.road, event.road)


def _evolve_segment(state: State, event: ClearingChanged | SegmentStatusChanged) -> None:
    if (segment := state.segments.get(event.segment)) is None:
        return
    if isinstance(event, ClearingChanged):
        _report(state, segment, Clearing.of(event))
        if event.state == "cleared":
            segment.last_cleared_at = segment.clearing.changed_at
    else:
        segment.status, segment.status_since = event.status, micros(event.at)
    _changed(state, segment)


def _report(state: State, segment: Segment, report: Clearing) -> None:
    waited, segment.clearing = segment.clearing.state in UNCLEARED, report
    if report.state not in UNCLEARED:
        segment.uncleared_since = None
    elif state.version > 1 and not waited:
        segment.uncleared_since = report.changed_at


def _evolve_snow(state: State, road: Road, event: SnowBegan | SnowMeasured | SnowEnded) -> None:
    snow = road.snow.get(event.snow)
    if isinstance(event, SnowBegan):
        road.snow[event.snow] = Snow(event.depth_cm, event.depth_cm, micros(event.at), event.synthetic)
        for segment in (state.segments[segment] for segment in road.segments):
            # Later than any report, also where a source's clock runs ahead: a repeat of that report must not undo it.
            since = max(micros(event.at), segment.clearing.changed_at + 1)
            _report(state, segment, Clearing(since, STAGES.index("snowed")))
            _changed(state, segment)
    elif snow is None:
        return
    elif isinstance(event, SnowMeasured):
        snow.depth_cm = event.depth_cm
    else:
        snow.ended_at = micros(event.at)
    state.touch("snow", event.road, event.snow)


def _evolve_work(state: State, road: Road, event: RoadEvent) -> None:
    if isinstance(event, WorkPermitted):
        road.works[event.work] = Work(event, micros(event.window.end))
        state.touch("work", event.road, event.work)
        return
    if not isinstance(event, WorkStarted | WorkExtended | WorkFinished | WorkCancelled):
        return
    if (work := road.works.get(event.work)) is None:
        return
    match event:
        case WorkStarted():
            work.state, work.started_at, work.early_s = "started", micros(event.at), event.early_s
        case WorkExtended():
            work.window_end, work.extensions = micros(event.until), work.extensions + 1
        case WorkFinished():
            work.state, work.finished_at, work.late_s = "finished", micros(event.at), event.late_s
        case WorkCancelled():
            work.state = "cancelled"
    hinder(state, event.work, work)
    state.touch("work", event.road, event.work)


def hinder(state: State, work_id: str, work: Work) -> None:
    """Make the segments of a work say whether it hinders traffic on them now."""
    hinders = work.state == "started" and work.permit.impact != "none"
    for segment in (state.segments[segment] for segment in work.permit.segments if segment in state.segments):
        others = {other for other in segment.works if other != work_id}
        segment.works = tuple(sorted({*others, work_id} if hinders else others))
        _changed(state, segment)


def _changed(state: State, segment: Segment) -> None:
    if is_lagging(state, segment):
        state.lagging.add(segment.facts.segment)
    else:
        state.lagging.discard(segment.facts.segment)
    state.touch("segment", segment.road, segment.facts.segment)
