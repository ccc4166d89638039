"""Commands to a facility: given / when / then."""

from datetime import timedelta

import pytest

from schemas import facility as f
from schemas.errors import ConflictError, InvalidError, NotFoundError
from tests.unit.facility.scenario import BRIDGE, DANGER, HIGH, LOW, City, at, facts


def in_alarm(*limits: f.Limit, value: float = 60.0, **more: object) -> City:
    city = City().bridge(*(limits or (HIGH,)), **more)
    assert "alarm-raised" in city.reads(("tilt-1", 1, value))
    return city


ALARM = "tilt-1.high-warning.1"


def test_registering_the_same_facility_again_changes_nothing() -> None:
    assert City().bridge().command(f.RegisterFacility, facts=BRIDGE) == []


def test_a_facility_of_grade_d_is_watched_from_the_start() -> None:
    city = City()
    worse = BRIDGE.model_copy(update={"grade": "D"})
    assert city.command(f.RegisterFacility, facts=worse) == ["facility-registered", "risk-level-changed"]
    assert city.facility()["risk"] == "attention"
    assert city.facility()["reasons"] == ["안전등급 D · safety grade D"]


def test_registering_the_same_sensor_again_changes_nothing() -> None:
    assert City().bridge(HIGH).command(f.RegisterSensor, sensor="tilt-1", facts=facts(HIGH)) == []


def test_loading_a_pack_again_keeps_thresholds_that_an_officer_changed() -> None:
    city = City().bridge(HIGH)
    assert city.command(f.ChangeThresholds, sensor="tilt-1", limits=(LOW,)) == ["thresholds-changed"]
    assert city.command(f.RegisterSensor, sensor="tilt-1", facts=facts(HIGH)) == []
    assert city.reads(("tilt-1", 1, 60.0)) == []


def test_a_sensor_of_an_unknown_facility_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="no facility 'bridge-1'"):
        City().command(f.RegisterSensor, sensor="tilt-1", facts=facts())


def test_a_sensor_id_of_another_facility_conflicts() -> None:
    city = City().bridge().bridge(sensor="tilt-2", facility="bridge-2")
    with pytest.raises(ConflictError, match="belongs to facility 'bridge-1'"):
        city.command(f.RegisterSensor, facility="bridge-2", sensor="tilt-1", facts=facts())


def test_commands_find_only_the_facilitys_own_sensors() -> None:
    city = City().bridge().bridge(sensor="tilt-2", facility="bridge-2")
    with pytest.raises(NotFoundError, match="no sensor 'tilt-2'"):
        city.command(f.CalibrateSensor, sensor="tilt-2", gain=2)


@pytest.mark.parametrize("wrong", [{"stale_after_s": 0.0}, {"low": 2.0, "high": 1.0}])
def test_a_sensor_that_is_always_silent_or_always_wrong_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidError):
        City().bridge(**wrong)


def test_calibration_corrects_what_follows() -> None:
    city = City().bridge()
    assert city.command(f.CalibrateSensor, sensor="tilt-1", gain=2, offset=-1) == ["sensor-calibrated"]
    assert city.command(f.CalibrateSensor, sensor="tilt-1", gain=2, offset=-1) == []
    city.reads(("tilt-1", 1, 10.0))
    assert city.row()["value"] == 19.0


def test_calibrating_is_no_change_of_the_value() -> None:
    city = City().bridge(f.Limit(condition="rate", level="danger", on=2.0, off=1.0))
    city.reads(("tilt-1", 1, 5.0), ("tilt-1", 2, 5.0))
    city.command(f.CalibrateSensor, 2, sensor="tilt-1", gain=1, offset=10)
    assert city.reads(("tilt-1", 3, 5.0)) == []
    assert "alarm-raised" in city.reads(("tilt-1", 4, 8.0))


def test_after_a_gain_of_nothing_no_change_is_known() -> None:
    city = City().bridge(f.Limit(condition="rate", level="danger", on=2.0, off=1.0))
    city.command(f.CalibrateSensor, sensor="tilt-1", gain=0)
    city.reads(("tilt-1", 1, 5.0))
    city.command(f.CalibrateSensor, sensor="tilt-1", gain=1)
    assert city.reads(("tilt-1", 2, 50.0)) == []


def test_a_replaced_sensor_starts_anew_and_its_alarm_returns() -> None:
    city = in_alarm()
    assert city.command(f.ReplaceSensor, 2, sensor="tilt-1", serial="SN-2") == [
        "sensor-replaced", "alarm-returned", "risk-level-changed",
    ]  # fmt: skip
    assert city.command(f.ReplaceSensor, 3, sensor="tilt-1", serial="SN-2") == []
    assert (city.row()["count"], city.row()["boot"], city.row()["value"]) == (0, None, None)
    assert "alarm-raised" in city.reads(("tilt-1", 4, 61.0, 0, 0))
    assert [alarm["alarm"] for alarm in city.alarms()] == ["tilt-1.high-warning.2"]


def test_removing_a_limit_returns_its_alarm_and_keeps_the_others_latch() -> None:
    city = in_alarm(HIGH, DANGER, value=90.0)
    assert city.command(f.ChangeThresholds, 2, sensor="tilt-1", limits=(HIGH,)) == [
        "thresholds-changed", "alarm-returned", "risk-level-changed",
    ]  # fmt: skip
    assert city.row()["level"] == "warning"
    assert city.reads(("tilt-1", 3, 40.0))[0] == "alarm-returned"


def test_a_limit_set_below_the_value_raises_at_once() -> None:
    city = City().bridge(DANGER)
    city.reads(("tilt-1", 1, 60.0))
    assert city.command(f.ChangeThresholds, 2, sensor="tilt-1", limits=(HIGH, DANGER)) == [
        "thresholds-changed", "alarm-raised", "risk-level-changed",
    ]  # fmt: skip
    assert (city.alarms()[0]["value"], city.alarms()[0]["limit"]) == (60.0, 50.0)
    assert city.reads(("tilt-1", 3, 60.0)) == []


def test_a_limit_set_above_the_value_returns_its_alarm_at_once() -> None:
    city = in_alarm(value=60.0)
    higher = HIGH.model_copy(update={"on": 70.0, "off": 65.0})
    assert city.command(f.ChangeThresholds, 2, sensor="tilt-1", limits=(higher,)) == [
        "thresholds-changed", "alarm-returned", "risk-level-changed",
    ]  # fmt: skip
    assert city.row()["level"] == "normal"


def test_a_limit_with_a_delay_set_below_the_value_raises_when_the_delay_has_passed() -> None:
    city = City().bridge(DANGER)
    city.reads(("tilt-1", 1, 60.0))
    slow = HIGH.model_copy(update={"on_delay_s": 5.0})
    assert city.command(f.ChangeThresholds, 2, sensor="tilt-1", limits=(slow,)) == ["thresholds-changed"]
    assert "alarm-raised" in city.tick(6)


def test_the_order_of_limits_is_no_change() -> None:
    city = City().bridge(HIGH, LOW)
    assert city.command(f.ChangeThresholds, sensor="tilt-1", limits=(LOW, HIGH)) == []


def test_maintenance_suppresses_new_alarms_and_its_end_raises_what_still_holds() -> None:
    city = City().bridge(HIGH)
    assert city.command(f.BeginMaintenance, reason="도장") == ["maintenance-begun"]
    assert city.command(f.BeginMaintenance, reason="도장") == []
    assert city.reads(("tilt-1", 1, 60.0)) == []
    assert city.row()["level"] == "warning"
    assert city.command(f.EndMaintenance, 5) == ["maintenance-ended", "alarm-raised", "risk-level-changed"]
    assert city.alarms()[0]["value"] == 60.0
    assert city.command(f.EndMaintenance, 6) == []


def test_an_alarm_that_returns_during_maintenance_returns() -> None:
    city = in_alarm()
    city.command(f.BeginMaintenance, 2, reason="점검")
    assert city.reads(("tilt-1", 3, 1.0)) == ["alarm-returned", "risk-level-changed"]
    assert city.command(f.EndMaintenance, 5) == ["maintenance-ended"]


def test_an_acknowledged_alarm_clears_when_it_returns() -> None:
    city = in_alarm()
    assert city.command(f.AcknowledgeAlarm, 2, alarm=ALARM) == ["alarm-acknowledged"]
    assert city.command(f.AcknowledgeAlarm, 3, alarm=ALARM) == []
    assert city.alarms()[0]["state"] == "acknowledged"
    assert city.reads(("tilt-1", 4, 1.0)) == ["alarm-returned", "alarm-cleared", "risk-level-changed"]
    assert city.alarms() == []
    assert city.facility()["risk"] == "normal"


def test_a_returned_alarm_stays_until_it_is_acknowledged() -> None:
    city = in_alarm()
    assert city.reads(("tilt-1", 2, 1.0)) == ["alarm-returned", "risk-level-changed"]
    assert (city.alarms()[0]["state"], city.facility()["risk"]) == ("returned", "attention")
    assert city.command(f.AcknowledgeAlarm, 3, alarm=ALARM) == [
        "alarm-acknowledged", "alarm-cleared", "risk-level-changed",
    ]  # fmt: skip
    assert city.facility()["risk"] == "normal"


def test_a_cleared_alarm_is_remembered_as_one_that_has_been() -> None:
    city = in_alarm()
    city.reads(("tilt-1", 2, 1.0))
    assert city.command(f.ClearAlarm, 3, alarm=ALARM) == ["alarm-cleared", "risk-level-changed"]
    assert city.command(f.ClearAlarm, 4, alarm=ALARM) == []
    assert city.command(f.AcknowledgeAlarm, 4, alarm=ALARM) == []
    assert city.command(f.UnshelveAlarm, 4, alarm=ALARM) == []
    with pytest.raises(ConflictError, match="is cleared"):
        city.command(f.ShelveAlarm, 4, alarm=ALARM, until=at(60), reason="x")


@pytest.mark.parametrize(
    "alarm",
    ["tilt-1.high-warning.2", "tilt-1.high-warning.01", "tilt-1.high-warning.0", "tilt-9.high-warning.1", "x", "a.b.c"],
)
def test_an_alarm_that_has_never_been_raised_is_not_found(alarm: str) -> None:
    with pytest.raises(NotFoundError, match="there is no alarm"):
        in_alarm().command(f.AcknowledgeAlarm, 2, alarm=alarm)


def test_an_alarm_is_found_only_in_its_own_facility() -> None:
    city = in_alarm().bridge(sensor="tilt-2", facility="bridge-2")
    with pytest.raises(NotFoundError):
        city.command(f.AcknowledgeAlarm, 2, facility="bridge-2", alarm=ALARM)


def test_an_active_alarm_cannot_be_cleared() -> None:
    with pytest.raises(ConflictError, match="still holds"):
        in_alarm().command(f.ClearAlarm, 2, alarm=ALARM)


def test_a_shelved_alarm_counts_for_nothing_until_the_clock_unshelves_it() -> None:
    city = in_alarm()
    shelve = {"alarm": ALARM, "until": at(3600), "reason": "센서 교체 예정"}
    assert city.command(f.ShelveAlarm, 2, **shelve) == ["alarm-shelved", "risk-level-changed"]
    assert city.command(f.ShelveAlarm, 3, **shelve) == []
    assert (city.facility()["risk"], city.alarms()[0]["shelved_until"]) == ("normal", at(3600))
    assert city.tick(3599) == []
    assert city.tick(3600) == ["alarm-unshelved", "risk-level-changed"]
    assert city.tick(3600) == []
    assert city.facility()["risk"] == "caution"


@pytest.mark.parametrize("until", [at(2), at(1), at(2) + timedelta(days=7, seconds=1)])
def test_shelving_ends_after_now_and_within_a_week(until: object) -> None:
    with pytest.raises(InvalidError, match="shelved until"):
        in_alarm().command(f.ShelveAlarm, 2, alarm=ALARM, until=until, reason="x")


def test_an_officer_ends_a_shelving_early() -> None:
    city = in_alarm()
    city.command(f.ShelveAlarm, 2, alarm=ALARM, until=at(60), reason="x")
    assert city.command(f.UnshelveAlarm, 3, alarm=ALARM) == ["alarm-unshelved", "risk-level-changed"]
    assert city.command(f.UnshelveAlarm, 3, alarm=ALARM) == []
    assert city.tick(60) == []


def test_a_chattering_sensor_keeps_one_alarm_on_the_list_and_stays_shelved() -> None:
    city = in_alarm()
    city.command(f.ShelveAlarm, 1, alarm=ALARM, until=at(3600), reason="떨림")
    for second in range(2, 20, 2):
        city.reads(("tilt-1", second, 1.0))
        assert city.reads(("tilt-1", second + 1, 60.0)) == ["alarm-cleared", "alarm-raised", "alarm-shelved"]
    assert [alarm["alarm"] for alarm in city.alarms()] == ["tilt-1.high-warning.10"]
    assert city.facility()["risk"] == "normal"
    assert city.tick(3600) == ["alarm-unshelved", "risk-level-changed"]


def test_two_warning_sensors_at_grade_d_mean_danger() -> None:
    city = City().bridge(HIGH, grade="D").bridge(HIGH, sensor="tilt-2", grade="D")
    city.reads(("tilt-1", 1, 60.0))
    assert city.facility()["risk"] == "caution"
    city.reads(("tilt-2", 2, 60.0))
    assert city.facility()["risk"] == "danger"
    assert city.facility()["reasons"][0] == "기울기 경고 · tilt warning on sensor tilt-1"


def test_two_warning_sensors_at_grade_c_mean_caution() -> None:
    city = City().bridge(HIGH).bridge(HIGH, sensor="tilt-2")
    city.reads(("tilt-1", 1, 60.0), ("tilt-2", 2, 60.0))
    assert city.facility()["risk"] == "caution"
