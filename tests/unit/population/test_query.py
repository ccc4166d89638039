"""Who is where when: slots, days, weekdays, areas; each mean says of what it is one."""

from datetime import date, timedelta

import polars as pl
import pytest
import shapely

from actors.population.grid import polygons
from schemas.errors import InvalidError
from serve.population.query import Asked, answer
from serve.population.slots import SLOTS, each_hour, slot_of, slots_of, weekdays_of
from serve.population.suppress import protect
from tests.unit.population.scenario import CELLS, MONDAY, counts, days, facts

TUESDAY, SATURDAY = MONDAY + timedelta(days=1), MONDAY + timedelta(days=5)
A, B, C = CELLS


def ask(rows, known, *slots, below=5, source=None, **more):
    source = source or facts()
    asked = Asked(source.measure, slots or (SLOTS["day"],), **more)
    return answer("fare-card", source, days(known), protect(counts(rows), below), asked)


def whole(*some):
    return [(day, (7, 8, 9), True) for day in some]


def test_boardings_of_a_slot_add_up_and_are_divided_by_the_days():
    rows = [(MONDAY, A, 7, 10.0), (MONDAY, A, 8, 20.0), (TUESDAY, A, 7, 6.0), (MONDAY, A, 9, 99.0)]
    found = ask(rows, whole(MONDAY, TUESDAY), slot_of("7-9"))
    assert found.cells.select("cell", "slot", "count", "hidden", "days", "mean").rows() == [
        (A, "7-9", 36.0, 0, 2, 18.0)
    ]


def test_people_who_are_there_are_averaged_over_the_hours_never_added():
    source = facts(measure="people-present")
    rows = [(MONDAY, A, 7, 10.0), (MONDAY, A, 8, 20.0), (TUESDAY, A, 7, 6.0)]
    found = ask(rows, whole(MONDAY, TUESDAY), slot_of("7-9"), source=source)
    assert found.cells["mean"].to_list() == [9.0]
    assert found.described()["denominator_en"].startswith("mean per hour")


def test_a_slot_counts_in_the_hours_of_the_source_alone():
    source = facts(measure="people-present")
    found = ask([(MONDAY, A, 9, 10.0)], whole(MONDAY), slot_of("9-12"), source=source)
    assert found.cells["mean"].to_list() == [10.0]
    with pytest.raises(InvalidError, match="counts nothing in 12–13"):
        ask([], whole(MONDAY), slot_of("12"))


def test_partial_days_are_left_out_and_the_answer_says_which():
    rows = [(MONDAY, A, 7, 10.0), (TUESDAY, A, 7, 20.0)]
    known = [(MONDAY, (7, 8, 9), True), (TUESDAY, (7,), False)]
    found = ask(rows, known, slot_of("7"))
    assert (found.days, found.left_out) == ((MONDAY,), (TUESDAY,))
    assert found.cells["mean"].to_list() == [10.0]
    assert "1 that were counted in part left out" in found.described()["days_en"]


def test_a_partial_day_counts_for_the_slots_that_it_has_whole_if_that_is_asked():
    rows = [(MONDAY, A, 7, 10.0), (TUESDAY, A, 7, 20.0), (TUESDAY, A, 8, 50.0)]
    source = facts(hours=(7, 8, 9, 10))
    known = [(MONDAY, (7, 8, 9, 10), True), (TUESDAY, (7, 8), False)]
    found = ask(rows, known, slot_of("7"), slot_of("8"), partial=True, source=source)
    # 8 is beside an hour that is missing: it may have been cut.
    assert found.cells.select("slot", "days", "mean").rows() == [("7", 2, 15.0)]
    assert found.totals.select("slot", "days", "mean").rows() == [("7", 2, 15.0), ("8", 1, 0.0)]


def test_where_no_day_is_left_the_error_says_which_there_are():
    with pytest.raises(InvalidError, match=r"no whole day .* 2026-01-05 \(in part\)"):
        ask([], [(MONDAY, (7,), False)])


def test_weekdays_and_days_choose():
    rows = [(day, A, 7, count) for day, count in ((MONDAY, 10.0), (TUESDAY, 20.0), (SATURDAY, 40.0))]
    known = whole(MONDAY, TUESDAY, SATURDAY)
    assert ask(rows, known, weekdays=weekdays_of("weekday")).cells["mean"].to_list() == [15.0]
    assert ask(rows, known, weekdays=weekdays_of("토")).cells["mean"].to_list() == [40.0]
    assert ask(rows, known, days=(TUESDAY, SATURDAY)).cells["mean"].to_list() == [30.0]


def test_a_day_without_counts_in_a_cell_is_in_its_denominator():
    found = ask([(MONDAY, A, 7, 10.0), (TUESDAY, B, 7, 8.0)], whole(MONDAY, TUESDAY))
    assert found.cells.select("cell", "mean").rows() == sorted([(A, 5.0), (B, 4.0)])


def test_an_area_takes_the_cells_whose_middle_lies_in_it():
    rows = [(MONDAY, A, 7, 10.0), (MONDAY, B, 7, 20.0), (MONDAY, C, 7, 40.0)]
    shape = polygons(pl.Series([B]))[0]
    assert ask(rows, whole(MONDAY), area=shape.buffer(0.0005)).cells["cell"].to_list() == [B]
    assert ask(rows, whole(MONDAY), cells=frozenset({A, C})).totals["mean"].to_list() == [50.0]
    empty = ask(rows, whole(MONDAY), area=shapely.box(0, 0, 1, 1))
    assert (empty.cells.height, empty.totals["mean"].to_list()) == (0, [0.0])


def test_a_cell_of_which_all_is_hidden_has_no_mean_but_a_bound():
    found = ask([(MONDAY, A, 7, 3.0), (MONDAY, A, 8, 4.0)], whole(MONDAY))
    assert found.cells.select("count", "hidden", "mean", "at_most").rows() == [(0.0, 2, None, 10.0)]


def test_a_question_for_another_measure_is_refused_in_both_languages():
    source = facts(measure="living-population", hours=(0,))
    with pytest.raises(InvalidError, match=r"생활인구.*never mix"):
        answer("mobile", source, days([]), protect(counts([]), 5), Asked("people-present"))


def test_residents_are_not_asked_by_the_hour():
    source = facts(measure="residents", hours=(0,))
    known, rows = [(MONDAY, (0,), True)], [(MONDAY, A, 0, 120.0)]
    assert ask(rows, known, source=source).cells["mean"].to_list() == [120.0]
    with pytest.raises(InvalidError, match="not told by the hour"):
        ask(rows, known, slot_of("7"), source=source)


def test_an_answer_says_what_it_is_and_is_not():
    said = ask([(MONDAY, A, 7, 10.0)], whole(MONDAY)).described()
    assert said["measure_ko"] == "버스 승차 건수"
    assert said["not_ko"].startswith("체류인구가 아님")
    assert said["not_en"].startswith("not people present")
    assert (said["days"], said["hidden_below"], said["synthetic"]) == ([MONDAY], 5, True)


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("7-9", (7, 8)),
        ("7", (7,)),
        ("0-24", tuple(range(24))),
        ("22-2", (0, 1, 22, 23)),
        ("23-24", (23,)),
        ("22-0", (22, 23)),
    ],
)
def test_slots_end_before_their_last_hour(text, hours):
    assert slot_of(text).hours == hours


@pytest.mark.parametrize("text", ["", "7-", "25", "7-25", "7-7", "24-3", "-3", "아침", "24", "7:00"])
def test_what_is_no_slot_is_refused(text):
    with pytest.raises(InvalidError, match="no time slot"):
        slot_of(text)


def test_several_slots_are_named_once_each():
    assert [slot.id for slot in slots_of("commute, 7-9,commute")] == ["commute", "7-9"]
    assert [slot.hours for slot in each_hour((5, 6))] == [(5,), (6,)]


def test_weekdays_are_named_in_either_language():
    assert weekdays_of("mon,화") == {0, 1}
    assert weekdays_of("weekend") == weekdays_of("주말") == {5, 6}
    with pytest.raises(InvalidError, match="no weekday"):
        weekdays_of("someday")


def test_weekdays_are_those_of_the_calendar():
    assert date(2026, 1, 5).weekday() == 0
