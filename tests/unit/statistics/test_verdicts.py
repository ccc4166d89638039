"""The share of false alarms against its definition, computed once more in the plainest way."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.statistics.test_queries import HOURS, City, raised

BRIDGES = ("bridge-1", "bridge-2")


def judged(city: City, number: int, hours: float, verdict: str, facility: str = "bridge-1") -> City:
    alarm = f"tilt-1.high-warning.{number}"
    said = {"alarm": alarm, "sensor": "tilt-1", "verdict": verdict, "by": "kim", "note": ""}
    return city.event("facility", facility, "alarm-judged", hours, **said)


def told(city: City) -> list[tuple[str, int, int, float | None]]:
    return [(one["facility"], one["alarms"], one["judged"], one["false_alarms"]) for one in city.asked("alarms")]


def test_false_alarms_are_a_share_of_those_that_somebody_judged() -> None:
    city = City()
    for number in (1, 2, 3, 4):
        raised(city, number, number)
    judged(judged(judged(city, 1, 5, "false"), 2, 6, "real"), 3, 7, "real")
    assert told(city) == [("bridge-1", 4, 3, pytest.approx(1 / 3))]


def test_where_nobody_judged_no_share_is_told() -> None:
    assert told(raised(City(), 1, 1)) == [("bridge-1", 1, 0, None)]


def test_the_newest_verdict_counts_in_the_order_of_the_log_also_long_after_the_window() -> None:
    city = raised(raised(City(), 1, 1), 2, 2)
    judged(judged(city, 1, 3, "real"), 1, HOURS + 100, "false")
    judged(judged(city, 2, 9, "false"), 2, 8, "real")
    assert told(city) == [("bridge-1", 2, 2, 0.5)]


def test_a_verdict_in_the_window_on_an_alarm_before_it_does_not_count() -> None:
    assert told(judged(raised(raised(City(), 1, -1), 2, 1), 1, 2, "false")) == [("bridge-1", 1, 0, None)]


verdicts = st.tuples(
    st.integers(1, 6), st.integers(0, HOURS + 99), st.sampled_from(["real", "false"]), st.sampled_from(BRIDGES)
)
alarms = st.tuples(st.sampled_from(BRIDGES), st.integers(-9, HOURS + 9))


@settings(max_examples=40)
@given(begun=st.lists(alarms, max_size=8), said=st.lists(verdicts, max_size=12))
def test_false_alarms_equal_a_plain_loop(begun: list[Any], said: list[Any]) -> None:
    city, times = City(), {}
    for facility, hours in begun:
        number = 1 + sum(key[0] == facility for key in times)
        times[facility, number] = hours
        raised(city, number, hours, facility=facility)
    for number, hours, verdict, facility in said:
        judged(city, number, hours, verdict, facility)
    expected = []
    for facility in BRIDGES:
        inside = [number for (name, number), hours in times.items() if name == facility and 0 <= hours < HOURS]
        newest = {number: verdict for number, _, verdict, name in said if name == facility and number in inside}
        share = sum(verdict == "false" for verdict in newest.values()) / len(newest) if newest else None
        expected += [(facility, len(inside), len(newest), share)] if inside else []
    assert sorted(told(city)) == [(*rest, pytest.approx(share)) for *rest, share in expected]
