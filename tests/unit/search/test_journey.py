"""How a person may have gone from camera to camera."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from serve.search.journey import FASTEST_M_S, Stop, distance_m, leg, plan, weigh

NOON = datetime(2026, 11, 23, 3, tzinfo=UTC)
METRES_PER_DEGREE = 111_195.08


def stop(name: str, metres: float, seconds: float, probability: float = 0.9, *, confirmed: bool = False) -> Stop:
    """A stop on a meridian, `metres` north of the Equator."""
    at = NOON + timedelta(seconds=seconds)
    return Stop(name, f"camera-{name}", 127.7, metres / METRES_PER_DEGREE, at, probability, confirmed)


def names(stops: tuple[Stop, ...]) -> list[str]:
    return [one.sighting for one in stops]


def test_a_degree_along_a_meridian_is_a_360th_of_the_earths_way_around() -> None:
    assert abs(distance_m((127.0, 37.0), (127.0, 38.0)) - METRES_PER_DEGREE) < 1


def test_a_leg_names_the_slowest_way_that_could_make_it() -> None:
    start = stop("a", 0, 0)
    assert leg(start, stop("b", 300, 300)).mode == "walk"
    assert leg(start, stop("b", 2_000, 300)).mode == "bus"
    assert leg(start, stop("b", 5_000, 300)).mode == "car"
    assert leg(start, stop("b", 20_000, 300)).mode == "impossible"
    assert leg(start, stop("b", 20_000, 300)).reason == "20000 m in 300 s: 240 km/h"


def test_a_leg_is_the_same_from_either_end() -> None:
    one, other = stop("a", 0, 0), stop("b", 900, 600)
    assert leg(one, other) == leg(other, one)


def test_cameras_that_see_the_same_square_may_see_a_person_at_the_same_moment() -> None:
    assert leg(stop("a", 0, 0), stop("b", 90, 0)).mode == "walk"


def test_the_journey_goes_through_confirmed_and_likely_stops_in_order_of_time() -> None:
    journey = plan([stop("c", 800, 900), stop("a", 0, 0, 1.0, confirmed=True), stop("b", 400, 400, 0.8)])
    assert names(journey.stops) == ["a", "b", "c"]
    assert [one.mode for one in journey.legs] == ["walk", "walk"]
    assert not journey.apart


def test_an_impossible_stop_is_shown_apart_with_the_reason() -> None:
    journey = plan([stop("a", 0, 0, 1.0, confirmed=True), stop("far", 30_000, 60, 0.95), stop("b", 500, 600, 0.8)])
    assert names(journey.stops) == ["a", "b"]
    ((found, why),) = journey.apart
    assert found.sighting == "far"
    assert why.reason == "30000 m in 60 s: 1800 km/h"


def test_a_likely_stop_that_would_need_a_car_twice_is_left_out_with_the_reason() -> None:
    confirmed = [stop("a", 0, 0, 1.0, confirmed=True), stop("c", 200, 120, 1.0, confirmed=True)]
    journey = plan([*confirmed, stop("b", 1_500, 60, 0.7)])
    assert (names(journey.stops), journey.apart) == (["a", "c"], ())
    ((found, why),) = journey.left_out
    assert (found.sighting, why.mode, why.reason) == ("b", "car", "1500 m in 60 s: 90 km/h")


def test_two_confirmed_stops_stay_in_the_journey_even_where_their_leg_is_impossible() -> None:
    journey = plan([stop("a", 0, 0, 1.0, confirmed=True), stop("b", 50_000, 60, 1.0, confirmed=True)])
    assert names(journey.stops) == ["a", "b"]
    assert journey.legs[0].mode == "impossible"


def test_confirming_raises_what_is_near_and_lowers_what_is_out_of_reach() -> None:
    confirmed = [stop("a", 0, 0, 1.0, confirmed=True)]
    assert weigh(stop("near", 300, 300, 0.5), confirmed).probability == 0.8
    assert weigh(stop("far", 30_000, 60, 0.5), confirmed).probability < 0.05


def test_the_nearest_confirmed_stops_before_and_after_both_count() -> None:
    confirmed = [stop("a", 0, 0, 1.0, confirmed=True), stop("b", 0, 100, 1.0, confirmed=True)]
    between = stop("far", 25_000, 3_600, 0.5)
    assert weigh(between, confirmed[:1]).probability > 0.5  # an hour is enough by bus
    assert weigh(stop("far", 30_000, 50, 0.5), confirmed).probability < 0.05


def test_nothing_makes_no_journey() -> None:
    assert plan([]).stops == ()


a_stop = st.builds(
    stop,
    st.uuids().map(str),
    st.floats(0, 40_000),
    st.integers(0, 7_200),
    st.floats(0.01, 0.99),
    confirmed=st.booleans(),
)


@given(st.lists(a_stop, max_size=12, unique_by=lambda one: one.sighting))
def test_every_confirmed_stop_is_in_the_journey_and_only_they_may_be_joined_by_an_impossible_leg(
    stops: list[Stop],
) -> None:
    journey = plan(stops)
    chain = set(names(journey.stops))
    assert {one.sighting for one in stops if one.confirmed} <= chain
    assert list(journey.stops) == sorted(journey.stops, key=lambda one: (one.time, one.sighting))
    for one in journey.legs:
        assert one.mode != "impossible" or (one.start.confirmed and one.end.confirmed)
    assert chain.isdisjoint(found.sighting for found, _ in journey.apart)
    assert chain.isdisjoint(found.sighting for found, _ in journey.left_out)


@given(st.lists(a_stop, max_size=12, unique_by=lambda one: one.sighting), st.sampled_from([0.1, 0.3, 0.5, 0.8]))
def test_every_likely_stop_is_in_the_journey_or_beside_it_with_a_reason(stops: list[Stop], likely: float) -> None:
    journey = plan(stops, likely)
    confirmed = [one for one in stops if one.confirmed]
    beside = [*journey.apart, *journey.left_out]
    shown = [*names(journey.stops), *(found.sighting for found, _ in beside)]
    assert len(shown) == len(set(shown))
    assert {one.sighting for one in stops if weigh(one, confirmed).probability >= likely} <= set(shown)
    assert all(why.mode == "impossible" for _, why in journey.apart)
    assert all(why.mode != "impossible" and why.reason for _, why in journey.left_out)


@given(st.lists(a_stop, max_size=8, unique_by=lambda one: one.sighting), a_stop)
def test_a_confirmation_never_makes_a_stop_out_of_its_reach_likelier(stops: list[Stop], new: Stop) -> None:
    confirmed = [one for one in stops if one.confirmed]
    with_new = [*confirmed, stop(new.sighting, new.lat * METRES_PER_DEGREE, (new.time - NOON).seconds, confirmed=True)]
    for one in stops:
        if not one.confirmed and all(leg(one, other).mode == "impossible" for other in with_new):
            assert weigh(one, with_new).probability <= one.probability


@given(st.floats(0, 100_000), st.integers(0, 10_000), st.integers(0, 10_000))
def test_more_time_never_needs_a_faster_way(metres: float, seconds: int, more: int) -> None:
    ways = [*FASTEST_M_S, "impossible"]
    start = stop("a", 0, 0)
    short, long = leg(start, stop("b", metres, seconds)), leg(start, stop("b", metres, seconds + more))
    assert ways.index(long.mode) <= ways.index(short.mode)
