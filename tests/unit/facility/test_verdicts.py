"""Whether alarms were real or false: given / when / then."""

import pytest
from pydantic import ValidationError

from schemas import facility as f
from schemas.errors import NotFoundError
from tests.unit.facility.scenario import HIGH, City, at

ALARM = "tilt-1.high-warning.1"


def in_alarm() -> City:
    city = City().bridge(HIGH)
    assert "alarm-raised" in city.reads(("tilt-1", 1, 60.0))
    return city


def gone() -> City:
    """Its alarm was acknowledged and is off the list."""
    city = in_alarm()
    city.command(f.AcknowledgeAlarm, 2, alarm=ALARM)
    assert "alarm-cleared" in city.reads(("tilt-1", 3, 1.0))
    return city


def test_a_verdict_stands_on_the_list_and_the_newest_counts() -> None:
    city = in_alarm()
    assert [alarm["verdict"] for alarm in city.alarms()] == [None]
    assert city.command(f.JudgeAlarm, 2, alarm=ALARM, verdict="real") == ["alarm-judged"]
    assert [alarm["verdict"] for alarm in city.alarms()] == ["real"]
    assert city.command(f.JudgeAlarm, 3, alarm=ALARM, verdict="false", note="점검 차량") == ["alarm-judged"]
    (event,) = city.events
    assert (event.alarm, event.sensor, event.verdict, event.by, event.note, event.at) == (
        ALARM, "tilt-1", "false", "officer", "점검 차량", at(3),
    )  # fmt: skip
    assert [alarm["verdict"] for alarm in city.alarms()] == ["false"]


def test_the_same_verdict_again_changes_nothing_whatever_the_note() -> None:
    city = in_alarm()
    city.command(f.JudgeAlarm, 2, alarm=ALARM, verdict="false")
    assert city.command(f.JudgeAlarm, 3, alarm=ALARM, verdict="false", note="once more") == []


def test_a_verdict_changes_neither_the_risk_nor_what_else_is_known_of_the_alarm() -> None:
    city = in_alarm()
    (before,), risk = city.alarms(), city.facility()
    city.command(f.JudgeAlarm, 2, alarm=ALARM, verdict="false")
    assert city.alarms() == [before | {"verdict": "false"}]
    assert city.facility() == risk


def test_a_cleared_alarm_is_judged_days_later_and_each_time_anew() -> None:
    city = gone()
    before, tables = city.digest, city.context.tables(city.state)
    for _ in "12":
        assert city.command(f.JudgeAlarm, 300_000, alarm=ALARM, verdict="false") == ["alarm-judged"]
        (event,) = city.events
        assert (event.alarm, event.sensor, event.verdict) == (ALARM, "tilt-1", "false")
    assert (city.digest, city.context.tables(city.state)) == (before, tables)


def test_the_next_occurrence_has_no_verdict_yet() -> None:
    city = in_alarm()
    city.command(f.JudgeAlarm, 2, alarm=ALARM, verdict="false")
    city.reads(("tilt-1", 3, 1.0))
    assert city.reads(("tilt-1", 4, 60.0)) == ["alarm-cleared", "alarm-raised", "risk-level-changed"]
    assert [(alarm["alarm"], alarm["verdict"]) for alarm in city.alarms()] == [("tilt-1.high-warning.2", None)]


@pytest.mark.parametrize("alarm", ["tilt-1.high-warning.2", "tilt-1.low-warning.1", "tilt-9.high-warning.1", "tilt-1"])
def test_an_alarm_that_never_was_cannot_be_judged(alarm: str) -> None:
    with pytest.raises(NotFoundError):
        gone().command(f.JudgeAlarm, 4, alarm=alarm, verdict="real")


def test_a_verdict_is_real_or_false() -> None:
    with pytest.raises(ValidationError):
        in_alarm().command(f.JudgeAlarm, 2, alarm=ALARM, verdict="perhaps")


def test_a_verdict_survives_a_snapshot_and_moves_the_digest() -> None:
    city = in_alarm()
    unjudged = city.digest
    city.command(f.JudgeAlarm, 2, alarm=ALARM, verdict="real")
    assert city.digest != unjudged
    again = city.context.load(city.context.dump(city.state))
    assert city.context.digest(again) == city.digest
    assert city.context.tables(again)["alarms"]["verdict"].to_pylist() == ["real"]


def test_an_alarm_without_a_verdict_is_kept_as_it_was_before_there_were_any() -> None:
    (text,) = in_alarm().context.dump(in_alarm().state)["facilities"]["state"].to_pylist()
    assert "verdict" not in text
