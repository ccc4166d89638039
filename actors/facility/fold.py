"""Folding readings into a shard: the rule per row, and how a batch is folded without a loop over its rows.

Per row in stream order:
1. a row that cannot count is refused with a reason (`batch.REASONS`); the good rows beside it count;
2. it counts once per (sensor, boot, sequence) (`dedup`), and where an operator sent it again too late, it is refused
   once more; the arrival of its sensor is noted;
3. value = gain × raw + offset; quality is the source's, but bad outside the sensor's range or beyond `MAGNITUDE`;
4. the latest reading is the one with the greatest event time, of any quality (at equal times the later in the stream);
5. a bad reading is counted as bad and does nothing else; any other moves the statistics, as sequential sums of
   deviations from the sensor's first value, and the detectors (`detect`);
6. a row from a stale sensor restores it; then its transitions happen in the order of their slots, each with the events
   that follow and the change of risk, before the next row.

Every step is cumulative per sensor, so a division of the rows into batches leaves no trace in state or events.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from actors.context import Outcome
from actors.facility.alarms import MOST_EVENTS, alarm_events
from actors.facility.batch import SUPERSEDED, Batch, gather, refuse_again, rejections
from actors.facility.columns import B1, F8, I8, MICRO, Columns
from actors.facility.counted import readings
from actors.facility.dedup import Verdict, judge
from actors.facility.detect import Detection, Transition, detect
from actors.facility.risk import concluded
from actors.facility.segments import runs_of
from actors.facility.state import Shard, evolve
from schemas import facility as f
from schemas.base import from_micros
from schemas.tables import BAD
from streams import codec
from streams.ingest import Observed
from streams.log import Position

MAGNITUDE = 1e100
"""Beyond it no instrument measures, and squares in the statistics would overflow."""
RESTORED_EVENTS = 2
FIRST_ROWS, ROWS = 8_192, 65_536
"""Rows folded at once, doubling: a call that a flood of alarms soon ends has little to read, a long one is fast.
They depend on nothing but the call, so that a replay of the same range ends at the same row."""
LEAST_EVENTS = 6 * MOST_EVENTS + RESTORED_EVENTS
"""What one row can lead to at most; `max_events` below it may not move at all."""


class _Heard(NamedTuple):
    """A stale sensor's first row: when it arrived, and when the one before the silence did (µs)."""

    sensor: int
    arrived: int
    before: int


@dataclass(slots=True)
class _Plan:
    """What folding some rows would do. Rows are sorted by sensor; `row` is each one's place in the batch."""

    row: I8
    sensor: I8
    time: I8
    value: F8
    quality: B1
    arrived: I8
    superseded: I8
    behind: I8
    verdict: Verdict
    detection: Detection
    restored: list[tuple[int, "_Heard"]]


def observe(shard: Shard, messages: Sequence[Observed], start: Position, max_events: int) -> Outcome:
    """Fold messages behind `start` in stream order, evolving each event; stops before a row that might not fit.

    Never raises on input. `max_events` is at least `LEAST_EVENTS`, or a row that trips alarms may never be folded.
    """
    outcome = Outcome([], [], start)
    rest = [message for message in messages if message.sequence > start.sequence]
    skip, rows = start.rows, FIRST_ROWS
    while rest:
        batch = gather(shard.columns, rest, skip, rows, shard.version)
        taken = _fold(shard, batch, max_events, outcome)
        outcome.rows += taken
        for part in batch.parts:
            if part.end > taken:
                outcome.end = Position(outcome.end.sequence, part.skip + max(taken - part.begin, 0))
                return outcome
            outcome.end = Position(part.message.sequence, 0)
        rest, skip, rows = rest[len(batch.parts) :], 0, min(2 * rows, ROWS)
    return outcome


def _fold(shard: Shard, batch: Batch, max_events: int, outcome: Outcome) -> int:
    """Fold as many rows of the batch as fit, and say how many."""
    taken = len(batch)
    if (plan := _plan(shard, batch, taken)) is not None:
        fitting = _fitting(plan, taken, max_events - len(outcome.events))
        if fitting < taken:
            taken = fitting
            plan = _plan(shard, batch, taken)
    if plan is not None:
        batch.reason[plan.superseded] = SUPERSEDED
        refuse_again(batch, plan.behind)
        _apply(shard.columns, plan)
        if shard.counted is not None and len(plan.row):
            shard.counted.append(readings(shard, batch, plan.row, plan.value, plan.quality))
        for row, events in _events(shard, plan):
            outcome.events += events
            outcome.traces += [codec.trace_of(batch.message(row).headers)] * len(events)
    outcome.rejections += rejections(batch, taken)
    return taken


def _plan(shard: Shard, batch: Batch, taken: int) -> _Plan | None:
    """What the first `taken` rows lead to, `None` where nothing can count. Changes nothing."""
    columns = shard.columns
    keep = np.flatnonzero(batch.reason[:taken] == 0)
    if not len(keep):
        return None
    key = batch.sensor[keep]
    narrow = key.astype(np.uint16) if columns.n <= 65_536 else key  # a radix sort for 16 bits
    row = keep[np.argsort(narrow, kind="stable")]
    verdict = judge(columns, batch.sensor[row], batch.boot[row], batch.sequence[row])
    superseded, behind = row[verdict.superseded], row[verdict.behind]
    if not verdict.accepted.all():
        row = row[verdict.accepted]
    sensor, time, quality = batch.sensor[row], batch.time[row], batch.quality[row]
    with np.errstate(over="ignore"):
        value = columns.gain[sensor] * batch.value[row] + columns.offset[sensor]
    outside = (value < columns.low[sensor]) | (value > columns.high[sensor]) | ~(np.abs(value) <= MAGNITUDE)
    if outside.any():
        quality = np.where(outside, np.uint8(BAD), quality)
    arrived = batch.arrived[row]
    good = quality != BAD
    rows = (row, sensor, time, value, arrived) if shard.version > 1 else (row, sensor, time, value)
    detection = detect(columns, *(rows if good.all() else [part[good] for part in rows]))
    restored = _restored(columns, row, sensor, arrived)
    return _Plan(row, sensor, time, value, quality, arrived, superseded, behind, verdict, detection, restored)


def _restored(columns: Columns, row: I8, sensor: I8, arrived: I8) -> list[tuple[int, _Heard]]:
    """The first row of each stale sensor."""
    if not columns.stale[: columns.n].any() or not len(row):
        return []
    starts = runs_of(sensor).starts
    starts = starts[columns.stale[sensor[starts]] > 0]
    before = columns.arrived[sensor[starts]]
    heard = map(_Heard, sensor[starts].tolist(), arrived[starts].tolist(), before.tolist())
    return list(zip(row[starts].tolist(), heard, strict=True))


def _fitting(plan: _Plan, taken: int, room: int) -> int:
    """How many rows certainly lead to no more than `room` events: all, or those before the first that might not fit."""
    changes = plan.detection.rows
    rows = np.concatenate([changes, np.array([row for row, _ in plan.restored], np.int64)])
    costs = np.repeat([MOST_EVENTS, RESTORED_EVENTS], [len(changes), len(plan.restored)])
    order = np.argsort(rows, kind="stable")
    beyond = np.flatnonzero(np.cumsum(costs[order]) > room)
    return int(rows[order[beyond[0]]]) if len(beyond) else taken


def _apply(columns: Columns, plan: _Plan) -> None:
    plan.verdict.apply(columns)
    if not len(plan.row):
        return
    runs = runs_of(plan.sensor)
    who = plan.sensor[runs.starts]
    columns.arrived[who] = np.maximum(columns.arrived[who], np.maximum.reduceat(plan.arrived, runs.starts))
    _keep_latest(columns, plan)
    good = plan.quality != BAD
    if not good.all():
        np.add.at(columns.bad, plan.sensor[~good], np.uint64(1))
    _count(columns, plan.sensor[good], plan.value[good])
    plan.detection.apply(columns)


def _keep_latest(columns: Columns, plan: _Plan) -> None:
    runs = runs_of(plan.sensor)
    who = plan.sensor[runs.starts]
    newest = np.maximum.reduceat(plan.time, runs.starts)
    place = np.maximum.reduceat(np.where(plan.time == newest[runs.of], np.arange(runs.size), -1), runs.starts)
    later = np.flatnonzero(newest >= columns.time[who])
    who, place = who[later], place[later]
    columns.time[who], columns.value[who] = plan.time[place], plan.value[place]
    columns.quality[who] = plan.quality[place]


def _count(columns: Columns, sensor: I8, value: F8) -> None:
    """Statistics, in an order that no batching changes: one addition after the other per sensor."""
    if not len(sensor):
        return
    runs = runs_of(sensor)
    who = sensor[runs.starts]
    new = columns.count[who] == 0
    columns.origin[who[new]] = value[runs.starts[new]]
    deviation = value - columns.origin[sensor]
    np.add.at(columns.sum1, sensor, deviation)
    np.add.at(columns.sum2, sensor, deviation * deviation)
    columns.count[who] += (runs.lasts - runs.starts + 1).astype(np.uint64)
    columns.minimum[who] = np.minimum(columns.minimum[who], np.minimum.reduceat(value, runs.starts))
    columns.maximum[who] = np.maximum(columns.maximum[who], np.maximum.reduceat(value, runs.starts))


def _events(shard: Shard, plan: _Plan) -> list[tuple[int, list[f.FacilityEvent]]]:
    """What happens at which row, row by row, each event evolved before the next is decided."""
    if not plan.restored and not plan.detection.found:
        return []
    steps: list[tuple[int, int, Transition | _Heard]] = [(row, -1, heard) for row, heard in plan.restored]
    steps += [(row, change.slot, change) for row, change in plan.detection.transitions()]
    found: list[tuple[int, list[f.FacilityEvent]]] = []
    for row, _, step in sorted(steps, key=lambda step: step[:2]):
        facility = shard.facilities[shard.columns.facility[step.sensor]]
        led: list[f.FacilityEvent] = (
            alarm_events(shard, facility, step) if isinstance(step, Transition) else [_restoration(shard, step)]
        )
        events = concluded(facility, shard.kind, led)
        for event in events:
            evolve(shard, event)
        found.append((row, events))
    return found


def _restoration(shard: Shard, heard: _Heard) -> f.SensorRestored:
    columns = shard.columns
    return f.SensorRestored(
        at=from_micros(heard.arrived),
        facility=columns.facility[heard.sensor],
        sensor=columns.ids[heard.sensor],
        silent_s=max(heard.arrived - heard.before, 0) / MICRO,
    )
