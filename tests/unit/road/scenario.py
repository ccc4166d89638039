"""given(...).when(...).then(...) over the road context, and commands to speak with."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from actors.road.context import RoadContext
from actors.road.state import State
from schemas.base import Command, micros
from schemas.road import (
    BeginSnow,
    ClearingRow,
    PermitWork,
    RegisterRoad,
    RoadFacts,
    SegmentFacts,
    SetClearing,
    Window,
)
from streams.ingest import Observed
from tests.unit.scenario import Given

CONTEXT = RoadContext()
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
WINDOW = Window(start=NOON, end=NOON + timedelta(hours=8))


def at(minutes: float = 0) -> dict[str, Any]:
    return {"at": NOON + timedelta(minutes=minutes), "by": "desk"}


def road(road_id: str = "jungang-ro", segments: int = 2, **facts: Any) -> RegisterRoad:
    known = {"name_ko": "중앙로", "name_en": "Jungang-ro", "rank": "107", "synthetic": True, **facts}
    cut = tuple(SegmentFacts(segment=f"{road_id}-{number}", length_m=200.0) for number in range(1, segments + 1))
    return RegisterRoad(**at(), road=road_id, facts=RoadFacts(segments=cut, **known))


def permit(work: str = "gas-1", impact: str = "all-lanes-closed", **facts: Any) -> PermitWork:
    known = {"title_ko": "가스관 교체", "title_en": "Gas main", "operator": "강원도시가스", "window": WINDOW, **facts}
    known.setdefault("segments", ("jungang-ro-1",))
    return PermitWork(**at(), road="jungang-ro", work=work, impact=impact, **known)


def snow(minutes: float = 0, snow_id: str = "snow-1", depth_cm: float = 4.0, road_id: str = "jungang-ro") -> BeginSnow:
    return BeginSnow(**at(minutes), road=road_id, snow=snow_id, depth_cm=depth_cm, synthetic=True)


def clear(
    state: str, minutes: float = 0, segment: str = "jungang-ro-1", told: float = 600, **facts: Any
) -> SetClearing:
    changed_at = NOON + timedelta(minutes=minutes)
    return SetClearing(**at(told), road="jungang-ro", segment=segment, state=state, changed_at=changed_at, **facts)


def row(state: str, minutes: float = 0, segment: str = "jungang-ro-1", **facts: Any) -> dict[str, Any]:
    changed_at = NOON + timedelta(minutes=minutes)
    made = ClearingRow(segment=segment, state=state, changed_at=changed_at, **facts)
    return made.model_dump(mode="json")


def message(sequence: int, content: object, road_id: str = "jungang-ro", kind: str = "clearing") -> Observed:
    data = content if isinstance(content, bytes) else orjson.dumps(content)
    return Observed(sequence, road_id, kind, micros(NOON + timedelta(hours=10)), {}, data)


def given(*commands: Command) -> Given[State]:
    return Given(CONTEXT).and_(*commands)
