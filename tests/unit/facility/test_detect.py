"""Alarms from readings: hysteresis, delays in event time, rate, range, silence."""

import pytest

from schemas import facility as f
from tests.unit.facility.scenario import DANGER, HIGH, LOW, City

SMOKE = f.Limit(condition="high", level="danger", on=10.0, off=8.0, on_delay_s=5, off_delay_s=10)
RATE = f.Limit(condition="rate", level="warning", on=2.0, off=1.0)


def levels(city: City, *rows: tuple[float, float]) -> list[bool]:
    """Whether the sensor is in alarm after each (seconds, value), sent one by one."""
    found = []
    for seconds, value in rows:
        city.reads(("tilt-1", seconds, value))
        found.append(city.row()["level"] != "normal")
    return found


def test_an_alarm_is_on_at_its_limit_and_holds_down_to_its_off_value() -> None:
    city = City().bridge(HIGH)
    rows = [(1, 49.9), (2, 50.0), (3, 46.0), (4, 45.0), (5, 44.9), (6, 49.0), (7, 51.0)]
    assert levels(city, *rows) == [False, True, True, True, False, False, True]


def test_a_low_limit_mirrors_a_high_one() -> None:
    city = City().bridge(LOW)
    rows = [(1, -49.9), (2, -50.0), (3, -45.0), (4, -44.9)]
    assert levels(city, *rows) == [False, True, True, False]
    assert city.alarms()[0]["value"] == -50.0


def test_an_alarm_says_value_limit_unit_and_the_time_of_its_reading() -> None:
    city = City().bridge(HIGH)
    assert city.reads(("tilt-1", 1, 1.0), ("tilt-1", 2, 60.0), arrived=90) == ["alarm-raised", "risk-level-changed"]
    raised, risk = city.events
    assert raised.model_dump(mode="json") == {
        "at": "2026-01-15T09:00:02Z", "facility": "bridge-1", "alarm": "tilt-1.high-warning.1", "sensor": "tilt-1",
        "condition": "high", "level": "warning", "value": 60.0, "limit": 50.0, "unit": "mm", "synthetic": False,
    }  # fmt: skip
    assert (risk.was, risk.risk) == ("normal", "caution")


def test_smoke_in_a_market_must_last_five_seconds() -> None:
    city = City().bridge(SMOKE, kind="smoke")
    rows = [(0, 12), (4.9, 12), (5.0, 12), (6, 7), (15.9, 7), (16, 7)]
    assert levels(city, *rows) == [False, False, True, True, True, False]


def test_a_dip_starts_the_delay_anew() -> None:
    city = City().bridge(SMOKE)
    assert levels(city, (0, 12), (4, 7), (5, 12), (9.9, 12), (10, 12)) == [False, False, False, False, True]


def test_a_value_between_off_and_on_does_not_start_the_delay_anew() -> None:
    city = City().bridge(SMOKE)
    assert levels(city, (0, 12), (3, 9), (5, 9)) == [False, False, True]


def test_the_delay_spans_a_restart() -> None:
    city = City().bridge(SMOKE)
    city.reads(("tilt-1", 0, 12.0))
    city.state = city.context.load(city.context.dump(city.state))
    assert city.reads(("tilt-1", 5, 12.0)) == ["alarm-raised", "risk-level-changed"]


def test_a_fast_change_raises_a_rate_alarm_in_unit_per_second() -> None:
    city = City().bridge(RATE)
    assert levels(city, (0, 0), (1, 1.9), (2, 3.9), (4, 4.1)) == [False, False, True, False]
    alarm = city.alarms()[0]
    assert (alarm["value"], alarm["unit"], alarm["condition"]) == (2.0, "mm/s", "rate")


def test_two_readings_of_the_same_moment_have_no_rate() -> None:
    assert levels(City().bridge(RATE), (0, 0), (0, 1000)) == [False, False]


def test_warning_and_danger_are_raised_at_the_same_row_in_their_order() -> None:
    city = City().bridge(HIGH, DANGER)
    assert city.reads(("tilt-1", 1, 90.0)) == [
        "alarm-raised", "risk-level-changed", "alarm-raised", "risk-level-changed",
    ]  # fmt: skip
    assert [event.risk for event in city.events[1::2]] == ["caution", "danger"]
    assert city.row()["level"] == "danger"


def test_a_reading_from_before_what_was_seen_moves_statistics_and_no_alarm() -> None:
    city = City().bridge(HIGH)
    city.reads(("tilt-1", 10, 1.0))
    assert city.reads(("tilt-1", 9, 60.0)) == []
    assert (city.row()["max"], city.row()["value"]) == (60.0, 1.0)


def test_a_value_that_the_instrument_cannot_measure_is_bad_and_moves_no_alarm() -> None:
    city = City().bridge(HIGH, low=-100, high=65)
    assert city.reads(("tilt-1", 1, 1.0), ("tilt-1", 2, 80.0)) == []
    row = city.row()
    assert (row["quality"], row["bad"], row["count"], row["max"], row["value"]) == (2, 1, 1, 1.0, 80.0)


def test_a_reading_that_its_source_calls_bad_moves_no_alarm() -> None:
    city = City().bridge(HIGH)
    assert city.reads(("tilt-1", 2, 60.0, 0, 1, 2)) == []
    assert (city.row()["bad"], city.row()["count"], city.row()["min"]) == (1, 0, None)


def test_an_uncertain_reading_counts() -> None:
    city = City().bridge(HIGH)
    assert "alarm-raised" in city.reads(("tilt-1", 2, 60.0, 0, 1, 1))
    assert city.row()["quality"] == 1


def test_a_value_beyond_all_measure_is_bad() -> None:
    city = City().bridge(HIGH)
    city.command(f.CalibrateSensor, sensor="tilt-1", gain=1e300)
    assert city.reads(("tilt-1", 2, 1e300)) == []
    assert (city.row()["bad"], city.row()["deviation"]) == (1, None)


def test_statistics_are_those_of_the_good_readings() -> None:
    city = City().bridge()
    city.reads(*(("tilt-1", k, float(v)) for k, v in enumerate([2, 4, 4, 4, 5, 5, 7, 9])))
    row = city.row()
    assert (row["count"], row["mean"], row["min"], row["max"]) == (8, 5.0, 2.0, 9.0)
    assert row["deviation"] == pytest.approx((32 / 7) ** 0.5)


def test_a_silent_sensor_is_stale_until_it_is_heard() -> None:
    city = City().bridge(stale_after_s=60)
    assert city.tick(1000) == []
    city.reads(("tilt-1", 0, 1.0))
    assert city.tick(59) == []
    assert city.tick(60) == ["sensor-stale", "risk-level-changed"]
    assert city.tick(61) == []
    assert (city.row()["stale"], city.facility()["risk"]) == (True, "attention")
    assert city.facility()["reasons"] == ["무응답 · no data from sensor tilt-1"]
    assert city.reads(("tilt-1", 90, 1.0)) == ["sensor-restored", "risk-level-changed"]
    assert city.events[0].silent_s == 90.0
    assert (city.row()["stale"], city.facility()["risk"]) == (False, "normal")


def test_a_recorded_history_is_never_stale() -> None:
    city = City().bridge(stale_after_s=60, recorded=True)
    city.reads(("tilt-1", 0, 1.0))
    assert city.tick(10_000_000) == []


def test_a_sensor_that_is_no_longer_watched_for_silence_is_not_stale() -> None:
    city = City().bridge(stale_after_s=60)
    city.reads(("tilt-1", 0, 1.0))
    city.tick(60)
    assert city.command(f.RegisterSensor, sensor="tilt-1", facts=f.SensorFacts(kind="tilt", unit="mm")) == [
        "sensor-registered", "risk-level-changed",
    ]  # fmt: skip
    assert not city.row()["stale"]


def test_a_tick_leaves_what_does_not_fit_to_the_next() -> None:
    city = City()
    for number in range(600):
        city.bridge(sensor=f"s-{number}", stale_after_s=60)
    city.reads(*((f"s-{number}", 0, 1.0) for number in range(600)))
    first, second, third = city.tick(60), city.tick(60), city.tick(60)
    assert len(first) <= 499
    assert (first + second).count("sensor-stale") == 600
    assert third == []
