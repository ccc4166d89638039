"""The fold against a naive model that takes one row after the other, and against itself in any division."""

import math
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.facility.fold import LEAST_EVENTS
from schemas import facility as f
from schemas.base import micros
from schemas.facility import SLOTS
from tests.unit.facility.scenario import City, arrow, at, bodies

LIMITS = (
    f.Limit(condition="high", level="warning", on=5.0, off=3.0),
    f.Limit(condition="high", level="danger", on=8.0, off=8.0, on_delay_s=3, off_delay_s=2),
    f.Limit(condition="low", level="warning", on=-5.0, off=-3.0, off_delay_s=1),
    f.Limit(condition="rate", level="danger", on=4.0, off=2.0, on_delay_s=1),
)
SENSORS = ("a", "b", "c")

rows = st.tuples(
    st.sampled_from((*SENSORS, "unknown")),
    st.integers(0, 40),
    st.sampled_from([-9.0, -5.0, -4.0, -2.0, 0.0, 0.1, 4.0, 5.0, 7.9, 8.0, 9.0, 30.0, float("nan")]),
    st.one_of(st.integers(0, 12), st.sampled_from([63, 64, 65, 66, 130, 200])),
    st.integers(0, 3),
    st.sampled_from([0, 0, 0, 1, 2]),
)
streams = st.lists(st.lists(rows, max_size=12), min_size=1, max_size=8)


def city() -> City:
    made = City()
    for sensor in SENSORS:
        made.bridge(*(LIMITS if sensor != "c" else ()), sensor=sensor, grade="D", high=25.0, stale_after_s=30)
    return made


@dataclass
class Naive:
    """One sensor, one row after the other."""

    limits: dict[int, f.Limit]
    boots: dict[int, set[int]] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("late", "gaps", "duplicates", "bad"), 0))
    superseded: int = 0
    values: list[float] = field(default_factory=list)
    latest: tuple[int, float, int] | None = None
    seen: tuple[int, float] | None = None
    beyond: dict[int, bool] = field(default_factory=dict)
    since: dict[int, int] = field(default_factory=dict)
    active: dict[int, bool] = field(default_factory=dict)
    log: list[tuple[str, str, int]] = field(default_factory=list)

    def row(self, time: int, value: float, sequence: int, boot: int, quality: int, heard: int) -> None:
        if not self._counts(boot, sequence):
            return
        if value > 25.0:
            quality = 2
        if self.latest is None or time >= self.latest[0]:
            self.latest = (time, value, quality)
        if quality == 2:
            self.counts["bad"] += 1
            return
        self.values.append(value)
        if self.seen is None or heard >= self.seen[0]:
            self._detect(heard, value)
            self.seen = (heard, value)

    def _counts(self, boot: int, sequence: int) -> bool:
        if not self.order or boot > self.order[-1]:
            self.order.append(boot)
            self.boots[boot] = set()
        if boot not in self.order[-2:]:
            self.superseded += 1
            return False
        seen = self.boots[boot]
        top = max(seen, default=None)
        if sequence in seen or (top is not None and sequence <= top - 64):
            self.counts["duplicates"] += 1
            return False
        if top is not None and sequence > top:
            self.counts["gaps"] += sequence - top - 1
        if top is not None and sequence < top:
            self.counts["late"] += 1
        seen.add(sequence)
        return True

    def _detect(self, time: int, value: float) -> None:
        for slot, limit in sorted(self.limits.items()):
            sign = -1 if limit.condition == "low" else 1
            measure: float | None = value * sign
            if limit.condition == "rate":
                fresh = self.seen is None or time == self.seen[0]
                measure = None if self.seen is None or fresh else abs(value - self.seen[1]) / (time - self.seen[0])
            before = self.beyond.get(slot, False)
            now = before
            if measure is not None and measure >= sign * limit.on:
                now = True
            elif measure is not None and measure < sign * limit.off:
                now = False
            if now != before or slot not in self.since:
                self.since[slot] = time
            self.beyond[slot] = now
            held = time - self.since[slot]
            was = self.active.get(slot, False)
            if now and held >= limit.on_delay_s:
                self.active[slot] = True
            if not now and held >= limit.off_delay_s:
                self.active[slot] = False
            if self.active.get(slot, False) != was:
                self.log.append(("alarm-returned" if was else "alarm-raised", "-".join(SLOTS[slot]), time))


def alarm_log(events: list[Any], sensor: str) -> list[tuple[str, str, int]]:
    return [
        (event.name, event.alarm.split(".")[1], (micros(event.at) - micros(at(0))) // 1_000_000)
        for event in events
        if event.name in {"alarm-raised", "alarm-returned"} and event.sensor == sensor
    ]


@settings(max_examples=300)
@given(stream=streams)
def test_folding_batches_equals_a_naive_model_that_takes_row_after_row(stream: list[list[Any]]) -> None:
    told, events = city(), []
    refused = 0
    slots = {SLOTS.index((limit.condition, limit.level)): limit for limit in LIMITS}
    naive = {sensor: Naive(slots if sensor != "c" else {}) for sensor in SENSORS}
    for number, message in enumerate(stream):
        arrived = 15 + 5 * number  # so that some rows are ahead of their arrival
        told.reads(*message, arrived=arrived) if message else told.send()
        events += told.events
        refused += sum(rejection.id.endswith("boot") for rejection in told.outcome.rejections)
        for sensor, time, value, sequence, boot, quality in message:
            if sensor in naive and not math.isnan(value):
                naive[sensor].row(time, value, sequence, boot, quality, min(time, arrived))
    assert (refused > 0) == any(model.superseded for model in naive.values())
    for sensor, model in naive.items():
        row = told.row(sensor)
        assert {name: row[name] for name in model.counts} == model.counts
        assert row["count"] == len(model.values)
        assert row["boot"] == (model.order[-1] if model.order else None)
        assert (row["min"], row["max"]) == (min(model.values, default=None), max(model.values, default=None))
        assert alarm_log(events, sensor) == model.log
        if model.latest is not None:
            assert (row["time"], row["value"], row["quality"]) == (at(model.latest[0]), *model.latest[1:])


def refusals(found: list[Any]) -> list[tuple[str, str, bytes, int]]:
    return [(rejection.id, rejection.reason, rejection.data, rejection.sequence) for rejection in found]


@settings(max_examples=200)
@given(stream=streams, cuts=st.sets(st.integers(0, 8)))
def test_any_division_of_the_messages_gives_the_same_state_events_and_refusals(
    stream: list[list[Any]], cuts: set[int]
) -> None:
    one, many = city(), city()
    messages = [one.message(arrow(message), arrived=60 + k) for k, message in enumerate(stream)]
    one.send(*messages)
    events, found, begin = [], [], 0
    for end in [*sorted(cuts), len(messages)]:
        many.send(*messages[begin : max(begin, end)])
        begin = max(begin, end)
        events += many.events
        found += many.outcome.rejections
        assert many.context.digest(many.context.load(many.context.dump(many.state))) == many.digest
    assert (many.digest, many.position) == (one.digest, one.position)
    assert bodies(events) == bodies(one.events)
    assert refusals(found) == refusals(one.outcome.rejections)


@settings(max_examples=200)
@given(stream=streams, most=st.integers(LEAST_EVENTS, 60))
def test_commits_of_few_events_end_in_the_same_state_with_the_same_events(stream: list[list[Any]], most: int) -> None:
    one, many = city(), city()
    messages = [one.message(arrow(message), arrived=60) for message in stream]
    one.send(*messages, max_events=10_000)
    events, counted, refused = [], 0, 0
    while many.position.sequence < len(messages):
        before = many.position
        many.send(*messages, max_events=most)
        assert many.position != before
        assert len(many.events) <= most
        events += many.events
        counted += many.outcome.rows
        refused += len(many.outcome.rejections)
        again = city()
        again.state = many.context.load(many.context.dump(many.state))
        assert again.digest == many.digest
    assert (many.digest, counted) == (one.digest, one.outcome.rows)
    assert bodies(events) == bodies(one.events)
    assert refused >= len(one.outcome.rejections)


@settings(max_examples=100)
@given(stream=st.lists(st.lists(rows, min_size=1, max_size=6), min_size=2, max_size=6), silence=st.integers(0, 200))
def test_a_sensor_restored_in_any_division_is_restored_once(stream: list[list[Any]], silence: int) -> None:
    one, many = city(), city()
    first = one.message(arrow([(sensor, 0, 0.0, 0, 0, 0) for sensor in SENSORS]), arrived=0)
    messages = [one.message(arrow(message), arrived=silence + k) for k, message in enumerate(stream)]
    for each in (one, many):
        each.send(first)
        each.tick(silence)
    one.send(*messages)
    events = []
    for message in messages:
        many.send(message)
        events += many.events
    assert bodies(events) == bodies(one.events)
    assert many.digest == one.digest
    restored = [event.sensor for event in events if event.name == "sensor-restored"]
    assert len(restored) == len(set(restored))
