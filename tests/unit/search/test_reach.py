"""Where a person could be by now."""

from hypothesis import given
from hypothesis import strategies as st
from shapely import Point
from shapely.geometry import shape

from serve.search.reach import Area, Roads

EAST, NORTH = 1 / 88_000, 1 / 111_195
"""Degrees of a metre, about, at 37.9° north."""


def at(east: float, north: float) -> tuple[float, float]:
    return 127.7 + east * EAST, 37.9 + north * NORTH


CROSSING = Roads([[at(-1_000, 0), at(0, 0), at(1_000, 0)], [at(4, 3), at(0, 1_000)], [at(5_000, 0), at(6_000, 0)]])


def holds(area: Area, east: float, north: float) -> bool:
    return bool(shape(area.geometry).contains(Point(at(east, north))))


def test_the_way_leads_along_the_roads_and_not_across_the_fields() -> None:
    area = CROSSING.within(*at(0, 0), 300, 1.4)
    assert area.method == "roads"
    assert holds(area, 400, 0)
    assert holds(area, 0, 400)
    assert not holds(area, 300, 300)
    assert not holds(area, 600, 0)


def test_ends_that_nearly_meet_are_one_crossing() -> None:
    assert holds(CROSSING.within(*at(-500, 0), 1_000, 1.4), 0, 800)


def test_roads_that_cross_without_a_common_point_are_joined() -> None:
    roads = Roads([[at(-500, 0), at(500, 0)], [at(0, -500), at(0, 500)]])
    assert holds(roads.within(*at(-300, 0), 600, 1.4), 0, 400)


def test_a_road_that_is_not_joined_is_not_reached() -> None:
    assert not holds(CROSSING.within(*at(0, 0), 36_000, 1.4), 5_500, 0)


def test_far_from_every_road_a_circle_is_drawn_and_called_so() -> None:
    area = CROSSING.within(*at(0, -9_000), 600, 1.4)
    assert area.method == "straight-line"
    assert holds(area, 500, -9_500)


def test_without_roads_a_circle_is_drawn() -> None:
    assert Roads([]).within(127.7, 37.9, 60, 1.4).method == "straight-line"


def test_no_time_leads_as_far_as_the_camera_sees() -> None:
    area = CROSSING.within(*at(0, 0), 0, 1.4)
    assert holds(area, 30, 0)
    assert not holds(area, 200, 0)


@given(st.floats(-900, 900), st.floats(0, 3_600), st.floats(0, 3_600), st.floats(0.5, 20))
def test_reach_grows_with_time(east: float, seconds: float, more: float, speed: float) -> None:
    short = shape(CROSSING.within(*at(east, 5), seconds, speed).geometry)
    long = shape(CROSSING.within(*at(east, 5), seconds + more, speed).geometry)
    assert short.difference(long.buffer(1e-6)).area < 1e-10
