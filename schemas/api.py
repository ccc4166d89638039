"""What requests carry and writes answer: the models of the HTTP API. Rows of reads are `schemas.tables`."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from schemas.base import EntityId, Frozen, Name, Text, UtcTime
from schemas.facility import Finite, Position, Verdict
from schemas.road import Centimetres, ClearingState, Impact, RoadFacts, Window


class Written(Frozen):
    """What a write led to. Empty `events`: it was already so."""

    position: str = Field(description="Give it as `min_position` to read what you wrote.", examples=["ZjAuMTc"])
    events: list[dict[str, Any]] = Field(description="The events with their `type`.")


class Refusal(Frozen):
    """Readings that were not taken over, and why: one by its `row`, or all of a sensor."""

    sensor: str
    reason: str
    row: int | None = Field(None, ge=0, description="Place of the reading in the request, from 0.")


class Accepted(Frozen):
    """Readings that are stored and will be folded; those refused are not."""

    position: str = Field(examples=["RjAuNDI"])
    accepted: int = Field(ge=0, description="Readings stored.", examples=[1])
    refused: list[Refusal] = Field(description="Rows and sensors that were not taken, the first 1,000.", examples=[[]])


class Problem(Frozen):
    """Problem details, RFC 9457."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str = Field(examples=["urn:bomnae:problem:not-found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no facility 'bridge-9'"])
    instance: str = Field(examples=["/v1/facilities/bridge-9"])


class Reading(Frozen):
    """One measured value. `(sensor, boot, sequence)` is its identity: it counts once however often it is sent."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"sensor": "bridge-1-tilt-1", "time": "2026-01-15T03:00:00Z", "value": 0.12, "sequence": 7}
        }
    )

    sensor: EntityId
    time: UtcTime
    value: Finite
    sequence: int = Field(ge=0, le=2**63 - 1, description="Counts up per sensor within a boot.")
    boot: int = Field(0, ge=0, le=2**32 - 1, description="Counts the device's restarts.")
    quality: Literal[0, 1, 2] = Field(0, description="0 good, 1 uncertain, 2 bad.")
    unit: Annotated[str, Field(max_length=20)] | None = None


class Calibration(Frozen):
    """From now on value = gain × raw + offset."""

    gain: Finite = 1.0
    offset: Finite = 0.0


class Replacement(Frozen):
    """A new instrument takes the sensor's place."""

    serial: Name = Field(examples=["TLT-2041"])


class Maintenance(Frozen):
    """Why new alarms are suppressed."""

    reason: Text = Field(examples=["정기 점검 · regular inspection"])


class Note(Frozen):
    """A remark that is kept with the act."""

    note: Annotated[str, Field(max_length=500)] = ""


class Judgement(Note):
    """Whether what an alarm warned of was there."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"verdict": "false", "note": "점검 차량 · an inspection vehicle"}}
    )

    verdict: Verdict


class Shelving(Frozen):
    """Silence until a moment, at most 7 days ahead."""

    until: UtcTime
    reason: Text = Field(examples=["센서 점검 중 · sensor under inspection"])


MAX_SEGMENTS, MAX_POINTS = 2_000, 2_000
"""Segments in one request, and points in the line of one: a road is one entity, and its facts are one event."""


def _of_bounded_size(facts: RoadFacts) -> RoadFacts:
    if len(facts.segments) > MAX_SEGMENTS:
        raise ValueError(f"a request brings at most {MAX_SEGMENTS:,} segments, not {len(facts.segments):,}: send parts")
    for one in facts.segments:
        if len(one.line) > MAX_POINTS:
            raise ValueError(
                f"the line of segment {one.segment!r} has {len(one.line):,} points, and {MAX_POINTS:,} at most are "
                "taken: simplify it, or divide the segment"
            )
    return facts


Road = Annotated[RoadFacts, AfterValidator(_of_bounded_size)]
"""What a request may say of a road. Bounded here and not in `RoadFacts`: what is stored stays readable."""


class Work(Frozen):
    """An excavation (도로 굴착) to permit."""

    work: EntityId = Field(examples=["work-2026-17"])
    road: EntityId = Field(examples=["jungang-ro"])
    title_ko: Name = Field(examples=["상수도관 교체"])
    title_en: Annotated[str, Field(max_length=120)] = Field("", examples=["Water main replacement"])
    operator: Name = Field(examples=["춘천시 상하수도사업본부 · Chuncheon Waterworks"])
    segments: Annotated[tuple[EntityId, ...], Field(min_length=1, max_length=500)] = Field(examples=[["jungang-ro-1"]])
    window: Window
    impact: Impact = "some-lanes-closed"
    position: Position | None = None
    synthetic: bool = False


class Start(Frozen):
    """Work begins now."""

    action: Literal["start"]


class Extend(Frozen):
    """The window ends later."""

    action: Literal["extend"]
    until: UtcTime
    reason: Text


class Finish(Frozen):
    """Work is done now."""

    action: Literal["finish"]


class Cancel(Frozen):
    """A permitted work will not begin."""

    action: Literal["cancel"]
    reason: Text


WorkChange = Annotated[Start | Extend | Finish | Cancel, Field(discriminator="action")]


class Snow(Frozen):
    """A snow event that reaches roads: those named, or every road of the city."""

    snow: EntityId = Field(examples=["snow-2026-01-15"])
    depth_cm: Centimetres = Field(examples=[4.5])
    roads: Annotated[tuple[EntityId, ...], Field(min_length=1, max_length=2000)] | None = None
    synthetic: bool = False


class Measure(Frozen):
    """Snow depth has changed, on the roads named or on all that the event reached."""

    action: Literal["measure"]
    depth_cm: Centimetres
    roads: Annotated[tuple[EntityId, ...], Field(min_length=1, max_length=2000)] | None = None


class End(Frozen):
    """It stopped snowing, on the roads named or on all that the event reached."""

    action: Literal["end"]
    roads: Annotated[tuple[EntityId, ...], Field(min_length=1, max_length=2000)] | None = None


SnowChange = Annotated[Measure | End, Field(discriminator="action")]


class Clearing(Frozen):
    """The clearing state of a segment; `changed_at` is now where it is left out."""

    state: ClearingState
    changed_at: UtcTime | None = None
    window: Window | None = None
    source: Annotated[str, Field(max_length=60)] = ""
    source_state: Annotated[str, Field(max_length=60)] = ""
