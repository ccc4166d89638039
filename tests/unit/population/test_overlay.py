"""People over facilities: reach, people per facility, gaps."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from schemas.errors import InvalidError
from serve.population.overlay import overlay
from tests.unit.population.scenario import CELLS

A, B, C = CELLS
SHELTERS = pl.Series(["shelter-1", "shelter-2"])


def people(*rows) -> pl.DataFrame:
    schema = {"cell": pl.String, "slot": pl.String, "mean": pl.Float64, "at_most": pl.Float64}
    return pl.DataFrame(rows, schema, orient="row")


PEOPLE = people(
    (A, "commute", 100.0, 100.0), (B, "commute", 40.0, 45.0), (C, "commute", 7.0, 7.0), (A, "night", None, 5.0)
)
METRES = np.array([[100.0, 300.0], [700.0, 200.0], [np.inf, np.nan]])


def test_each_cell_has_its_nearest_facility_in_minutes_and_says_how_that_was_measured():
    method = np.array([["roads", "roads"], ["roads", "straight-line"], ["roads", "roads"]])
    found = overlay(PEOPLE, pl.Series(CELLS), SHELTERS, METRES, method, walk_m_per_min=50)
    assert found.cells.rows() == [
        (A, "shelter-1", 100.0, 2.0, "roads"),
        (B, "shelter-2", 200.0, 4.0, "straight-line"),
        (C, None, None, None, None),
    ]


def test_people_in_reach_count_at_every_facility_and_once_at_the_nearest():
    found = overlay(PEOPLE, pl.Series(CELLS), SHELTERS, METRES, "roads", reach_min=5)
    commute = found.facilities.filter(slot="commute").drop("slot")
    assert commute.rows() == [("shelter-1", 100.0, 100.0, 100.0, 100.0), ("shelter-2", 140.0, 145.0, 40.0, 45.0)]


def test_people_with_nothing_in_reach_are_gaps_the_most_people_first():
    found = overlay(PEOPLE, pl.Series(CELLS), SHELTERS, METRES, "roads", reach_min=1)
    assert found.gaps.select("cell", "slot", "mean", "facility").rows() == [
        (A, "commute", 100.0, "shelter-1"),
        (B, "commute", 40.0, "shelter-2"),
        (C, "commute", 7.0, None),
        (A, "night", None, "shelter-1"),
    ]
    assert found.slots.rows() == [("commute", 147.0, 0.0, 0.0), ("night", 0.0, 0.0, None)]


def test_reach_includes_its_edge():
    found = overlay(PEOPLE, pl.Series(CELLS), SHELTERS, METRES, "roads", reach_min=2, walk_m_per_min=100)
    assert found.slots.filter(slot="commute").select("in_reach", "share").row(0) == (140.0, 140 / 147)


def test_without_facilities_all_people_are_gaps():
    found = overlay(PEOPLE, pl.Series(CELLS), pl.Series([], dtype=pl.String), np.empty((3, 0)), "roads")
    assert (found.facilities.height, found.gaps.height) == (0, 4)


@pytest.mark.parametrize(
    ("cells", "metres", "why"),
    [
        (CELLS, METRES.T, "not 3 cells by 2"),
        (CELLS, -METRES, "negative"),
        ((A, A, B), METRES, "two rows"),
        ((A, B, "라사00a00a"), METRES, "no distances"),
    ],
)
def test_distances_that_do_not_fit_are_refused(cells, metres, why):
    with pytest.raises(InvalidError, match=why):
        overlay(PEOPLE, pl.Series(cells), SHELTERS, metres, "roads")


metres_of = st.lists(
    st.lists(st.sampled_from([0.0, 100.0, 334.9, 335.0, 335.1, np.inf, np.nan]), min_size=2, max_size=2),
    min_size=3,
    max_size=3,
)
counts_of = st.lists(st.none() | st.floats(0.5, 1000), min_size=3, max_size=3)


@for_all(metres_of, counts_of)
@settings(max_examples=60)
def test_everybody_is_in_reach_of_a_nearest_facility_or_in_a_gap(metres, values):
    some = people(*((cell, "day", value, value or 5.0) for cell, value in zip(CELLS, values, strict=True)))
    found = overlay(some, pl.Series(CELLS), SHELTERS, np.array(metres), "roads")
    everybody = sum(value or 0 for value in values)
    assert found.facilities["nearest"].sum() + found.gaps["mean"].sum() == pytest.approx(everybody)
    assert found.slots["in_reach"].sum() == pytest.approx(found.facilities["nearest"].sum())
    for number, facility in enumerate(SHELTERS):
        near = [row[number] <= 335.0 for row in metres]
        mine = sum(value or 0 for value, is_near in zip(values, near, strict=True) if is_near)
        assert found.facilities.filter(facility=facility)["in_reach"].sum() == pytest.approx(mine)
