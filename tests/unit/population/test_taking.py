"""Files as they come: encodings, headers, places beside them, and what a report says of them."""

from datetime import date

import polars as pl
import pytest

from schemas.errors import InvalidError
from serve.population.report import report
from serve.population.taking import layout_of, taken
from tests.unit.population.scenario import CELLS, facts

A, B, _ = CELLS
HEADER = "수집일자,노선아이디,정류장아이디,정류장명,이용시간대,승차건수,하차건수"
ROWS = ["2026-01-05,r1,s1,시청,7,6,1", "2026-01-05,r1,s2,역,8,4,0"]
STOPS = "정류장 아이디,경도,위도\ns1,127.7298,37.8813\ns2,127.7298,37.8813\n"


def file(*rows, header=HEADER, encoding="utf-8-sig"):
    return "\n".join([header, *(rows or ROWS)]).encode(encoding)


def take(data, places=STOPS, measure="boardings", named="", **more):
    beside = None if places is None else places.encode("cp949")
    return taken(data, facts(measure=measure), layout_of(measure, named), places=beside, **more)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
def test_a_file_is_read_in_any_of_the_encodings_that_offices_use(encoding):
    assert take(file(encoding=encoding)).counted.counts["count"].to_list() == [6.0, 4.0]


def test_lines_above_the_header_and_blanks_in_it_do_not_matter():
    data = "\n".join(["시간대별 승하차 현황", HEADER.replace("정류장아이디", "정류장 아이디"), *ROWS]).encode()
    found = take(data)
    assert found.counted.counts["count"].sum() == 10
    assert found.found["rows"].sum() == 1


def test_a_row_with_too_many_cells_is_told_and_the_others_count():
    found = take(file(*ROWS, "2026-01-05,r1,s1,시청,앞,8,9,0"))
    assert found.found.select("kind", "action", "rows").rows() == [("cut", "dropped", 1)]
    assert found.counted.counts["count"].sum() == 10


def test_a_place_is_found_by_any_of_the_headers_that_its_files_have():
    for header in (
        "정류장번호,정류장명,경도,위도",
        "stop,name,lon,lat",
        "Place,NAME,X,Y",
        "관리번호,정류장명,경도,위도",
    ):
        places = f"{header}\ns1,시청,127.7298,37.8813\ns2,역,127.7298,37.8813\n"
        assert take(file(), places).counted.days["unplaced"].item() == 0, header


def test_a_dirty_coordinate_among_the_places_is_cleaned_and_an_empty_one_is_no_place():
    found = take(file(), "stop,lon,lat\ns1,?127.7298,37.8813\ns2,,37.8813\n")
    assert found.counted.days.select("placed", "unplaced").row(0) == (6, 4)
    assert found.places == 1


def test_alightings_are_the_other_column_of_the_same_file():
    assert take(file(), measure="alightings").counted.counts["count"].to_list() == [1.0]


def test_columns_that_are_called_otherwise_are_named_with_the_request():
    data = file("2026-01-05,r1,s1,7,6", header="일자,노선,정류장,시간,승차", encoding="cp949")
    found = take(data, named="day:일자,hour:시간,place:정류장,value:승차")
    assert found.counted.counts["count"].to_list() == [6.0]


def test_a_renamed_column_is_still_a_part_of_what_makes_a_fact_one():
    data = file("2026-01-05,s1,7,6", "2026-01-05,s1,7,9", header="일자,정류장아이디,이용시간대,승차건수")
    found = take(data, named="day:일자")
    assert (found.counted.findings.conflicting, found.counted.counts["count"].to_list()) == (1, [9.0])


def test_an_operators_places_may_be_points_instead_of_cells():
    data = file("2026-01-05,7,p1,127.7298,37.8813,12", header="day,hour,id,경도,위도,people")
    named = "place:id,lon:경도,lat:위도"
    found = taken(data, facts(measure="people-present"), layout_of("people-present", named))
    assert found.counted.counts["count"].to_list() == [12.0]


@pytest.mark.parametrize("named", ["day", "day:", "tag:일자", ":x", "day:일자,", "values:x"])
def test_what_names_no_column_is_refused(named):
    with pytest.raises(InvalidError, match="names no column"):
        layout_of("boardings", named)


def test_the_living_population_is_told_by_the_month_without_hours():
    data = file(f"2026-01-01,{A},3000", header="day,cell,people")
    found = taken(data, facts(measure="living-population", hours=(0,)), layout_of("living-population"))
    assert found.counted.counts.rows() == [(date(2026, 1, 1), A, 0, 3000.0)]


def test_a_header_that_comes_twice_counts_once():
    data = file(f"2026-01-05,7,{A},6,9", header="day,hour,cell,people,people")
    found = taken(data, facts(measure="people-present"), layout_of("people-present"))
    assert found.counted.counts["count"].to_list() == [6.0]


def test_a_report_warns_of_counts_that_seem_doubled():
    even = [f"2026-01-05,r1,s1,시청,{hour},{2 * hour},0" for hour in (7, 8, 9)]
    doubled = [f"2026-01-05,r{n},s1,시청,7,{n},0" for n in (2, 4, 6, 8, 10, 12, 14, 16, 18, 3)]
    for rows, warned in ((even, False), (doubled, True), (ROWS, False)):
        notes = report(take(file(*rows)), facts(), [], "border")["notes"]
        assert any("counted twice" in note["en"] for note in notes) == warned, rows


def test_a_report_says_why_the_last_day_of_a_file_that_was_cut_is_partial():
    many = 65_535
    rows = pl.DataFrame(
        {"day": "2026-01-05", "hour": [str(n % 3 + 7) for n in range(many)], "cell": A, "n": range(many)}
    )
    data = rows.with_columns(people=pl.lit(1)).write_csv().encode()
    found = taken(data, facts(measure="people-present"), layout_of("people-present"))
    (day,) = report(found, facts(), [], "border")["days"]
    assert (day["whole"], "row limit" in day["partial_en"], "잘린" in day["partial_ko"]) == (False, True, True)
