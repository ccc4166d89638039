"""The facility context: what one may ask of a facility and its sensors, and what can have happened to them."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from schemas.base import Command, EntityId, Event, Frozen, Name, Text, UtcTime

FacilityKind = Literal[
    "bridge", "market", "shelter", "booth", "recycling-station", "camera", "tunnel", "building", "other"
]
SensorKind = Literal[
    "vibration",
    "tilt",
    "crack-width",
    "temperature",
    "humidity",
    "smoke",
    "flame",
    "carbon-monoxide",
    "leakage-current",
    "flood",
    "lift",
    "gas",
    "power",
    "displacement",
    "strain",
    "force",
    "other",
]
Grade = Literal["A", "B", "C", "D", "E"]
"""Safety-Act grade: A is sound, D and E are under watch."""

Condition = Literal["high", "low", "rate"]
Level = Literal["warning", "danger"]
Risk = Literal["normal", "attention", "caution", "danger"]
"""관심 is attention, 주의·경계 caution, 심각 danger."""

Verdict = Literal["real", "false"]
"""Whether what an alarm warned of was there."""

SLOTS: tuple[tuple[Condition, Level], ...] = (
    ("high", "warning"),
    ("high", "danger"),
    ("low", "warning"),
    ("low", "danger"),
    ("rate", "warning"),
    ("rate", "danger"),
)
"""The limits that one sensor can have, one of each; the index is the slot in columnar state."""

Seconds = Annotated[float, Field(ge=0, le=31_536_000, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Limit(Frozen):
    """An alarm limit: on at or beyond `on` for `on_delay_s`, off when back behind `off` for `off_delay_s`.

    Values in the sensor's unit (for `rate`: unit per second, of the absolute change). Delays run in event time.
    The gap between `on` and `off` is the hysteresis (deadband of ISA-18.2).
    """

    condition: Condition
    level: Level
    on: Finite
    off: Finite
    on_delay_s: Seconds = 0.0
    off_delay_s: Seconds = 0.0

    @model_validator(mode="after")
    def _off_lies_behind_on(self) -> "Limit":
        if (self.off > self.on) if self.condition != "low" else (self.off < self.on):
            side = "at or below" if self.condition != "low" else "at or above"
            raise ValueError(f"the off value of a {self.condition} limit must lie {side} its on value")
        return self


def _distinct(limits: tuple[Limit, ...]) -> tuple[Limit, ...]:
    slots = [(limit.condition, limit.level) for limit in limits]
    if len(set(slots)) < len(slots):
        raise ValueError("a sensor has at most one limit per condition and level")
    return limits


class Limits(Frozen):
    """At most one limit per condition and level."""

    limits: tuple[Limit, ...] = ()

    @model_validator(mode="after")
    def _one_per_slot(self) -> "Limits":
        _distinct(self.limits)
        return self


class Position(Frozen):
    """WGS84 degrees; `synthetic` where the true site is not public."""

    lon: Annotated[float, Field(ge=-180, le=180)]
    lat: Annotated[float, Field(ge=-90, le=90)]
    synthetic: bool = False


class FacilityFacts(Frozen):
    """What a facility is."""

    name_ko: Name
    name_en: Name
    kind: FacilityKind
    grade: Grade | None = None
    position: Position | None = None
    area: Annotated[str, Field(max_length=10, pattern=r"^[0-9]*$")] = ""
    synthetic: bool = False


class SensorFacts(Limits):
    """What a sensor measures and how it is watched.

    `low`/`high` bound what the instrument can measure (a value outside is kept as quality *bad* and moves no alarm);
    `gateway` names who else may send for it; `recorded` marks a replayed history that no wall clock makes stale.
    """

    kind: SensorKind
    unit: Annotated[str, Field(max_length=20)]
    name_ko: Annotated[str, Field(max_length=120)] = ""
    low: Finite | None = None
    high: Finite | None = None
    stale_after_s: Seconds | None = None
    gateway: EntityId | None = None
    synthetic: bool = False
    recorded: bool = False


class FacilityCommand(Command):
    """A command to one facility."""

    context: ClassVar[str] = "facility"
    entity_field: ClassVar[str] = "facility"
    facility: EntityId


class RegisterFacility(FacilityCommand):
    """Make a facility known, or change its facts; the same facts again change nothing."""

    facts: FacilityFacts


class RegisterSensor(FacilityCommand):
    """Attach a sensor, or change its facts; the same facts again change nothing.

    Sensor ids are unique in the city (how far that is kept: `serve.unique`).
    """

    sensor: EntityId
    facts: SensorFacts


class ChangeThresholds(FacilityCommand, Limits):
    """Replace all limits of a sensor."""

    sensor: EntityId


class CalibrateSensor(FacilityCommand):
    """From now on value = gain × raw + offset."""

    sensor: EntityId
    gain: Finite = 1.0
    offset: Finite = 0.0


class ReplaceSensor(FacilityCommand):
    """A new instrument takes the sensor's place: its sequence, boot and statistics start anew."""

    sensor: EntityId
    serial: Name


class BeginMaintenance(FacilityCommand):
    """Suppress new alarms of the facility until maintenance ends."""

    reason: Text


class EndMaintenance(FacilityCommand):
    """Alarms count again; a limit that is exceeded now raises now."""


class AlarmCommand(FacilityCommand):
    """A command to one alarm of a facility."""

    alarm: Annotated[str, Field(max_length=160)]


class AcknowledgeAlarm(AlarmCommand):
    """An operator has seen the alarm."""

    note: Annotated[str, Field(max_length=500)] = ""


class ShelveAlarm(AlarmCommand):
    """Silence the alarm until a moment (at most 7 days ahead)."""

    until: UtcTime
    reason: Text


class UnshelveAlarm(AlarmCommand):
    """End the shelving before its time."""


class ClearAlarm(AlarmCommand):
    """Take an alarm whose condition has returned to normal off the list, acknowledged or not."""

    note: Annotated[str, Field(max_length=500)] = ""


class JudgeAlarm(AlarmCommand):
    """Say whether the alarm was real or false, at any time after it was raised; the newest verdict counts."""

    verdict: Verdict
    note: Annotated[str, Field(max_length=500)] = ""


class FacilityEvent(Event):
    """Something that happened to one facility."""

    context: ClassVar[str] = "facility"
    entity_field: ClassVar[str] = "facility"
    facility: EntityId


class FacilityRegistered(FacilityEvent):
    """The facility's facts are these from now on."""

    type: ClassVar[str] = "city.facility.facility-registered.v1"
    facts: FacilityFacts


class SensorRegistered(FacilityEvent):
    """The sensor's facts are these from now on."""

    type: ClassVar[str] = "city.facility.sensor-registered.v1"
    sensor: EntityId
    facts: SensorFacts


class ThresholdsChanged(FacilityEvent, Limits):
    """The sensor's limits are these from now on."""

    type: ClassVar[str] = "city.facility.thresholds-changed.v1"
    sensor: EntityId


class SensorCalibrated(FacilityEvent):
    """Readings are corrected by gain and offset from now on."""

    type: ClassVar[str] = "city.facility.sensor-calibrated.v1"
    sensor: EntityId
    gain: float
    offset: float


class SensorReplaced(FacilityEvent):
    """Another instrument measures from now on."""

    type: ClassVar[str] = "city.facility.sensor-replaced.v1"
    sensor: EntityId
    serial: str


class MaintenanceBegun(FacilityEvent):
    """New alarms are suppressed."""

    type: ClassVar[str] = "city.facility.maintenance-begun.v1"
    reason: str
    by: str


class MaintenanceEnded(FacilityEvent):
    """Alarms count again."""

    type: ClassVar[str] = "city.facility.maintenance-ended.v1"
    by: str


class AlarmEvent(FacilityEvent):
    """Something that happened to one alarm; `alarm` is `<sensor>.<condition>-<level>.<occurrence>`."""

    alarm: str
    sensor: EntityId


class AlarmRaised(AlarmEvent):
    """A limit was exceeded for its delay; `at` is the time of the reading that showed it."""

    type: ClassVar[str] = "city.facility.alarm-raised.v1"
    condition: Condition
    level: Level
    value: float
    limit: float
    unit: str
    synthetic: bool


class AlarmReturned(AlarmEvent):
    """The condition is back to normal (ISA-18.2 RTN); unacknowledged it stays on the list."""

    type: ClassVar[str] = "city.facility.alarm-returned.v1"
    value: float | None


class AlarmAcknowledged(AlarmEvent):
    """An operator has seen the alarm."""

    type: ClassVar[str] = "city.facility.alarm-acknowledged.v1"
    by: str
    note: str


class AlarmShelved(AlarmEvent):
    """The alarm is silent until a moment."""

    type: ClassVar[str] = "city.facility.alarm-shelved.v1"
    by: str
    until: UtcTime
    reason: str


class AlarmUnshelved(AlarmEvent):
    """The silence is over; `by` is `clock` when the time ran out."""

    type: ClassVar[str] = "city.facility.alarm-unshelved.v1"
    by: str


class AlarmCleared(AlarmEvent):
    """The alarm is off the list: returned to normal, and acknowledged or cleared by hand."""

    type: ClassVar[str] = "city.facility.alarm-cleared.v1"
    by: str


class AlarmJudged(AlarmEvent):
    """Somebody found the alarm real or false; the newest verdict of an alarm counts. It may come after the clearing."""

    type: ClassVar[str] = "city.facility.alarm-judged.v1"
    verdict: Verdict
    by: str
    note: str


class RiskLevelChanged(FacilityEvent):
    """The facility's risk, derived from its grade and active alarms, with the reasons."""

    type: ClassVar[str] = "city.facility.risk-level-changed.v1"
    risk: Risk
    was: Risk
    reasons: tuple[str, ...]


class SensorStale(FacilityEvent):
    """Nothing has arrived from the sensor for longer than its `stale_after_s`."""

    type: ClassVar[str] = "city.facility.sensor-stale.v1"
    sensor: EntityId
    last_arrival: UtcTime


class SensorRestored(FacilityEvent):
    """A stale sensor is heard again."""

    type: ClassVar[str] = "city.facility.sensor-restored.v1"
    sensor: EntityId
    silent_s: float


COMMANDS: tuple[type[FacilityCommand], ...] = (
    RegisterFacility,
    RegisterSensor,
    ChangeThresholds,
    CalibrateSensor,
    ReplaceSensor,
    BeginMaintenance,
    EndMaintenance,
    AcknowledgeAlarm,
    ShelveAlarm,
    UnshelveAlarm,
    ClearAlarm,
    JudgeAlarm,
)
EVENTS: tuple[type[FacilityEvent], ...] = (
    FacilityRegistered,
    SensorRegistered,
    ThresholdsChanged,
    SensorCalibrated,
    SensorReplaced,
    MaintenanceBegun,
    MaintenanceEnded,
    AlarmRaised,
    AlarmReturned,
    AlarmAcknowledged,
    AlarmShelved,
    AlarmUnshelved,
    AlarmCleared,
    AlarmJudged,
    RiskLevelChanged,
    SensorStale,
    SensorRestored,
)
