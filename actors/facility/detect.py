"""Alarm detectors: hysteresis, on and off delay, rate of change, as array operations over rows sorted by sensor.

Per row in stream order, for the row's sensor and each of its limits:
- a row ahead of its arrival counts as of that, or a clock that was wrong once would blind the sensor for so long;
- only a row whose time is not before the latest that the detectors saw counts here (a late one moves statistics alone);
- the measure is the value, its negative (`low`), or the absolute change per second since the detectors' last row
  (`rate`; none at an equal time, and then nothing is set or reset);
- *beyond* is set at or beyond `on`, reset strictly behind `off`, and holds between them;
- the latch goes on when beyond has held for `on_delay` since the first row of its run, off when its opposite has held
  for `off_delay`. A change of the latch is a transition.

A sensor that is quiet (not beyond, not latched, its extreme short of every `on`) costs the extremes and nothing more.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actors.facility.columns import F8, I8, MICRO, NEVER, Columns, Mask
from actors.facility.segments import Runs, last_true, running_max, runs_of, shifted
from schemas.facility import SLOTS


class Transition(NamedTuple):
    """A latch that changed: sensor and slot by number, on or off, the value that showed it, the moment (µs UTC)."""

    sensor: int
    slot: int
    on: bool
    value: float | None
    at: int


@dataclass(slots=True)
class Detection:
    """Transitions per slot, and what follows for the columns; nothing is changed yet.

    `found` holds arrays of row, sensor, direction, measure (NaN at a row without a rate) and time around their slot.
    """

    found: list[tuple[I8, I8, int, Mask, F8, I8]] = field(default_factory=list)
    writes: list[tuple[str, I8, int | None, NDArray[Any]]] = field(default_factory=list)

    @property
    def rows(self) -> I8:
        """The row of each transition, in no order."""
        return np.concatenate([rows for rows, *_ in self.found]) if self.found else np.empty(0, np.int64)

    def transitions(self) -> list[tuple[int, Transition]]:
        """(row, transition), in no order."""
        return [
            (row, Transition(sensor, slot, on, None if np.isnan(value) else value, time))
            for rows, sensors, slot, ons, values, times in self.found
            for row, sensor, on, value, time in zip(
                rows.tolist(), sensors.tolist(), ons.tolist(), values.tolist(), times.tolist(), strict=True
            )
        ]

    def apply(self, columns: Columns) -> None:
        """Write what the detectors remember."""
        for name, sensors, slot, values in self.writes:
            column = getattr(columns, name)
            column[sensors if slot is None else (sensors, slot)] = values


@dataclass(slots=True)
class _Rows:
    row: I8
    sensor: I8
    time: I8
    measure: F8


def detect(columns: Columns, row: I8, sensor: I8, time: I8, value: F8, arrived: I8 | None = None) -> Detection:
    """Run the detectors over good rows, sorted by sensor and in stream order within a sensor.

    Without `arrived` times stand as they are, and no arrival is remembered (fold version 1).
    """
    found = Detection()
    if arrived is not None:
        time = np.minimum(time, arrived)
    if (ahead := _not_late(columns, sensor, time)) is not None:
        row, sensor, time, value = row[ahead], sensor[ahead], time[ahead], value[ahead]
        arrived = None if arrived is None else arrived[ahead]
    if not len(sensor):
        return found
    runs = runs_of(sensor)
    who = sensor[runs.starts]
    if arrived is not None:
        found.writes.append(("seen_arrived", who, None, arrived[runs.lasts]))
    found.writes += [("seen_time", who, None, time[runs.lasts]), ("seen_value", who, None, value[runs.lasts])]

    high, low = np.maximum.reduceat(value, runs.starts), -np.minimum.reduceat(value, runs.starts)
    measures = {"high": (value, high), "low": (value, low)}
    rated = np.logical_not(np.isnan(columns.on[who][:, RATE_SLOTS]).all(axis=1))
    if rated.any():
        rate = _rates(columns, runs, who, time, value)
        measures["rate"] = (rate, np.fmax.reduceat(rate, runs.starts))
        _remember_rates(found, rate, runs, who, rated)
    for slot, (condition, _) in enumerate(SLOTS):
        if condition not in measures:
            continue
        on = columns.on[who, slot]
        has = ~np.isnan(on)
        if not has.any():
            continue
        measure, peak = measures[condition]
        reached = peak >= (-on if condition == "low" else on)
        busy = has & (reached | (columns.beyond[who, slot] > 0) | (columns.active[who, slot] > 0))
        fresh = np.flatnonzero(has & ~busy & (columns.since[who, slot] == NEVER))
        found.writes.append(("since", who[fresh], slot, time[runs.starts[fresh]]))
        if busy.any():
            rows = np.flatnonzero(busy[runs.of])
            part = measure[rows]
            _latch(columns, found, slot, _Rows(row[rows], sensor[rows], time[rows], part))
    return found


def _not_late(columns: Columns, sensor: I8, time: I8) -> I8 | None:
    """Which rows are not before the latest that the detectors saw; `None` where all are."""
    if not len(sensor):
        return None
    runs = runs_of(sensor)
    seen = columns.seen_time[sensor[runs.starts]]
    if not (time < shifted(time, runs, seen)).any():
        return None
    return np.flatnonzero(time >= running_max(time, runs, seen))


def judged_again(columns: Columns, i: int) -> Detection:
    """What limits that have just changed make of the value that a sensor's detectors saw last, as if read once more."""
    if columns.seen_time[i] == NEVER:
        return Detection()
    who = np.array([i])
    return detect(columns, np.zeros(1, np.int64), who, columns.seen_time[who], columns.seen_value[who])


RATE_SLOTS = [slot for slot, (condition, _) in enumerate(SLOTS) if condition == "rate"]


def _rates(columns: Columns, runs: Runs, who: I8, time: I8, value: F8) -> F8:
    """Absolute change per second since the row before; NaN for a sensor's first row and at an equal time."""
    before = shifted(time, runs, columns.seen_time[who])
    passed = np.where(before == NEVER, 0, time - np.where(before == NEVER, time, before))
    change = np.abs(value - shifted(value, runs, columns.seen_value[who]))
    rate: F8 = np.divide(change * MICRO, passed, out=np.full(runs.size, np.nan), where=passed > 0)
    return rate


def _remember_rates(found: Detection, rate: F8, runs: Runs, who: I8, rated: NDArray[Any]) -> None:
    newest = last_true(~np.isnan(rate), runs)[runs.lasts]
    known = np.flatnonzero(rated & (newest >= 0))
    found.writes.append(("seen_rate", who[known], None, rate[newest[known]]))


def _latch(columns: Columns, found: Detection, slot: int, rows: _Rows) -> None:
    """Hysteresis, delays and latch of one slot for rows of the sensors that are not quiet in it."""
    runs = runs_of(rows.sensor)
    who = rows.sensor[runs.starts]
    sign = -1.0 if SLOTS[slot][0] == "low" else 1.0
    measure = sign * rows.measure
    above = measure >= (sign * columns.on[who, slot])[runs.of]
    below = measure < (sign * columns.off[who, slot])[runs.of]

    beyond_before = columns.beyond[who, slot] > 0
    said = last_true(above | below, runs)
    beyond = np.where(said >= 0, above[said], beyond_before[runs.of])
    turned = beyond != shifted(beyond, runs, beyond_before)
    since_before = columns.since[who, slot]
    turned[runs.starts[since_before == NEVER]] = True
    turn = last_true(turned, runs)
    since = np.where(turn >= 0, rows.time[turn], since_before[runs.of])
    held = rows.time - since

    goes_on = beyond & (held >= columns.on_delay[who, slot][runs.of])
    goes_off = ~beyond & (held >= columns.off_delay[who, slot][runs.of])
    active_before = columns.active[who, slot] > 0
    moved = last_true(goes_on | goes_off, runs)
    active = np.where(moved >= 0, goes_on[moved], active_before[runs.of])
    changed = np.flatnonzero(active != shifted(active, runs, active_before))
    if len(changed):
        cells = (rows.measure[changed], rows.time[changed])
        found.found.append((rows.row[changed], rows.sensor[changed], slot, active[changed], *cells))
    found.writes += [
        ("beyond", who, slot, beyond[runs.lasts].astype(np.uint8)),
        ("since", who, slot, since[runs.lasts]),
        ("active", who, slot, active[runs.lasts].astype(np.uint8)),
    ]
