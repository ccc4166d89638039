"""Each statistic against its definition, computed once more in the plainest way."""

import statistics
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.archiving.rollups import rolled
from schemas.archive import ROLLUPS, TABLES
from schemas.tables import BAD, GOOD
from serve.statistics import ALL
from serve.statistics.declared import SEGMENT_AREAS, Asked

START = datetime(2026, 1, 14, 15, tzinfo=UTC)
"""Midnight in Chuncheon."""
HOURS = 48
WINDOW = Asked(START, START + timedelta(hours=HOURS))
AREAS = pl.DataFrame(
    [("jungang-ro", "a", "11", "명동"), ("jungang-ro", "b", "12", "효자동"), ("alley", "a", "11", "명동")],
    ["road", "segment", "area", "area_ko"],
    orient="row",
)
"""In which areas segments lie; of other segments nobody knows."""


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


class City:
    """Facts as rows, as the archive has them."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {"events": [], "readings": []}

    def event(self, context: str, entity: str, name: str, hours: float, synthetic: bool = False, **said: Any) -> "City":
        number = len(self.rows["events"]) + 1
        self.rows["events"].append(
            {
                "context": context, "day": at(hours).date(), "shard": 0, "commit": number, "sequence": number,
                "entity": entity, "type": f"city.{context}.{name}.v1", "time": at(hours), "stored_at": at(hours),
                "synthetic": synthetic, "data": orjson.dumps(said, option=orjson.OPT_UTC_Z).decode(),
            }
        )  # fmt: skip
        return self

    def reading(self, sensor: str, hours: float, value: float, quality: int = GOOD) -> "City":
        number = len(self.rows["readings"]) + 1
        self.rows["readings"].append(
            {
                "context": "facility", "day": at(hours).date(), "shard": 0, "commit": number, "facility": "bridge-1",
                "sensor": sensor, "time": at(hours), "value": value, "quality": quality, "arrived": at(hours),
                "boot": 1, "sequence": number, "synthetic": False,
            }
        )  # fmt: skip
        return self

    def asked(self, statistic: str, asked: Asked = WINDOW, **more: Any) -> list[dict[str, Any]]:
        fields = {name: getattr(asked, name) for name in Asked.__dataclass_fields__} | more
        kept = {name: pa.Table.from_pylist(self.rows[name], TABLES[name]) for name in ("events", "readings")}
        # As they are written: what comes in one write is rolled up by itself.
        writes = [kept["readings"].slice(at, 7) for at in range(0, len(kept["readings"]), 7)] or [kept["readings"]]
        for name, every in ROLLUPS.items():
            kept[name] = pa.concat_tables([rolled(rows, every) for rows in writes])
        facts = {name: pl.DataFrame(rows).lazy() for name, rows in kept.items()}
        facts[SEGMENT_AREAS] = AREAS.lazy()
        told = ALL[statistic]
        found = told.query(facts, Asked(**fields)).collect(engine="streaming")
        assert set(found.columns) == {column.name for column in told.columns}
        return found.to_dicts()


@pytest.mark.parametrize("statistic", ALL)
def test_of_nothing_there_is_nothing_with_all_its_columns(statistic):
    assert City().asked(statistic) == []


def test_hours_and_days_are_those_of_the_city():
    city = City().reading("tilt-1", 0.5, 1.0).reading("tilt-1", 23.5, 3.0).reading("tilt-1", 24.5, 8.0)
    days = city.asked("readings", bucket="day")
    assert [(one["bucket"], one["mean"], one["readings"]) for one in days] == [
        (datetime(2026, 1, 15, tzinfo=ZoneInfo("Asia/Seoul")), 2.0, 2),
        (datetime(2026, 1, 16, tzinfo=ZoneInfo("Asia/Seoul")), 8.0, 1),
    ]


def test_the_window_holds_its_start_and_not_its_end():
    city = City().reading("tilt-1", 0, 1.0).reading("tilt-1", HOURS, 5.0).reading("tilt-1", -0.001, 9.0)
    assert [one["max"] for one in city.asked("readings")] == [1.0]


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.integers(-60, HOURS * 60 + 60),
            st.floats(-1e3, 1e3, allow_nan=False),
            st.sampled_from([GOOD, GOOD, BAD]),
        ),
        max_size=60,
    )
)
def test_readings_by_the_hour_equal_a_loop_over_them(rows):
    city, wanted = City(), defaultdict(list)
    for sensor, minutes, value, quality in rows:
        city.reading(sensor, minutes / 60, value, quality)
        if 0 <= minutes < HOURS * 60:
            wanted[sensor, minutes // 60].append((value, quality))
    found = city.asked("readings")
    assert [(one["sensor"], round((one["bucket"] - START) / timedelta(hours=1))) for one in found] == sorted(wanted)
    for one in found:
        hour = round((one["bucket"] - START) / timedelta(hours=1))
        good = [value for value, quality in wanted[one["sensor"], hour] if quality != BAD]
        assert (one["readings"], one["bad"]) == (len(good), len(wanted[one["sensor"], hour]) - len(good))
        if good:
            assert one["mean"] == pytest.approx(statistics.fmean(good), abs=1e-9)
            assert (one["min"], one["max"]) == (min(good), max(good))
            assert one["p50"] == pytest.approx(statistics.median(good), abs=1e-9)


@settings(max_examples=50)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.integers(0, HOURS * 60 - 1),
            st.floats(-1e3, 1e3, allow_nan=False),
            st.sampled_from([GOOD, GOOD, BAD]),
        ),
        max_size=60,
    ),
    bucket=st.sampled_from(["minute", "hour", "day"]),
)
def test_what_is_rolled_up_write_by_write_equals_a_computation_from_all_readings(rows, bucket):
    city = City()
    for sensor, minutes, value, quality in rows:
        city.reading(sensor, minutes / 60, value, quality)
    trend, whole = city.asked("trend", bucket=bucket), city.asked("readings", bucket=bucket)
    same = ("facility", "sensor", "bucket", "min", "max", "readings", "bad", "synthetic")
    assert [[one[name] for name in same] for one in trend] == [[one[name] for name in same] for one in whole]
    for one, other in zip(trend, whole, strict=True):
        assert one["mean"] == (None if other["mean"] is None else pytest.approx(other["mean"], abs=1e-9))


def test_a_week_stands_beside_the_same_week_of_last_year_day_by_day():
    city = City().reading("tilt-1", 1, 7.0).reading("tilt-1", 25, 9.0).reading("tilt-1", 1 - 52 * 7 * 24, 4.0)
    first, second = city.asked("last-year", bucket="day")
    assert (first["mean"], first["mean_before"], first["change"]) == (7.0, 4.0, 3.0)
    assert (second["mean"], second["mean_before"], second["change"]) == (9.0, None, None)


def registered(city: City, sensor: str, hours: float, stale_after_s: float | None = 60.0) -> City:
    facts = {"stale_after_s": stale_after_s, "recorded": False}
    return city.event("facility", "bridge-1", "sensor-registered", hours, sensor=sensor, facts=facts)


def test_availability_is_the_share_of_the_window_without_silence():
    city = registered(City(), "tilt-1", -100)
    city.event("facility", "bridge-1", "sensor-stale", 12, sensor="tilt-1", last_arrival=at(11))
    city.event("facility", "bridge-1", "sensor-restored", 18, sensor="tilt-1", silent_s=7 * 3600.0)
    (row,) = city.asked("availability")
    assert (row["availability"], row["silent_s"], row["silences"]) == (1 - 6 / 48, 6 * 3600.0, 1)


@pytest.mark.parametrize(
    ("began", "ended", "silent", "silences"),
    [(-5, 6, 6, 0), (40, None, 8, 1), (-5, None, 48, 0), (-9, -3, 0, 0), (40, 90, 8, 1)],
)
def test_a_silence_counts_as_far_as_it_lies_in_the_window(began, ended, silent, silences):
    city = registered(City(), "tilt-1", -100)
    city.event("facility", "bridge-1", "sensor-stale", began, sensor="tilt-1", last_arrival=at(began))
    if ended is not None:
        city.event("facility", "bridge-1", "sensor-restored", ended, sensor="tilt-1", silent_s=1.0)
    (row,) = city.asked("availability")
    assert (row["silent_s"], row["silences"], row["of_s"]) == (silent * 3600.0, silences, HOURS * 3600.0)


def test_a_sensor_is_available_as_of_its_registration():
    city = registered(City(), "tilt-1", 36)
    city.event("facility", "bridge-1", "sensor-stale", 42, sensor="tilt-1", last_arrival=at(41))
    (row,) = city.asked("availability")
    assert (row["of_s"], row["availability"]) == (12 * 3600.0, 0.5)


def test_other_facts_end_no_silence_unless_they_say_that_nobody_listens():
    city = registered(City(), "tilt-1", -100)
    city.event("facility", "bridge-1", "sensor-stale", 12, sensor="tilt-1", last_arrival=at(11))
    registered(city, "tilt-1", 13)
    city.event("facility", "bridge-1", "sensor-restored", 18, sensor="tilt-1", silent_s=7 * 3600.0)
    city.event("facility", "bridge-1", "sensor-stale", 20, sensor="tilt-1", last_arrival=at(19))
    registered(city, "tilt-1", 21, stale_after_s=None)
    (row,) = city.asked("availability")
    assert (row["silent_s"], row["silences"]) == (7 * 3600.0, 2)


def test_a_silence_whose_end_bears_an_earlier_time_lasted_no_time():
    city = registered(City(), "tilt-1", -100)
    city.event("facility", "bridge-1", "sensor-stale", 12.001, sensor="tilt-1", last_arrival=at(11))
    city.event("facility", "bridge-1", "sensor-restored", 12, sensor="tilt-1", silent_s=1.0)
    (row,) = city.asked("availability")
    assert (row["silent_s"], row["availability"]) == (0.0, 1.0)


def raised(city: City, number: int, hours: float, level: str = "warning", facility: str = "bridge-1") -> City:
    alarm = f"tilt-1.high-{level}.{number}"
    return city.event("facility", facility, "alarm-raised", hours, alarm=alarm, sensor="tilt-1", level=level)


def test_duty_is_the_share_of_the_window_with_an_alarm_overlapping_ones_once():
    city = raised(registered(City(), "tilt-1", -100), 1, 4)
    raised(city, 2, 6, "danger")
    city.event("facility", "bridge-1", "alarm-returned", 10, alarm="tilt-1.high-danger.2", sensor="tilt-1")
    city.event("facility", "bridge-1", "alarm-returned", 16, alarm="tilt-1.high-warning.1", sensor="tilt-1")
    raised(city, 3, 36)
    (row,) = city.asked("duty")
    assert (row["active_s"], row["alarms"], row["duty"]) == (24 * 3600.0, 3, 0.5)


def test_alarms_tell_how_many_were_seen_and_after_how_long():
    city = City()
    for number, (hours, seconds) in enumerate([(1, 60), (2, 120), (3, 600), (4, None)], 1):
        raised(city, number, hours, "danger" if number == 1 else "warning")
        if seconds is not None:
            alarm = city.rows["events"][-1]["data"]
            said = orjson.loads(alarm)["alarm"]
            city.event(
                "facility", "bridge-1", "alarm-acknowledged", hours + seconds / 3600, alarm=said, sensor="tilt-1"
            )
    (row,) = city.asked("alarms")
    assert (row["alarms"], row["danger"], row["acknowledged"]) == (4, 1, 0.75)
    assert row["acknowledged_p50_s"] == pytest.approx(120)
    assert row["acknowledged_p90_s"] == pytest.approx(120 + 0.8 * 480)


def test_an_alarm_that_returns_within_seconds_unseen_is_fleeting():
    city = raised(raised(City(), 1, 1), 2, 2)
    city.event("facility", "bridge-1", "alarm-returned", 1 + 5 / 3600, alarm="tilt-1.high-warning.1", sensor="tilt-1")
    city.event("facility", "bridge-1", "alarm-returned", 3, alarm="tilt-1.high-warning.2", sensor="tilt-1")
    (row,) = city.asked("alarms")
    assert (row["fleeting"], row["acknowledged"], row["acknowledged_p50_s"]) == (0.5, 0.0, None)


def test_alarms_before_the_window_do_not_count_though_they_are_seen_in_it():
    city = raised(City(), 1, -1)
    city.event("facility", "bridge-1", "alarm-acknowledged", 1, alarm="tilt-1.high-warning.1", sensor="tilt-1")
    assert city.asked("alarms") == []


def work(city: City, name: str, ends: float, finished: float, road: str = "jungang-ro", extended: float = 0) -> City:
    window = {"start": at(-200), "end": at(ends)}
    city.event("road", road, "work-permitted", -300, synthetic=name == "made-up", work=name, window=window)
    if extended:
        city.event("road", road, "work-extended", ends - 1, work=name, until=at(extended), reason="비")
    return city.event("road", road, "work-finished", finished, work=name, segments=[], late_s=0.0)


def test_works_are_late_against_the_end_that_was_first_permitted():
    city = work(work(City(), "gas-1", 10, 14, extended=20), "gas-2", 30, 28)
    (row,) = city.asked("works")
    assert (row["works"], row["beyond"], row["extensions"]) == (2, 0.5, 1)
    assert (row["beyond_p50_h"], row["beyond_total_h"]) == (pytest.approx(1.0), pytest.approx(4.0))
    assert row["synthetic"] is False


def test_works_of_other_roads_and_times_are_left_out_and_made_up_ones_are_said_to_be():
    city = work(work(City(), "made-up", 10, 14, "alley"), "gas-1", 10, HOURS + 1)
    assert [(one["road"], one["synthetic"]) for one in city.asked("works")] == [("alley", True)]
    assert city.asked("works", road="jungang-ro") == []


def cleared(city: City, segment: str, hours: float, road: str = "jungang-ro") -> City:
    return city.event(
        "road", road, "clearing-changed", hours, segment=segment, state="cleared", was="under-way", changed_at=at(hours)
    )


def test_hours_until_cleared_run_from_the_snow_that_lay_there_to_the_first_clearing():
    city = City().event("road", "jungang-ro", "road-registered", -999, facts={"rank": "105"})
    city.event("road", "jungang-ro", "snow-began", -300, snow="old", depth_cm=1.0)
    city.event("road", "jungang-ro", "snow-began", 10, snow="new", depth_cm=5.0)
    for segment, hours in (("a", 12), ("b", 14), ("a", 20)):
        cleared(city, segment, hours)
    (row,) = city.asked("snow-clearing")
    assert (row["rank"], row["segments"], row["hours_p50"], row["hours_max"]) == ("105", 2, 3.0, 4.0)


def test_hours_until_cleared_are_told_by_area_and_rank_too_and_by_none_where_it_is_not_known():
    city = City()
    for road, rank in (("jungang-ro", "105"), ("alley", "107")):
        city.event("road", road, "road-registered", -999, facts={"rank": rank})
        city.event("road", road, "snow-began", 10, snow="new", depth_cm=5.0)
    for road, segment, hours in (("jungang-ro", "a", 12), ("jungang-ro", "b", 14), ("jungang-ro", "x", 15)):
        cleared(city, segment, hours, road)
    cleared(city, "a", 20, "alley")
    found = city.asked("snow-clearing-areas")
    assert [(one["area"], one["area_ko"], one["rank"], one["segments"], one["hours_p50"]) for one in found] == [
        ("11", "명동", "105", 1, 2.0),
        ("11", "명동", "107", 1, 10.0),
        ("12", "효자동", "105", 1, 4.0),
        (None, None, "105", 1, 5.0),
    ]
    assert len(city.asked("snow-clearing-areas", road="alley")) == 1


def test_what_was_cleared_before_the_window_is_not_first_cleared_in_it():
    city = City().event("road", "jungang-ro", "road-registered", -999, facts={"rank": "105"})
    city.event("road", "jungang-ro", "snow-began", -20, snow="new", depth_cm=5.0)
    cleared(cleared(city, "a", -3), "a", 5)
    assert city.asked("snow-clearing") == []


def test_each_snow_is_cleared_anew():
    city = City().event("road", "jungang-ro", "road-registered", -999, facts={"rank": "105"})
    for snow, began, done in (("old", -500, -490), ("first", 1, 4), ("second", 20, 25)):
        city.event("road", "jungang-ro", "snow-began", began, snow=snow, depth_cm=5.0)
        cleared(city, "a", done)
    (row,) = city.asked("snow-clearing")
    assert (row["segments"], row["hours_p50"], row["hours_max"]) == (2, 4.0, 5.0)


def test_works_of_one_name_on_two_roads_are_two():
    city = work(work(City(), "gas-1", 10, 14, "alley", extended=20), "gas-1", 30, 28)
    assert {one["road"]: (one["beyond_total_h"], one["extensions"]) for one in city.asked("works")} == {
        "alley": (pytest.approx(4.0), 1),
        "jungang-ro": (0.0, 0),
    }


def test_a_clearing_without_snow_before_it_tells_nothing():
    city = City().event("road", "jungang-ro", "road-registered", -999, facts={"rank": "105"})
    city.event("road", "jungang-ro", "snow-began", 30, snow="later", depth_cm=5.0)
    assert cleared(city, "a", 12).asked("snow-clearing") == []
