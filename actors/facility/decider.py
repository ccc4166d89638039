"""What a command to a facility leads to: one function per command, pure and idempotent."""

from datetime import timedelta
from typing import assert_never

from actors.facility.aggregate import ACTIVE, Alarm, Facility
from actors.facility.alarms import alarm_events, cleared
from actors.facility.detect import Transition, judged_again
from actors.facility.risk import concluded
from actors.facility.state import SLOT, Shard, split_alarm_id
from schemas import facility as f
from schemas.base import from_micros, micros
from schemas.errors import ConflictError, InvalidError, NotFoundError
from schemas.facility import SLOTS

LONGEST_SHELF = timedelta(days=7)
"""A configurable default: ISA-18.2 asks for a limit and leaves it to the site."""

AnyCommand = (
    f.RegisterFacility | f.RegisterSensor | f.ChangeThresholds | f.CalibrateSensor | f.ReplaceSensor
    | f.BeginMaintenance | f.EndMaintenance | f.AcknowledgeAlarm | f.ShelveAlarm | f.UnshelveAlarm | f.ClearAlarm
    | f.JudgeAlarm
)  # fmt: skip


def decide(shard: Shard, command: AnyCommand) -> list[f.FacilityEvent]:
    """The events that a command leads to, the change of risk last; `[]` when it is already so. Changes nothing.

    The verdict on an alarm that was cleared is not kept: the same one again is the same event again, of no effect.
    Raises `NotFoundError`, `ConflictError` or `InvalidError` for a request that is impossible now.
    """
    facility = shard.facilities.get(command.facility)
    if facility is None:
        if not isinstance(command, f.RegisterFacility):
            raise NotFoundError("facility", command.facility)
        facility = Facility(command.facility, command.facts, risk_since=micros(command.at))
    return concluded(facility, shard.kind, _decide(shard, facility, command))


def _decide(  # noqa: C901, PLR0911 - one arm per command
    shard: Shard, facility: Facility, command: AnyCommand
) -> list[f.FacilityEvent]:
    match command:
        case f.RegisterFacility():
            return _register_facility(shard, facility, command)
        case f.RegisterSensor():
            return _register_sensor(shard, facility, command)
        case f.ChangeThresholds():
            return _change_thresholds(shard, facility, command)
        case f.CalibrateSensor():
            return _calibrate(shard, facility, command)
        case f.ReplaceSensor():
            return _replace(shard, facility, command)
        case f.BeginMaintenance():
            return _begin_maintenance(facility, command)
        case f.EndMaintenance():
            return _end_maintenance(shard, facility, command)
        case f.AcknowledgeAlarm():
            return _acknowledge(shard, facility, command)
        case f.ShelveAlarm():
            return _shelve(shard, facility, command)
        case f.UnshelveAlarm():
            return _unshelve(shard, facility, command)
        case f.ClearAlarm():
            return _clear(shard, facility, command)
        case f.JudgeAlarm():
            return _judge(shard, facility, command)
    assert_never(command)


def _register_facility(shard: Shard, facility: Facility, command: f.RegisterFacility) -> list[f.FacilityEvent]:
    if command.facility in shard.facilities and facility.facts == command.facts:
        return []
    return [f.FacilityRegistered(at=command.at, facility=facility.id, facts=command.facts)]


def _register_sensor(shard: Shard, facility: Facility, command: f.RegisterSensor) -> list[f.FacilityEvent]:
    """Compares with the facts as last registered: thresholds changed since then survive loading a pack again."""
    if shard.version > 1:
        _sensible(command.facts)
    i = shard.columns.index.get(command.sensor)
    event = f.SensorRegistered(at=command.at, facility=facility.id, sensor=command.sensor, facts=command.facts)
    if i is None:
        return [event]
    if (owner := shard.columns.facility[i]) != facility.id:
        raise ConflictError(f"sensor {command.sensor!r} belongs to facility {owner!r}: choose another id")
    if shard.columns.facts[i] == command.facts:
        return []
    return [event, *_limited(shard, facility, i, command.facts.limits, command)]


def _sensible(facts: f.SensorFacts) -> None:
    if facts.stale_after_s is not None and facts.stale_after_s <= 0:
        reason = "a sensor cannot be silent for 0 s: give the longest pause between two readings, or leave it out"
        raise InvalidError(reason, [{"field": "facts.stale_after_s", "reason": reason}])
    if facts.low is not None and facts.high is not None and facts.low > facts.high:
        reason = f"no value lies between low ({facts.low:g}) and high ({facts.high:g}): exchange them"
        raise InvalidError(reason, [{"field": "facts.low", "reason": reason}])


def _change_thresholds(shard: Shard, facility: Facility, command: f.ChangeThresholds) -> list[f.FacilityEvent]:
    i = _sensor(shard, facility, command.sensor)
    if set(shard.columns.limits[i]) == set(command.limits):
        return []
    return [
        f.ThresholdsChanged(at=command.at, facility=facility.id, sensor=command.sensor, limits=command.limits),
        *_limited(shard, facility, i, command.limits, command),
    ]


def _limited(
    shard: Shard, facility: Facility, i: int, limits: tuple[f.Limit, ...], command: f.FacilityCommand
) -> list[f.FacilityEvent]:
    """Other limits: alarms return whose limit is gone or no longer reached, those are raised that are exceeded now."""
    events = _without_limits(shard, facility, i, limits, command)
    if shard.version > 1:
        alone = Shard(columns=shard.columns.alone(i))
        alone.columns.set_limits(0, limits)
        for _, change in judged_again(alone.columns, 0).transitions():
            events += alarm_events(alone, facility, change._replace(at=micros(command.at)))
    return events


def _without_limits(
    shard: Shard, facility: Facility, i: int, limits: tuple[f.Limit, ...], command: f.FacilityCommand
) -> list[f.FacilityEvent]:
    """Return the alarms whose limit is gone."""
    kept = {SLOT[limit.condition, limit.level] for limit in limits}
    gone = [slot for slot in range(len(SLOTS)) if slot not in kept]
    at = micros(command.at)
    return [event for slot in gone for event in alarm_events(shard, facility, Transition(i, slot, False, None, at))]


def _calibrate(shard: Shard, facility: Facility, command: f.CalibrateSensor) -> list[f.FacilityEvent]:
    i = _sensor(shard, facility, command.sensor)
    if (shard.columns.gain[i], shard.columns.offset[i]) == (command.gain, command.offset):
        return []
    return [
        f.SensorCalibrated(
            at=command.at, facility=facility.id, sensor=command.sensor, gain=command.gain, offset=command.offset
        )
    ]


def _replace(shard: Shard, facility: Facility, command: f.ReplaceSensor) -> list[f.FacilityEvent]:
    """The old instrument's alarms return: whether their condition holds is for the new one to say."""
    i = _sensor(shard, facility, command.sensor)
    if shard.columns.serials[i] == command.serial:
        return []
    event = f.SensorReplaced(at=command.at, facility=facility.id, sensor=command.sensor, serial=command.serial)
    return [event, *_without_limits(shard, facility, i, (), command)]


def _begin_maintenance(facility: Facility, command: f.BeginMaintenance) -> list[f.FacilityEvent]:
    if facility.maintenance:
        return []
    return [f.MaintenanceBegun(at=command.at, facility=facility.id, reason=command.reason, by=command.by)]


def _end_maintenance(shard: Shard, facility: Facility, command: f.EndMaintenance) -> list[f.FacilityEvent]:
    """What is exceeded now raises now, with the value that the detectors saw last."""
    if not facility.maintenance:
        return []
    events: list[f.FacilityEvent] = [f.MaintenanceEnded(at=command.at, facility=facility.id, by=command.by)]
    columns = shard.columns
    working = facility.copy()
    working.maintenance = False
    for i in facility.sensors:
        for slot in columns.active[i].nonzero()[0].tolist():
            value = columns.seen_rate[i] if SLOTS[slot][0] == "rate" else columns.seen_value[i]
            events += alarm_events(shard, working, Transition(i, slot, True, float(value), micros(command.at)))
    return events


def _acknowledge(shard: Shard, facility: Facility, command: f.AcknowledgeAlarm) -> list[f.FacilityEvent]:
    alarm = _alarm(shard, facility, command.alarm)
    if alarm is None or alarm.acknowledged_at is not None:
        return []
    events: list[f.FacilityEvent] = [
        f.AlarmAcknowledged(
            at=command.at, facility=facility.id, alarm=alarm.id, sensor=alarm.sensor, by=command.by, note=command.note
        )
    ]
    return events if alarm.state == ACTIVE else [*events, cleared(facility, alarm, command.by, command.at)]


def _shelve(shard: Shard, facility: Facility, command: f.ShelveAlarm) -> list[f.FacilityEvent]:
    alarm = _alarm(shard, facility, command.alarm)
    if alarm is None:
        raise ConflictError(f"alarm {command.alarm!r} is cleared: there is nothing to shelve")
    if (alarm.shelved_until, alarm.shelf_reason) == (micros(command.until), command.reason):
        return []
    if not command.at < command.until <= command.at + LONGEST_SHELF:
        latest = from_micros(micros(command.at + LONGEST_SHELF)).isoformat()
        reason = f"an alarm can be shelved until a moment after now and not after {latest}"
        raise InvalidError(reason, [{"field": "until", "reason": reason}])
    return [
        f.AlarmShelved(
            at=command.at, facility=facility.id, alarm=alarm.id, sensor=alarm.sensor, by=command.by,
            until=command.until, reason=command.reason,
        )
    ]  # fmt: skip


def _unshelve(shard: Shard, facility: Facility, command: f.UnshelveAlarm) -> list[f.FacilityEvent]:
    alarm = _alarm(shard, facility, command.alarm)
    if alarm is None or alarm.shelved_until is None:
        return []
    return [f.AlarmUnshelved(at=command.at, facility=facility.id, alarm=alarm.id, sensor=alarm.sensor, by=command.by)]


def _clear(shard: Shard, facility: Facility, command: f.ClearAlarm) -> list[f.FacilityEvent]:
    alarm = _alarm(shard, facility, command.alarm)
    if alarm is None:
        return []
    if alarm.open:
        raise ConflictError(f"the condition of alarm {alarm.id!r} still holds: acknowledge or shelve it instead")
    return [cleared(facility, alarm, command.by, command.at)]


def _judge(shard: Shard, facility: Facility, command: f.JudgeAlarm) -> list[f.FacilityEvent]:
    """Nothing where the alarm on the list has that verdict already. Of a cleared one no verdict is known."""
    alarm = _alarm(shard, facility, command.alarm)
    if alarm is not None and alarm.verdict == command.verdict:
        return []
    return [
        f.AlarmJudged(
            at=command.at, facility=facility.id, alarm=command.alarm, sensor=command.alarm.partition(".")[0],
            verdict=command.verdict, by=command.by, note=command.note,
        )
    ]  # fmt: skip


def _sensor(shard: Shard, facility: Facility, sensor: str) -> int:
    i = shard.columns.index.get(sensor)
    if i is None or shard.columns.facility[i] != facility.id:
        raise NotFoundError("sensor", sensor)
    return i


def _alarm(shard: Shard, facility: Facility, alarm: str) -> Alarm | None:
    """The alarm, or `None` where it was cleared before. Raises `NotFoundError` where it has never been raised."""
    if (found := facility.alarms.get(alarm)) is not None:
        return found
    parts = split_alarm_id(alarm)
    if parts is not None and parts[0] in shard.columns.index:
        i = _sensor(shard, facility, parts[0])
        if 1 <= parts[2] <= shard.columns.occurrence[i, parts[1]]:
            return None
    raise NotFoundError("alarm", alarm)
