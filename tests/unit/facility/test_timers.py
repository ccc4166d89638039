"""What time alone brings about, and clocks that are wrong."""

import pytest

from schemas import facility as f
from tests.unit.facility.scenario import HIGH, City

SMOKE = f.Limit(condition="high", level="danger", on=10.0, off=8.0, on_delay_s=5, off_delay_s=10)
RATE = f.Limit(condition="rate", level="danger", on=2.0, off=1.0, on_delay_s=5)


def smoking(**more: object) -> City:
    """A detector that was beyond its limit at the first second, and says nothing since."""
    city = City().bridge(SMOKE, kind="smoke", **more)
    assert city.reads(("tilt-1", 1, 99.0)) == []
    return city


def test_a_detector_that_reports_once_and_burns_alarms_when_its_delay_has_passed() -> None:
    city = smoking()
    assert city.tick(5.9) == []
    assert city.tick(6) == ["alarm-raised", "risk-level-changed"]
    assert (city.events[0].value, city.events[0].limit) == (99.0, 10.0)
    assert city.tick(7) == []


def test_an_alarm_of_the_clock_returns_with_a_reading_like_any_other() -> None:
    city = smoking()
    city.tick(6)
    assert city.reads(("tilt-1", 7, 99.0)) == []
    assert city.reads(("tilt-1", 8, 1.0)) == []
    assert city.reads(("tilt-1", 18, 1.0)) == ["alarm-returned", "risk-level-changed"]


def test_the_delay_goes_on_from_the_arrival_of_the_reading_whatever_its_clock() -> None:
    city = City().bridge(SMOKE)
    city.reads(("tilt-1", -600, 99.0), arrived=1)
    assert city.tick(5.9) == []
    assert "alarm-raised" in city.tick(6)


def test_readings_that_are_bad_do_not_put_the_delay_off() -> None:
    city = smoking(high=100.0)
    assert city.reads(("tilt-1", 4, 500.0)) == []
    assert "alarm-raised" in city.tick(6)


def test_a_dip_in_time_keeps_the_clock_from_raising() -> None:
    city = smoking()
    city.reads(("tilt-1", 3, 1.0))
    assert city.tick(60) == []


def test_a_sensor_that_is_silent_before_its_delay_has_passed_is_stale_and_raises_nothing() -> None:
    city = smoking(stale_after_s=3)
    assert city.tick(60) == ["sensor-stale", "risk-level-changed"]
    assert city.tick(61) == []


def test_a_host_that_was_away_raises_what_was_due_before_the_sensor_fell_silent() -> None:
    city = smoking(stale_after_s=30)
    assert city.tick(3600) == ["alarm-raised", "risk-level-changed", "sensor-stale"]


def test_a_recorded_history_and_a_rate_are_not_judged_by_the_clock() -> None:
    assert smoking(recorded=True).tick(60) == []
    city = City().bridge(RATE)
    city.reads(("tilt-1", 0, 0.0), ("tilt-1", 1, 9.0))
    assert city.tick(60) == []


def test_in_maintenance_the_clock_raises_nothing_and_at_its_end_what_holds() -> None:
    city = smoking()
    city.command(f.BeginMaintenance, 2, reason="점검")
    assert city.tick(60) == []
    city.command(f.EndMaintenance, 61)
    assert city.tick(62) == ["alarm-raised", "risk-level-changed"]


@pytest.mark.parametrize("wrong", [1, 299])
def test_a_clock_that_is_ahead_for_one_reading_does_not_blind_its_sensor(wrong: float) -> None:
    city = City().bridge(HIGH)
    city.reads(("tilt-1", wrong, 1.0), arrived=0)
    assert "alarm-raised" in city.reads(("tilt-1", 1, 99.0))


def test_a_snapshot_keeps_what_the_clock_waits_for() -> None:
    city = smoking()
    city.state = city.context.load(city.context.dump(city.state))
    assert "alarm-raised" in city.tick(6)
