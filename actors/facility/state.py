"""The state of a facility shard: many small facilities, and the columns of all their sensors. `evolve` lives here."""

from dataclasses import dataclass, field

import pyarrow as pa

from actors.facility.aggregate import Facility
from actors.facility.columns import Columns
from actors.facility.detect import judged_again
from schemas import facility as f
from schemas.base import Event, micros
from schemas.facility import SLOTS

SLOT = {slot: number for number, slot in enumerate(SLOTS)}


NEWEST = 2
"""The newest version of decider and fold. What 2 brought: an on-delay passes also while the sensor is silent; a changed
limit is judged by the last value at once; calibrating is no change of the value; a reading ahead of its arrival counts
for the detectors as of its arrival; in JSON, NaN refuses its reading and not those beside it; an Arrow dictionary has
no more entries than a message rows."""


@dataclass(slots=True)
class Views:
    """Published tables that are still good: as of which `touched` and which version of the configuration."""

    touched: int = -1
    version: int = -1
    facilities: pa.Table | None = None
    alarms: pa.Table | None = None
    static: dict[str, pa.Array] = field(default_factory=dict)


@dataclass(slots=True)
class Shard:
    """Everything that one facility shard knows: `columns`, `facilities`, and the facility of each shelved alarm.

    `version` is the fold version whose rules hold now: the log tells which. The rest is derived and kept for speed:
    `touched` counts events, `pieces` and `config_digest` are parts of the digest, `views` of the published
    tables; `counted` gathers the readings that counted, where somebody asks for them.
    """

    columns: Columns = field(default_factory=Columns)
    facilities: dict[str, Facility] = field(default_factory=dict)
    shelved: dict[str, str] = field(default_factory=dict)
    version: int = NEWEST
    touched: int = 0
    pieces: dict[str, bytes] = field(default_factory=dict)
    config_digest: tuple[int, bytes] | None = None
    views: Views = field(default_factory=Views)
    counted: list[pa.Table] | None = None

    def kind(self, sensor: str) -> f.SensorKind:
        """What a registered sensor measures."""
        return self.columns.facts[self.columns.index[sensor]].kind


def alarm_id(sensor: str, slot: int, occurrence: int) -> str:
    """`<sensor>.<condition>-<level>.<occurrence>`; occurrences count from 1."""
    condition, level = SLOTS[slot]
    return f"{sensor}.{condition}-{level}.{occurrence}"


def split_alarm_id(alarm: str) -> tuple[str, int, int] | None:
    """Sensor, slot and occurrence of an alarm id; `None` for text that is none."""
    match alarm.split("."):
        case [sensor, kind, occurrence] if occurrence.isascii() and occurrence.isdigit() and len(occurrence) < 19:
            condition, _, level = kind.partition("-")
            for (a_condition, a_level), slot in SLOT.items():
                if (condition, level) == (a_condition, a_level) and str(int(occurrence)) == occurrence:
                    return sensor, slot, int(occurrence)
    return None


def evolve(shard: Shard, event: Event) -> None:
    """Apply one event in place. Never raises on a stored event, never judges."""
    if not isinstance(event, f.FacilityEvent):
        return
    facility = shard.facilities.get(event.facility)
    if facility is None:
        if not isinstance(event, f.FacilityRegistered):
            return
        facility = Facility(event.facility, event.facts, risk_since=micros(event.at))
        shard.facilities[event.facility] = facility
    facility.apply(event)
    _evolve_columns(shard, facility, event)
    _evolve_shelves(shard, facility, event)
    shard.touched += 1
    shard.pieces.pop(facility.id, None)


def _evolve_columns(shard: Shard, facility: Facility, event: f.FacilityEvent) -> None:  # noqa: C901 - one arm per event
    columns = shard.columns
    sensor = getattr(event, "sensor", None)
    i = None if sensor is None else columns.index.get(sensor)
    if isinstance(event, f.SensorRegistered) and i is None:
        facility.sensors.append(columns.add(event.sensor, facility.id, event.facts))
    if i is None:
        return
    match event:
        case f.SensorRegistered():
            columns.set_facts(i, event.facts)
            _judge_again(shard, i)
        case f.ThresholdsChanged():
            columns.set_limits(i, event.limits)
            _judge_again(shard, i)
        case f.SensorCalibrated():
            columns.calibrate(i, event.gain, event.offset, seen=shard.version > 1)
        case f.SensorReplaced():
            columns.replace(i, event.serial)
        case f.AlarmRaised():
            if (parts := split_alarm_id(event.alarm)) is not None:
                columns.occurrence[i, parts[1]] = parts[2]
        case f.SensorStale():
            columns.stale[i] = 1
        case f.SensorRestored():
            columns.stale[i] = 0


def _judge_again(shard: Shard, i: int) -> None:
    if shard.version > 1:
        judged_again(shard.columns, i).apply(shard.columns)


def _evolve_shelves(shard: Shard, facility: Facility, event: f.FacilityEvent) -> None:
    match event:
        case f.AlarmShelved():
            if event.alarm in facility.alarms:
                shard.shelved[event.alarm] = facility.id
        case f.AlarmUnshelved() | f.AlarmCleared():
            shard.shelved.pop(event.alarm, None)
