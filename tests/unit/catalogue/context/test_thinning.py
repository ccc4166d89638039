"""Versions that few will ask for are forgotten: which, when, and with what objects. Hours and days are of Seoul."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from actors.catalogue.state import listing_of, object_of
from schemas.base import from_micros, micros
from tests.unit.catalogue.context.scenario import (
    CONTEXT,
    NOON,
    SHELTERS,
    STOPS,
    A,
    B,
    C,
    D,
    brought,
    given,
    refresh,
    register,
    retire,
    thin,
)

MINUTE = 60_000_000
"""Microseconds; all other times are minutes after noon."""
HOUR, DAY, WEEK = 60, 24 * 60, 7 * 24 * 60
MIDNIGHT = 12 * HOUR


def refreshed(*minutes):
    return given(register(), *(refresh(minute, f"{number:064x}") for number, minute in enumerate(minutes)))


def kept(city):
    """When the versions began that are kept."""
    return [(one.since - micros(NOON)) / MINUTE for one in city.known().versions]


def test_within_an_hour_after_they_were_replaced_all_versions_stay_and_then_the_last_of_each_minute():
    city = refreshed(1, 1.3, 1.6, 2.2, 2.4)
    city.when(thin(HOUR + 1.2)).then_nothing()
    city.when(thin(HOUR + 5)).then("versions-dropped")
    assert kept(city) == [1.6, 2.4]


def test_within_a_day_after_they_were_replaced_the_last_of_each_minute_stay():
    city = refreshed(1, 2, 3)
    city.when(thin(DAY + 2)).then_nothing()
    city.when(thin(DAY + 2.5)).then("versions-dropped")
    assert kept(city) == [2, 3]


def test_after_a_day_those_stay_that_were_the_newest_at_the_end_of_an_hour():
    city = refreshed(5, 20, 50, 70, 80, 200, 210, 220)
    (event,) = city.when(thin(2 * DAY)).then("versions-dropped")
    assert [(one - NOON) / timedelta(minutes=1) for one in event.since] == [5, 20, 70, 200, 210]
    assert kept(city) == [50, 80, 220]


def test_after_a_week_those_stay_that_were_the_newest_at_the_end_of_a_day_in_seoul():
    minutes = [MIDNIGHT - 90, MIDNIGHT - 30, MIDNIGHT + 90, MIDNIGHT + 150, MIDNIGHT + DAY + 1]
    city = refreshed(*minutes)
    city.when(thin(WEEK)).then_nothing()
    city.when(thin(2 * WEEK)).then("versions-dropped")
    assert kept(city) == [MIDNIGHT - 30, MIDNIGHT + 150, MIDNIGHT + DAY + 1]


def test_after_the_days_that_are_kept_none_stays_but_the_newest():
    city = refreshed(0, DAY, 2 * DAY, 3 * DAY)
    city.when(thin(12 * DAY, days=10)).then("versions-dropped")
    assert kept(city) == [DAY, 2 * DAY, 3 * DAY]
    city.when(thin(500 * DAY, days=10)).then("versions-dropped")
    assert kept(city) == [3 * DAY]
    city.when(thin(5_000 * DAY, days=10)).then_nothing()


def test_how_old_a_version_is_counts_from_when_it_was_replaced():
    refreshed(0, 100 * DAY).when(thin(101 * DAY, days=2)).then_nothing()


def test_what_was_the_newest_for_long_stays_though_it_was_replaced_within_an_hour_of_many():
    city = refreshed(10, 50, 310, 320, 330)
    city.and_(thin(3 * DAY), thin(3 * DAY), thin(3 * DAY))
    assert kept(city) == [50, 330]


def test_a_version_says_until_when_it_held_also_when_the_next_one_is_forgotten():
    city = refreshed(50, 70, 80, 130)
    city.and_(thin(2 * DAY))
    assert kept(city) == [50, 80, 130]
    held = [row["until"] and (row["until"] - NOON) / timedelta(minutes=1) for row in city.table("versions")]
    assert held == [70, 130, None]


def test_thinning_again_changes_nothing():
    city = refreshed(5, 20, 50, 70, 80, 200, 210, 220)
    city.when(thin(2 * DAY)).then("versions-dropped")
    city.when(thin(2 * DAY)).then_nothing()


def test_an_object_that_a_version_of_now_names_stays():
    city = given(
        register(), refresh(1, A, listing=C), refresh(2, B, listing=D, token="b" * 8), refresh(3, A, listing=D)
    )
    (event,) = city.when(thin(DAY * 2)).then("versions-dropped")
    joined = brought(B, listing=D, token="b" * 8)
    first = brought(A, listing=C)
    assert set(event.objects) == {listing_of(STOPS, first), object_of(STOPS, joined), listing_of(STOPS, joined)}
    assert city.objects() == {object_of(STOPS, first), listing_of(STOPS, brought(A, listing=D))}


def test_the_same_rows_of_another_refresh_or_dataset_are_another_object():
    city = given(register(), refresh(1, A), refresh(2, B), refresh(3, A, token="b" * 8))
    city.and_(register(dataset=SHELTERS), refresh(1, A, SHELTERS))
    (event,) = city.when(thin(DAY * 2)).then("versions-dropped")
    assert object_of(STOPS, brought(A)) in event.objects
    assert city.objects() == {object_of(STOPS, brought(A, token="b" * 8))}
    assert city.objects(SHELTERS) == {object_of(SHELTERS, brought(A))}


@pytest.mark.parametrize("minute", [10, 5], ids=["same", "earlier"])
def test_a_refresh_of_the_same_or_an_earlier_moment_begins_after_the_one_before_and_stays(minute):
    city = given(register(), refresh(10, A), refresh(minute, B))
    since = [one.since for one in city.known().versions]
    assert since[1] == since[0] + 1
    (event,) = city.when(thin(DAY * 2)).then("versions-dropped")
    assert event.since == (from_micros(since[0]),)
    assert city.known().newest == brought(B)


def test_a_retired_dataset_is_thinned_all_the_same():
    city = given(register(), refresh(1, A), refresh(2, B), retire(9))
    city.when(thin(2 * DAY)).then("versions-dropped")
    assert city.objects() == {object_of(STOPS, brought(B))}


steps = st.lists(
    st.tuples(
        st.integers(0, 12 * DAY) | st.integers(0, DAY) | st.floats(0, DAY),
        st.sampled_from(["refresh", "refresh", "refresh", "thin"]),
    ),
    max_size=40,
).map(sorted)


@for_all(steps, st.integers(0, 5 * DAY))
@settings(max_examples=150)
def test_however_often_versions_are_thinned_those_at_the_end_of_each_minute_hour_or_day_are_found(story, rest):
    city, told, last = given(register()), [], 12 * DAY + rest
    for number, (minute, what) in enumerate([*story, (last, "thin")]):
        if what == "thin":
            city.and_(thin(minute))
        else:
            city.and_(refresh(minute, f"{number:064x}"))
            told.append(city.known().versions[-1])
    for one, after in pairwise(told):
        age = micros(NOON) + last * MINUTE - after.since
        kept = ((HOUR, 1), (DAY, MINUTE), (WEEK, HOUR * MINUTE))
        width = next((width for oldest, width in kept if age <= oldest * MINUTE), DAY * MINUTE)
        # Midnight of Seoul is 15:00 UTC.
        end = after.since - (after.since + 9 * HOUR * MINUTE) % width
        if one.since < end:
            assert [found for found in city.known().versions if found.since < end][-1] == one
    assert CONTEXT.load(CONTEXT.dump(city.state)).datasets == city.state.datasets
