"""What a limit that is crossed, left or removed leads to: the events between a latch and the alarm list."""

from actors.facility.aggregate import ACKNOWLEDGED, Alarm, Facility
from actors.facility.detect import Transition
from actors.facility.state import Shard, alarm_id
from schemas import facility as f
from schemas.base import UtcTime, from_micros
from schemas.facility import SLOTS

CLOCK = "clock"
"""`by` of what happens by itself."""
NEXT_OCCURRENCE = "next-occurrence"
"""`by` of the clearing of a returned alarm whose next occurrence is raised."""
MOST_EVENTS = 4
"""Events of one transition at most: the old occurrence cleared, the new one raised and shelved, the risk changed."""


def current(shard: Shard, facility: Facility, sensor: str, slot: int) -> Alarm | None:
    """The newest occurrence of a sensor's slot, if it is on the list. There is never more than one per slot."""
    i = shard.columns.index[sensor]
    return facility.alarms.get(alarm_id(sensor, slot, int(shard.columns.occurrence[i, slot])))


def alarm_events(shard: Shard, facility: Facility, change: Transition) -> list[f.FacilityEvent]:
    """The events that a transition leads to, without the change of risk. Changes nothing."""
    return _raised(shard, facility, change) if change.on else _returned(shard, facility, change)


def _raised(shard: Shard, facility: Facility, change: Transition) -> list[f.FacilityEvent]:
    """Raise the next occurrence, unless one is open or the facility is in maintenance.

    A returned occurrence that nobody acknowledged gives way to the new one, and its shelving passes on: the list
    holds one alarm per limit, however much a sensor chatters, and what was silenced stays silent.
    """
    columns, i, slot = shard.columns, change.sensor, change.slot
    sensor, facts, at = columns.ids[i], columns.facts[i], from_micros(change.at)
    old = current(shard, facility, sensor, slot)
    if facility.maintenance or (old is not None and old.open):
        return []
    condition, level = SLOTS[slot]
    alarm = alarm_id(sensor, slot, int(columns.occurrence[i, slot]) + 1)
    events: list[f.FacilityEvent] = [
        f.AlarmRaised(
            at=at, facility=facility.id, alarm=alarm, sensor=sensor, condition=condition, level=level,
            value=change.value or 0.0, limit=float(columns.on[i, slot]),
            unit=f"{facts.unit}/s" if condition == "rate" else facts.unit, synthetic=facts.synthetic,
        )
    ]  # fmt: skip
    if old is not None:
        events.insert(0, cleared(facility, old, NEXT_OCCURRENCE, at))
    if old is not None and old.shelved_until is not None:
        events.append(
            f.AlarmShelved(
                at=at, facility=facility.id, alarm=alarm, sensor=sensor, by=old.shelved_by or CLOCK,
                until=from_micros(old.shelved_until), reason=old.shelf_reason or NEXT_OCCURRENCE,
            )
        )  # fmt: skip
    return events


def _returned(shard: Shard, facility: Facility, change: Transition) -> list[f.FacilityEvent]:
    """Return the open occurrence to normal, and clear it where it was acknowledged already."""
    alarm = current(shard, facility, shard.columns.ids[change.sensor], change.slot)
    if alarm is None or not alarm.open:
        return []
    at = from_micros(change.at)
    events: list[f.FacilityEvent] = [
        f.AlarmReturned(at=at, facility=facility.id, alarm=alarm.id, sensor=alarm.sensor, value=change.value)
    ]
    if alarm.state == ACKNOWLEDGED:
        events.append(cleared(facility, alarm, CLOCK, at))
    return events


def cleared(facility: Facility, alarm: Alarm, by: str, at: UtcTime) -> f.AlarmCleared:
    """Take an alarm off the list."""
    return f.AlarmCleared(at=at, facility=facility.id, alarm=alarm.id, sensor=alarm.sensor, by=by)
