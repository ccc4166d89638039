"""What time alone brings about: an on-delay passes, sensors fall silent, shelvings end."""

import numpy as np

from actors.facility.alarms import CLOCK, alarm_events
from actors.facility.columns import NEVER
from actors.facility.detect import RATE_SLOTS, Transition
from actors.facility.risk import concluded
from actors.facility.state import Shard, evolve
from schemas import facility as f
from schemas.base import from_micros
from streams.log import MAX_BATCH

MOST = MAX_BATCH // 2 - 1
"""Events of one tick; what is left over comes with the next."""


def tick(shard: Shard, clock: int) -> list[f.FacilityEvent]:
    """Evolve what is due at `clock` (µs UTC): alarms, then silences, in order of registration, then shelvings by id.

    The same state and clock give the same events, and again none once all are there.
    """
    events = _delayed(shard, clock) if shard.version > 1 else []
    for due in [*_silences(shard, clock), *_shelf_ends(shard, clock)]:
        led = concluded(shard.facilities[due.facility], shard.kind, [due])
        if len(events) + len(led) > MOST:
            break
        for event in led:
            evolve(shard, event)
        events += led
    return events


def _delayed(shard: Shard, clock: int) -> list[f.FacilityEvent]:
    """Raise the alarms of those that were beyond a limit when last heard, for longer than its delay by now.

    Time goes on from the arrival of that reading, whatever the sensor's clock. A rate is none without a next reading; a
    sensor that fell silent before the delay passed no longer tells anything, and a recorded one's time is not now.
    """
    columns, n = shard.columns, shard.columns.n
    pending = (columns.beyond[:n] > 0) & (columns.active[:n] == 0) & (columns.seen_arrived[:n] != NEVER)[:, None]
    pending[:, RATE_SLOTS] = False
    events: list[f.FacilityEvent] = []
    for i, slot in np.argwhere(pending).tolist():
        due = columns.seen_arrived[i] + columns.on_delay[i, slot] - (columns.seen_time[i] - columns.since[i, slot])
        silent = columns.stale_after[i] != NEVER and due > columns.arrived[i] + columns.stale_after[i]
        if due > clock or silent or columns.stale[i] or columns.facts[i].recorded:
            continue
        facility = shard.facilities[columns.facility[i]]
        change = Transition(i, slot, True, float(columns.seen_value[i]), clock)
        led = concluded(facility, shard.kind, alarm_events(shard, facility, change))
        if len(events) + len(led) > MOST:
            break
        if led:  # in maintenance there is none, and the latch waits with it
            columns.active[i, slot] = 1
        for event in led:
            evolve(shard, event)
        events += led
    return events


def _silences(shard: Shard, clock: int) -> list[f.FacilityEvent]:
    """A sensor that has never been heard is new, not silent."""
    columns, n = shard.columns, shard.columns.n
    arrived, limit = columns.arrived[:n], columns.stale_after[:n]
    watched = (limit != NEVER) & (arrived != NEVER) & (columns.stale[:n] == 0)
    silent = np.flatnonzero(watched & (arrived <= clock - np.where(watched, limit, 0)))
    return [
        f.SensorStale(
            at=from_micros(clock),
            facility=columns.facility[i],
            sensor=columns.ids[i],
            last_arrival=from_micros(int(columns.arrived[i])),
        )
        for i in silent[:MOST].tolist()
    ]


def _shelf_ends(shard: Shard, clock: int) -> list[f.FacilityEvent]:
    found: list[f.FacilityEvent] = []
    for alarm_id, facility in sorted(shard.shelved.items()):
        alarm = shard.facilities[facility].alarms[alarm_id]
        if alarm.shelved_until is not None and alarm.shelved_until <= clock:
            found.append(
                f.AlarmUnshelved(
                    at=from_micros(clock), facility=facility, alarm=alarm_id, sensor=alarm.sensor, by=CLOCK
                )
            )
    return found
