"""No answer, nor any number of answers, tells a count below the threshold."""

from dataclasses import replace
from datetime import date, timedelta
from itertools import product

import polars as pl
import pytest
import shapely
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from actors.population.grid import polygons
from schemas.errors import InvalidError
from serve.population.overlay import overlay
from serve.population.query import Asked, answer
from serve.population.slots import SLOTS, each_hour, slot_of
from serve.population.suppress import protect, told_days, told_total
from tests.unit.population.scenario import CELLS, MONDAY, counts, days, facts

HOURS = (7, 8, 9)
DAYS = tuple(MONDAY + timedelta(days=number) for number in range(3))
SHAPES = dict(zip(CELLS, polygons(pl.Series(CELLS)), strict=True))
PLACES = list(product(DAYS, CELLS, HOURS))
KNOWN = days([(DAYS[0], HOURS, True), (DAYS[1], HOURS, True), (DAYS[2], (7,), False)])

below = st.integers(3, 12)
numbers = st.lists(st.integers(0, 15), min_size=len(PLACES), max_size=len(PLACES))
questions = st.builds(
    Asked,
    measure=st.just("boardings"),
    slots=st.lists(
        st.sampled_from([SLOTS["day"], SLOTS["commute"], slot_of("7"), slot_of("8"), slot_of("7-10"), slot_of("22-8")]),
        min_size=1,
        max_size=4,
        unique=True,
    ).map(tuple),
    days=st.none()
    | st.tuples(st.sampled_from(DAYS[:2]), st.sampled_from(DAYS[1:])).filter(lambda days: days[0] <= days[1]),
    weekdays=st.sampled_from([None, frozenset({0, 1})]),
    cells=st.none() | st.frozensets(st.sampled_from(CELLS)),
    area=st.none() | st.sets(st.sampled_from(CELLS)).map(lambda some: shapely.union_all([SHAPES[one] for one in some])),
    partial=st.booleans(),
)


def table(values):
    return counts([(*place, float(value)) for place, value in zip(PLACES, values, strict=True)])


def told(frame, k, asked):
    found = answer("fare-card", facts(), KNOWN, protect(frame, k), asked)
    return found.cells, found.totals


@for_all(numbers, below, st.data(), st.lists(questions, min_size=1, max_size=4))
@settings(max_examples=40)
def test_whatever_the_hidden_counts_are_every_answer_is_the_same(values, k, data, asked):
    others = [data.draw(st.integers(1, k - 1)) if 0 < value < k else value for value in values]
    for one in asked:
        for mine, yours in zip(told(table(values), k, one), told(table(others), k, one), strict=True):
            assert mine.equals(yours)


@for_all(numbers, below, questions)
@settings(max_examples=40)
def test_no_sum_in_an_answer_is_a_count_below_the_threshold(values, k, asked):
    for frame in told(table(values), k, asked):
        assert frame.filter((pl.col("count") > 0) & (pl.col("count") < k)).is_empty()
        assert frame.filter((pl.col("count") == 0) & (pl.col("hidden") > 0))["mean"].null_count() == (
            frame.filter((pl.col("count") == 0) & (pl.col("hidden") > 0)).height
        )


@for_all(numbers, below, questions)
@settings(max_examples=40)
def test_a_total_is_the_sum_of_the_cells_that_are_shown_so_their_difference_tells_nothing(values, k, asked):
    cells, totals = told(table(values), k, asked)
    summed = cells.group_by("slot").agg(pl.col("count", "hidden").sum())
    for slot, count, hidden in totals.select("slot", "count", "hidden").iter_rows():
        mine = summed.filter(pl.col("slot") == slot)
        assert (mine["count"].sum(), mine["hidden"].sum()) == (count, hidden)


@for_all(numbers, below, questions)
@settings(max_examples=40)
def test_the_true_mean_lies_between_what_is_told_and_its_bound(values, k, asked):
    asked = replace(asked, partial=False)
    cells = set(CELLS if asked.cells is None else asked.cells)
    if asked.area is not None:
        cells &= {cell for cell in CELLS if asked.area.contains(SHAPES[cell].centroid)}
    first, last = asked.days or (DAYS[0], DAYS[1])
    used = [day for day in DAYS[:2] if first <= day <= last]
    hours = {slot.id: slot.hours for slot in asked.slots}
    exact = dict(zip(PLACES, values, strict=True))
    for slot, mean, most in told(table(values), k, asked)[1].select("slot", "mean", "at_most").iter_rows():
        mine = product(used, cells, set(hours[slot]) & set(HOURS))
        assert (mean or 0) - 1e-9 <= sum(exact[place] for place in mine) / len(used) <= most + 1e-9


@for_all(numbers, below)
@settings(max_examples=25)
def test_people_over_facilities_do_not_depend_on_hidden_counts_either(values, k):
    fakes = [1 if 0 < value < k else value for value in values]
    asked = Asked("boardings", each_hour(HOURS))
    cells, names = pl.Series(CELLS), pl.Series(["a", "b"])
    metres = pl.DataFrame({"a": [0.0, 400.0, 900.0], "b": [300.0, 100.0, float("inf")]}).to_numpy()
    mine, yours = (overlay(told(table(some), k, asked)[0], cells, names, metres, "roads") for some in (values, fakes))
    for name in ("cells", "facilities", "gaps", "slots"):
        assert getattr(mine, name).equals(getattr(yours, name))


@for_all(st.lists(st.integers(0, 9), min_size=1, max_size=5), st.integers(3, 6))
@settings(max_examples=150)
def test_an_exact_total_is_told_only_where_every_hidden_count_could_still_be_anything(values, k):
    shown = [value for value in values if value >= k]
    hidden = [value for value in values if 0 < value < k]
    total = told_total(sum(values), sum(shown), len(hidden), k)
    rest = sum(values) - sum(shown)
    possible = [some for some in product(range(1, k), repeat=len(hidden)) if sum(some) == rest]
    open_ = all({some[place] for some in possible} == set(range(1, k)) for place in range(len(hidden)))
    assert (total is not None) == open_
    assert total in {None, sum(values)}


def test_a_total_less_all_shown_cells_but_one_would_tell_it_so_it_is_not_told():
    found = protect(counts([(MONDAY, CELLS[0], 7, 40.0), (MONDAY, CELLS[1], 7, 3.0)]), 5)
    assert found.rows["count"].to_list() == [40.0, None]
    assert told_total(43.0, 40.0, 1, 5) is None


def test_days_are_told_without_totals_and_remainders_that_would_tell_a_count():
    rows = [(MONDAY, CELLS[0], 7, 40.0), (MONDAY, CELLS[1], 7, 3.0)]
    tuesday = date(2026, 1, 6)
    rows += [(tuesday, CELLS[0], 7, 40.0), (tuesday, CELLS[1], 7, 3.0), (tuesday, CELLS[2], 7, 2.0)]
    known = pl.DataFrame(
        {
            "day": [MONDAY, tuesday],
            "hours": [[7], [7]],
            "whole": [True, True],
            "total": [43.0, 45.0],
            "outside": [4.0, 5.0],
            "unplaced": [0.0, 1.0],
        }
    )
    told = told_days(known, protect(counts(rows), 5))
    assert told["total"].to_list() == [None, 45.0]
    assert told["outside"].to_list() == [None, 5.0]
    assert told["unplaced"].to_list() == [0.0, None]
    assert told["hidden"].to_list() == [1, 2]


def test_the_threshold_itself_is_shown_and_nought_is_no_row():
    rows = [(MONDAY, CELLS[0], 7, 5.0), (MONDAY, CELLS[1], 7, 4.9), (MONDAY, CELLS[2], 7, 0.0)]
    assert protect(counts(rows), 5).rows["count"].to_list() == [5.0, None]


def test_a_count_in_parts_cannot_be_protected():
    with pytest.raises(InvalidError, match="comes twice"):
        protect(counts([(MONDAY, CELLS[0], 7, 3.0), (MONDAY, CELLS[0], 7, 3.0)]), 5)


def test_hiding_ones_alone_is_refused():
    with pytest.raises(InvalidError, match="3 at least"):
        protect(counts([]), 2)
