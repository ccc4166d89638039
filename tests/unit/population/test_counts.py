"""Files as counts: everything received is found again, whatever was wrong with it."""

from datetime import date

import polars as pl
import pytest
import shapely
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from actors.population.counts import counted
from actors.population.layouts import fare_card, operator, residents
from actors.population.recording import recordings
from schemas.errors import InvalidError
from tests.unit.population.real import BOARDINGS, GEOCODED, GRID, STOPS, city, needs_files, places, read
from tests.unit.population.scenario import FILE, NOON

CITY = shapely.box(127.70, 37.85, 127.76, 37.90)
IN, OUT, NOWHERE = ("127.7298", "37.8813"), ("127.5", "37.7"), (None, None)
CELL = "라사20a86b"
HEADER = ["수집일자", "이용시간대", "노선아이디", "정류장아이디", "정류장명", "lon", "lat", "승차건수"]


def card(*rows) -> pl.DataFrame:
    return pl.DataFrame(rows, dict.fromkeys(HEADER, pl.String), orient="row")


def row(count="6", hour="7", stop="s1", name="시청", route="r1", day="2026-01-05", at=IN):
    return (day, hour, route, stop, name, *at, count)


def one(**facts):
    return row(**facts)


def test_boardings_of_all_routes_and_stops_of_a_cell_add_up():
    found = counted(card(row("6"), row("4", route="r2"), row("3", stop="s2"), row("2", hour="8")), fare_card())
    assert found.counts.rows() == [(date(2026, 1, 5), CELL, 7, 13.0), (date(2026, 1, 5), CELL, 8, 2.0)]


def test_a_stop_outside_the_city_and_one_without_coordinates_are_told_with_their_numbers():
    rows = card(row("6"), row("5", stop="s2", name="가평", at=OUT), row("4", stop="s3", at=NOWHERE))
    found = counted(rows, fare_card(), city=CITY)
    (told,) = found.days.to_dicts()
    assert (told["received"], told["placed"], told["outside"], told["unplaced"]) == (15, 6, 5, 4)
    assert (told["places_outside"], told["places_unplaced"]) == (1, 1)
    assert found.places.select("place", "name", "kept", "count").rows() == [
        ("s2", "가평", "outside", 5.0),
        ("s3", "시청", "unplaced", 4.0),
    ]
    assert found.counts["count"].sum() == 6


def test_a_row_that_comes_again_counts_once_and_its_later_word_counts():
    found = counted(card(row("6"), row("6"), row("9", hour="8"), row("7", hour="8")), fare_card())
    assert (found.findings.repeated, found.findings.conflicting) == (1, 1)
    assert found.counts["count"].to_list() == [6.0, 7.0]
    assert found.days.select("received", "placed", "repeated").row(0) == (28, 13, 15)


def test_a_row_under_another_name_of_the_stop_is_told_and_counts_as_the_file_has_it_or_once():
    rows = card(row("6"), row("6", name="구 시청"), row("2", hour="8"))
    added, once = (counted(rows, fare_card(), alike=how) for how in ("add", "once"))
    for found in (added, once):
        assert (found.findings.alike, found.findings.alike_count) == (1, 6.0)
        assert found.days["received"].item() == 14
    assert added.counts["count"].to_list() == [12.0, 2.0]
    assert once.counts["count"].to_list() == [6.0, 2.0]
    assert once.days["repeated"].item() == 6


def test_what_is_no_day_hour_or_number_is_told_and_the_rest_counts():
    rows = card(row("6"), row("x"), row("-1"), row("5", hour="24"), row("4", day="2026-13-01"), row("2", hour=""))
    found = counted(rows, fare_card())
    assert (found.findings.unreadable, found.findings.unreadable_count) == (5, 11.0)
    assert found.counts["count"].to_list() == [6.0]


@pytest.mark.parametrize(
    ("hour", "day"), [("07", "20260105"), ("07:00", "2026.01.05"), ("7시", "2026/01/05"), ("7.0", "2026-01-05")]
)
def test_hours_and_days_are_read_as_files_write_them(hour, day):
    found = counted(card(row("1,200", hour=hour, day=day)), fare_card())
    assert found.counts.rows() == [(date(2026, 1, 5), CELL, 7, 1200.0)]


def test_coordinates_beside_the_file_are_found_by_stop_and_name_and_else_by_stop():
    rows = card(
        *(
            row("6", stop=stop, name=name, at=NOWHERE)
            for stop, name in (("s1", "새"), ("s1", "옛"), ("s1", "딴"), ("s9", "새"))
        )
    )
    beside = pl.DataFrame(
        {"place": ["s1", "s1"], "name": ["새", "옛"], "lon": ["127.7298", "127.5"], "lat": ["37.8813", "37.7"]}
    )
    found = counted(rows, fare_card(), city=CITY, places=beside)
    assert found.days.select("placed", "outside", "unplaced").row(0) == (12, 6, 6)


def test_a_day_that_lacks_an_hour_is_partial():
    rows = card(row(hour="7"), row(hour="8"), row(hour="8", day="2026-01-06"))
    assert counted(rows, fare_card()).days["whole"].to_list() == [True, False]
    assert counted(rows, fare_card(), hours=frozenset({8})).days["whole"].to_list() == [True, True]
    assert counted(rows, fare_card(), hours=frozenset({7, 8, 9})).days["whole"].to_list() == [False, False]


def test_the_last_day_of_a_file_at_a_spreadsheets_limit_is_partial():
    many = 65_535
    rows = pl.DataFrame(
        {
            "day": ["2026-01-05"] * (many - 1) + ["2026-01-06"],
            "hour": ["7"] * many,
            "cell": [CELL] * many,
            "number": [str(number) for number in range(many)],
            "people": ["1"] * many,
        }
    )
    found = counted(rows, operator())
    assert found.findings.cut
    assert found.days["whole"].to_list() == [True, False]
    assert not counted(rows.head(-1), operator()).findings.cut


def test_an_operators_rows_by_sex_and_age_add_up_and_foreign_cells_are_told():
    rows = pl.DataFrame(
        {
            "day": ["20260105"] * 5,
            "hour": ["07"] * 5,
            "cell": [CELL, CELL, "가가00a00a", "nonsense", None],
            "sex": ["f", "m", "f", "f", "f"],
            "people": ["10.25", "5.5", "3", "2", "1"],
        }
    )
    found = counted(rows, operator(), city=CITY)
    assert found.counts.rows() == [(date(2026, 1, 5), CELL, 7, 15.75)]
    assert found.days.select("placed", "outside", "unplaced", "received").row(0) == (15.75, 3, 3, 21.75)


def test_a_cell_that_only_touches_the_city_is_in_it():
    corner = shapely.box(127.7328, 37.8810, 127.76, 37.90)
    rows = pl.DataFrame({"day": ["2026-01-05"], "hour": ["7"], "cell": [CELL], "people": ["9"]})
    assert counted(rows, operator(), city=corner).counts["count"].to_list() == [9.0]


def test_a_cell_of_the_register_counts_once_however_many_districts_it_lies_in():
    rows = pl.DataFrame({"gid": [CELL, CELL, "라사20b86b"], "읍면동": ["a", "b", "a"], "총인구": ["40", "40", "7"]})
    found = counted(rows, residents(), day=date(2025, 12, 31))
    assert found.counts.rows() == [(date(2025, 12, 31), CELL, 0, 40.0), (date(2025, 12, 31), "라사20b86b", 0, 7.0)]
    assert (found.findings.repeated, found.days["repeated"].item()) == (1, 40)


def test_a_file_without_its_columns_or_its_day_is_refused():
    with pytest.raises(InvalidError, match="승차건수"):
        counted(card(row()).drop("승차건수"), fare_card())
    with pytest.raises(InvalidError, match="name the day"):
        counted(pl.DataFrame({"gid": [CELL], "총인구": ["1"]}), residents())


def test_a_file_without_rows_has_no_days():
    found = counted(card(), fare_card())
    assert (found.days.height, found.counts.height, found.findings.rows) == (0, 0, 0)


rows_of = st.builds(
    one,
    count=st.sampled_from(["0", "1", "2", "7", "x", ""]),
    hour=st.sampled_from(["7", "8", "25"]),
    stop=st.sampled_from(["s1", "s2"]),
    name=st.sampled_from(["시청", "구 시청"]),
    day=st.sampled_from(["2026-01-05", "2026-01-06", "?"]),
    at=st.sampled_from([IN, OUT, NOWHERE, ("?127.7", "37.88")]),
)


@for_all(st.lists(rows_of, max_size=25), st.sampled_from(["add", "once"]))
@settings(max_examples=60)
def test_what_was_received_is_placed_outside_unplaced_or_repeated(rows, alike):
    found = counted(card(*rows), fare_card(), city=CITY, alike=alike)
    days = found.days
    assert (days["received"] == days["placed"] + days["outside"] + days["unplaced"] + days["repeated"]).all()
    assert days["placed"].sum() == found.counts["count"].sum()
    numbers = [float(row[-1]) for row in rows if row[-1] not in {"x", ""}]
    assert sum(numbers) == days["received"].sum() + found.findings.unreadable_count
    assert days["rows"].sum() + found.findings.unreadable == len(rows)


def test_each_day_of_a_file_is_a_block_and_a_command_and_the_same_again_for_the_same_file():
    rows = card(row("6"), row("5", stop="s2", at=NOWHERE), row("4", day="2026-01-06", at=NOWHERE))
    found = counted(rows, fare_card())
    first, second = recordings(found, "fare-card", FILE, NOON, "desk")
    assert first.name.endswith(f"{first.command.facts.block}.arrow")
    told = first.command.facts
    assert (told.day, told.rows, told.total, told.unplaced, told.places_unplaced, told.hours) == (
        date(2026, 1, 5),
        1,
        6,
        5,
        1,
        (7,),
    )
    assert (second.command.facts.rows, second.command.facts.total) == (0, 0)
    again = recordings(counted(rows[::-1], fare_card()), "fare-card", FILE, NOON, "desk")
    assert [one.command.facts for one in again] == [first.command.facts, second.command.facts]


@needs_files
def test_the_real_boardings_are_all_accounted_for():
    found = counted(read(BOARDINGS), fare_card(), city=city(), places=places())
    days = found.days
    assert found.findings.rows == 65_535
    assert found.findings.cut
    assert days["received"].to_list() == [69_067, 84_479, 92_884, 21_521]
    assert (days["received"] == days["placed"] + days["outside"] + days["unplaced"]).all()
    assert days["whole"].to_list() == [False, True, True, False]
    assert [(min(hours), max(hours)) for hours in days["hours"].to_list()] == [(8, 23), (5, 23), (5, 23), (5, 12)]
    # Each of these rows is another's under a second name of the stop, with the same numbers.
    assert (found.findings.alike, found.findings.alike_count) == (2_784, 5_370)
    assert found.findings.odd_share < 0.1
    assert days.select("unplaced").sum().item() == 6_410


@needs_files
def test_the_real_geocoded_boardings_lose_nothing_but_those_outside():
    days = counted(read(GEOCODED), fare_card(), city=city()).days.sum()
    assert days.select("received", "placed", "outside", "unplaced").row(0) == (260_211, 258_562, 1_649, 0)


@needs_files
def test_fifty_of_the_real_stops_lie_outside_the_city():
    stops = read(STOPS).select(
        pl.lit("2026-03-26").alias("수집일자"),
        pl.lit("7").alias("이용시간대"),
        pl.col("관리번호").alias("정류장아이디"),
        pl.col("정류장명"),
        pl.col("경도").alias("lon"),
        pl.col("위도").alias("lat"),
        pl.lit("1").alias("승차건수"),
    )
    (told,) = counted(stops, fare_card(), city=city()).days.to_dicts()
    assert (told["received"], told["outside"], told["places_outside"], told["unplaced"]) == (1_890, 50, 50, 0)


@needs_files
def test_the_real_register_counts_each_cell_once():
    found = counted(read(GRID), residents(), day=date(2024, 12, 31))
    assert found.counts["count"].sum() == 284_978
    assert found.days["received"].item() == 573_954
    assert (found.findings.repeated, found.findings.conflicting) == (658, 0)
