"""Which events tell of something made up: the label that LOG and FEED carry beside what the event itself says."""

from actors.road.state import Road, State
from schemas.base import Event, micros
from schemas.road import ClearingChanged, RoadEvent, SegmentStatusChanged


def synthetic(state: State, event: Event) -> bool:
    """Whether the event, already evolved, is about a work, a snow event or else a road that is marked synthetic.

    What is derived (`ClearingChanged`, `SegmentStatusChanged`) rests on the road, its newest snow and its works, so one
    of them is enough.
    """
    if not isinstance(event, RoadEvent) or (road := state.roads.get(event.road)) is None:
        return False
    if (work := road.works.get(getattr(event, "work", ""))) is not None:
        return work.permit.synthetic
    if (snow := road.snow.get(getattr(event, "snow", ""))) is not None:
        return snow.synthetic
    if not isinstance(event, ClearingChanged | SegmentStatusChanged):
        return road.synthetic
    newest = max(road.snow.values(), key=lambda snow: snow.began_at, default=None)
    snowed = newest is not None and newest.synthetic
    return road.synthetic or snowed or (isinstance(event, SegmentStatusChanged) and _works(road, event))


def _works(road: Road, event: SegmentStatusChanged) -> bool:
    """Whether a synthetic work hinders the segment, or has just ceased to."""
    at = micros(event.at)
    return any(
        work.permit.synthetic and event.segment in work.permit.segments
        for work in road.works.values()
        if work.state == "started" or work.finished_at == at
    )
