"""The road context: a named road with its segments, the works on it, and the snow on it."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from schemas.base import Command, EntityId, Event, Frozen, Name, Text, UtcTime
from schemas.facility import Position

Rank = Literal["101", "102", "103", "104", "105", "106", "107", "108"]
"""ROAD_RANK of the Korean standard node-link (표준노드링크): 101 expressway … 107 city road, 108 other."""

WorkState = Literal["permitted", "started", "finished", "cancelled"]
ClearingState = Literal["bare", "snowed", "planned", "under-way", "cleared"]
"""Ours; the source's own state is kept beside it."""

SegmentStatus = Literal["open", "works", "closed", "snowed"]
Impact = Literal["none", "some-lanes-closed", "all-lanes-closed", "alternating-one-way"]
"""Vehicle impact after WZDx 4.2, reduced to what the status needs."""

Centimetres = Annotated[float, Field(ge=0, le=500, allow_inf_nan=False)]

Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]


class SegmentFacts(Frozen):
    """One directed stretch of a road. `line` is WGS84 (lon, lat) pairs, empty where no geometry is known."""

    segment: EntityId
    name_ko: Annotated[str, Field(max_length=120)] = ""
    length_m: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    line: tuple[tuple[Longitude, Latitude], ...] = ()


class RoadFacts(Frozen):
    """What a road is. Segments are unique in the city (how far that is kept: `serve.unique`)."""

    name_ko: Name
    name_en: Name
    rank: Rank
    segments: tuple[SegmentFacts, ...]
    synthetic: bool = False

    @model_validator(mode="after")
    def _segments_are_distinct(self) -> "RoadFacts":
        ids = [segment.segment for segment in self.segments]
        if len(set(ids)) < len(ids):
            raise ValueError("a road names each of its segments once")
        return self


class Window(Frozen):
    """From `start` until `end`."""

    start: UtcTime
    end: UtcTime

    @model_validator(mode="after")
    def _end_follows_start(self) -> "Window":
        if self.end <= self.start:
            raise ValueError("a window ends after it starts")
        return self


class RoadCommand(Command):
    """A command to one road."""

    context: ClassVar[str] = "road"
    entity_field: ClassVar[str] = "road"
    road: EntityId


class RegisterRoad(RoadCommand):
    """Make a road known, or change its facts; segments are added or changed, never removed."""

    facts: RoadFacts


class PermitWork(RoadCommand):
    """Permit an excavation (도로 굴착) on segments of one road within a window."""

    work: EntityId
    title_ko: Name
    title_en: Annotated[str, Field(max_length=120)] = ""
    operator: Name
    segments: Annotated[tuple[EntityId, ...], Field(min_length=1)]
    window: Window
    impact: Impact = "some-lanes-closed"
    position: Position | None = None
    synthetic: bool = False


class WorkCommand(RoadCommand):
    """A command to one work."""

    work: EntityId


class StartWork(WorkCommand):
    """Work begins now, before, within or after its window."""


class ExtendWork(WorkCommand):
    """The window ends later."""

    until: UtcTime
    reason: Text


class FinishWork(WorkCommand):
    """Work is done now, early or late."""


class CancelWork(WorkCommand):
    """A permitted work will not begin."""

    reason: Text


class BeginSnow(RoadCommand):
    """A snow event reaches the road; every segment counts as snowed."""

    snow: EntityId
    depth_cm: Centimetres
    synthetic: bool = False


class MeasureSnow(RoadCommand):
    """Snow depth has changed during an event."""

    snow: EntityId
    depth_cm: Centimetres


class EndSnow(RoadCommand):
    """It stopped snowing; uncleared segments stay uncleared."""

    snow: EntityId


class ClearingRow(Frozen):
    """One row of a road feed: the clearing state of one segment as a source tells it.

    `changed_at` is the time at the source; of two rows for a segment the later change counts, whatever the order in
    which they come. `source_state` is the source's own word for it.
    """

    segment: EntityId
    state: ClearingState
    changed_at: UtcTime
    window: Window | None = None
    source: Annotated[str, Field(max_length=60)] = ""
    source_state: Annotated[str, Field(max_length=60)] = ""


class SetClearing(ClearingRow, RoadCommand):
    """The clearing state of one segment, set by hand; an older change than the one known changes nothing."""


class RoadEvent(Event):
    """Something that happened to one road."""

    context: ClassVar[str] = "road"
    entity_field: ClassVar[str] = "road"
    road: EntityId


class RoadRegistered(RoadEvent):
    """The road's facts are these from now on."""

    type: ClassVar[str] = "city.road.road-registered.v1"
    facts: RoadFacts


class WorkPermitted(RoadEvent):
    """An excavation is permitted."""

    type: ClassVar[str] = "city.road.work-permitted.v1"
    work: EntityId
    title_ko: str
    title_en: str
    operator: str
    segments: tuple[EntityId, ...]
    window: Window
    impact: Impact
    position: Position | None
    synthetic: bool


class WorkStarted(RoadEvent):
    """Work has begun; `early_s` is positive before its window, negative after the window's start."""

    type: ClassVar[str] = "city.road.work-started.v1"
    work: EntityId
    segments: tuple[EntityId, ...]
    early_s: float


class WorkExtended(RoadEvent):
    """The window ends later than permitted."""

    type: ClassVar[str] = "city.road.work-extended.v1"
    work: EntityId
    until: UtcTime
    reason: str


class WorkFinished(RoadEvent):
    """Work is done; `late_s` is positive after the window's end, negative before."""

    type: ClassVar[str] = "city.road.work-finished.v1"
    work: EntityId
    segments: tuple[EntityId, ...]
    late_s: float


class WorkCancelled(RoadEvent):
    """A permitted work will not begin."""

    type: ClassVar[str] = "city.road.work-cancelled.v1"
    work: EntityId
    reason: str


class SnowBegan(RoadEvent):
    """A snow event reached the road."""

    type: ClassVar[str] = "city.road.snow-began.v1"
    snow: EntityId
    depth_cm: float
    synthetic: bool


class SnowMeasured(RoadEvent):
    """Snow depth has changed."""

    type: ClassVar[str] = "city.road.snow-measured.v1"
    snow: EntityId
    depth_cm: float


class SnowEnded(RoadEvent):
    """It stopped snowing on the road."""

    type: ClassVar[str] = "city.road.snow-ended.v1"
    snow: EntityId


class ClearingChanged(RoadEvent):
    """A segment's clearing state is this since `changed_at`."""

    type: ClassVar[str] = "city.road.clearing-changed.v1"
    segment: EntityId
    state: ClearingState
    was: ClearingState
    changed_at: UtcTime
    window: Window | None
    source: str
    source_state: str


class SegmentStatusChanged(RoadEvent):
    """What a driver meets on the segment: derived from works and snow, with the reasons."""

    type: ClassVar[str] = "city.road.segment-status-changed.v1"
    segment: EntityId
    status: SegmentStatus
    was: SegmentStatus
    reasons: tuple[str, ...]


COMMANDS: tuple[type[RoadCommand], ...] = (
    RegisterRoad,
    PermitWork,
    StartWork,
    ExtendWork,
    FinishWork,
    CancelWork,
    BeginSnow,
    MeasureSnow,
    EndSnow,
    SetClearing,
)
EVENTS: tuple[type[RoadEvent], ...] = (
    RoadRegistered,
    WorkPermitted,
    WorkStarted,
    WorkExtended,
    WorkFinished,
    WorkCancelled,
    SnowBegan,
    SnowMeasured,
    SnowEnded,
    ClearingChanged,
    SegmentStatusChanged,
)
