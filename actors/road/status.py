"""What a driver meets on a segment, derived from works and snow, with the reasons in Korean and English."""

from collections.abc import Collection, Iterator
from datetime import datetime
from itertools import islice

from actors.road.state import Segment, State, Work
from schemas.road import (
    ClearingChanged,
    ClearingState,
    Impact,
    RoadEvent,
    SegmentStatus,
    SegmentStatusChanged,
    SnowBegan,
    WorkFinished,
    WorkStarted,
)

AT_ONCE = 499
"""Changes of status told together: with the event that causes them, half of what one commit holds."""

_IMPACT: dict[Impact, str] = {
    "none": "",
    "some-lanes-closed": "일부 차로 통제 · some lanes closed",
    "all-lanes-closed": "전면 통제 · all lanes closed",
    "alternating-one-way": "교대 통행 · alternating one way",
}
_SNOW: dict[ClearingState, tuple[str, ...]] = {
    "bare": (),
    "snowed": ("눈이 쌓임 · snow, not cleared yet",),
    "planned": ("눈이 쌓임, 제설 예정 · snow, clearing planned",),
    "under-way": ("제설 중 · clearing under way",),
    "cleared": (),
}


def status_of(clearing: ClearingState, works: Collection[Work]) -> SegmentStatus:
    """Closed before works before snowed before open. `works` are the started ones that hinder traffic."""
    if any(work.permit.impact == "all-lanes-closed" for work in works):
        return "closed"
    if works:
        return "works"
    return "snowed" if _SNOW[clearing] else "open"


def reasons_of(clearing: ClearingState, works: Collection[Work]) -> tuple[str, ...]:
    """All that hinders traffic on the segment, works first; one sentence each, Korean · English."""
    return (*map(_reason, works), *_SNOW[clearing]) if works else _SNOW[clearing]


def works_on(state: State, segment: Segment) -> list[Work]:
    """The started works that hinder traffic on a segment, by id."""
    return [state.roads[segment.road].works[work] for work in segment.works] if segment.works else []


def is_lagging(state: State, segment: Segment) -> bool:
    """The announced status is not the one that works and snow imply."""
    return segment.status != status_of(segment.clearing.state, works_on(state, segment))


def changes_after(state: State, event: RoadEvent) -> list[SegmentStatusChanged]:
    """The changes of status that `event`, not yet evolved, brings; in the order of the road, the first `AT_ONCE`.

    Snow on a road of thousands of segments changes more than a commit holds: `overdue` tells the rest.
    """
    return list(islice(_changes(state, event), AT_ONCE))


def overdue(state: State, at: datetime) -> list[SegmentStatusChanged]:
    """The changes of status that no event has told yet, by segment id, the first `AT_ONCE`."""
    lagging = sorted(state.lagging)[:AT_ONCE]
    return [
        _change(known, at, known.clearing.state, works_on(state, known))
        for known in (state.segments[segment] for segment in lagging)
    ]


def _changes(state: State, event: RoadEvent) -> Iterator[SegmentStatusChanged]:
    match event:
        case WorkStarted():
            begun = state.roads[event.road].works[event.work]
            for known in _segments(state, event.segments):
                more = [begun] if begun.permit.impact != "none" else []
                yield from _changed(known, event.at, known.clearing.state, [*works_on(state, known), *more])
        case WorkFinished():
            done = state.roads[event.road].works[event.work]
            for known in _segments(state, event.segments):
                left = [work for work in works_on(state, known) if work is not done]
                yield from _changed(known, event.at, known.clearing.state, left)
        case SnowBegan():
            for known in _segments(state, state.roads[event.road].segments):
                yield from _changed(known, event.at, "snowed", works_on(state, known))
        case ClearingChanged():
            known = state.segments[event.segment]
            yield from _changed(known, event.at, event.state, works_on(state, known))
        case _:
            return


def _segments(state: State, ids: Collection[str]) -> Iterator[Segment]:
    return (state.segments[segment] for segment in ids)


def _changed(known: Segment, at: datetime, clearing: ClearingState, works: list[Work]) -> list[SegmentStatusChanged]:
    return [_change(known, at, clearing, works)] if known.status != status_of(clearing, works) else []


def _change(known: Segment, at: datetime, clearing: ClearingState, works: list[Work]) -> SegmentStatusChanged:
    return SegmentStatusChanged(
        at=at,
        road=known.road,
        segment=known.facts.segment,
        status=status_of(clearing, works),
        was=known.status,
        reasons=reasons_of(clearing, sorted(works, key=lambda work: work.permit.work)),
    )


def _reason(work: Work) -> str:
    permit = work.permit
    korean, english = _IMPACT[permit.impact].split(" · ")
    title = permit.title_en or permit.title_ko
    return f"{korean}: {permit.title_ko} ({permit.operator}) · {english}: {title} ({permit.operator})"
