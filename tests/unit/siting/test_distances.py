"""How far it is: straight, along the roads, and what a distance says of itself."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.search.journey import distance_m
from serve.siting.distances import Walks, distances, straight

LON, LAT = 127.73, 37.88
A_DEGREE = math.radians(1) * 6_371_008.8


def east(metres: float, north: float = 0.0) -> tuple[float, float]:
    """A place so many metres from a corner of Chuncheon."""
    return LON + metres / A_DEGREE / math.cos(math.radians(LAT)), LAT + north / A_DEGREE


ELL = Walks([[east(0), east(1000)], [east(1000), east(1000, 800)]])
"""A road a kilometre to the east, then 800 m to the north."""

PLACES = st.tuples(st.floats(-180, 180), st.floats(-90, 90))


@given(st.lists(PLACES, min_size=1, max_size=4), st.lists(PLACES, min_size=1, max_size=4))
def test_straight_lines_are_those_of_the_formula_for_two_places(
    start: list[tuple[float, float]], end: list[tuple[float, float]]
) -> None:
    told = straight(np.array(start), np.array(end))
    assert told.shape == (len(start), len(end))
    for row, one in enumerate(start):
        for column, other in enumerate(end):
            assert told[row, column] == pytest.approx(distance_m(one, other), abs=0.1)


def test_the_way_along_the_roads_goes_round_the_corner() -> None:
    told = distances(np.array([east(200)]), np.array([east(1000, 500)]), ELL)
    assert told.by_road.all()
    assert told.metres[0, 0] == pytest.approx(800 + 500, rel=0.002)


def test_places_beside_the_road_walk_to_it() -> None:
    told = distances(np.array([east(300, 40)]), np.array([east(600, 100)]), ELL)
    assert told.metres[0, 0] == pytest.approx(300 + 140, rel=0.002)


def test_two_places_on_one_stretch_do_not_walk_to_its_end() -> None:
    told = distances(np.array([east(450), east(550)]), np.array([east(500)]), ELL)
    np.testing.assert_allclose(told.metres[:, 0], 50, rtol=0.01)


def test_where_no_road_leads_the_line_is_straight_times_the_detour() -> None:
    start, end = np.array([east(100), east(0, 5000)]), np.array([east(900)])
    told = distances(start, end, ELL, detour=1.3)
    assert told.by_road[:, 0].tolist() == [True, False]
    assert told.metres[1, 0] == pytest.approx(1.3 * straight(start, end)[1, 0])
    assert told.said == "along roads for 50.0% of the pairs, else straight line × 1.3"


def test_roads_that_do_not_meet_lead_nowhere() -> None:
    apart = Walks([[east(0), east(400)], [east(0, 300), east(400, 300)]])
    told = distances(np.array([east(100)]), np.array([east(100, 300), east(300)]), apart)
    assert told.by_road[0].tolist() == [False, True]


def test_without_roads_all_lines_are_straight_and_say_so() -> None:
    told = distances(np.array([east(0)]), np.array([east(250)]))
    assert told.metres[0, 0] == pytest.approx(250, rel=0.001)
    assert (told.by_road.any(), told.said) == (False, "straight line")
    assert not distances(np.array([east(0)]), np.array([east(250)]), Walks([])).by_road.any()


def test_the_ways_of_a_street_grid_are_those_of_a_taxi() -> None:
    streets = [[east(at, 0), east(at, 400)] for at in (0, 200, 400)] + [
        [east(0, at), east(400, at)] for at in (0, 200, 400)
    ]
    chance = np.random.default_rng(4)
    start = [(float(x), 200.0) for x in chance.integers(0, 400, 8)]
    end = [(200.0, float(y)) for y in chance.integers(0, 400, 8)]
    told = distances(np.array([east(*one) for one in start]), np.array([east(*one) for one in end]), Walks(streets))
    wanted = np.array([[abs(x - 200) + abs(y - 200) for _, y in end] for x, _ in start])
    np.testing.assert_allclose(told.metres, wanted, atol=2.0)
    assert told.by_road.all()


def test_no_places_are_no_distances() -> None:
    nobody = np.empty((0, 2))
    assert distances(nobody, np.array([east(0)]), ELL).metres.shape == (0, 1)
    assert distances(np.array([east(0)]), nobody, ELL).metres.shape == (1, 0)
