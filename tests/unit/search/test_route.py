"""A journey as GeoJSON: nothing is dropped, and what is impossible stays so."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from serve.search.reach import Roads
from serve.search.route import last_confirmed, likelihoods, reach_feature, route, stops_of

NOON = datetime(2026, 1, 15, 3, tzinfo=UTC)
PLACES = {
    f"cam-{number}": {"name_ko": f"카메라 {number}", "name_en": f"Camera {number}", "lon": lon, "lat": 37.88}
    for number, lon in enumerate((127.70, 127.705, 127.72, 128.4))
}


def row(camera: int, minutes: float, state: str = "found", probability: float | None = 0.8) -> dict[str, Any]:
    name = f"cam-{camera}"
    time = NOON + timedelta(minutes=minutes)
    return {
        "candidate": f"{name}.{minutes}",
        "camera": name,
        "time": time,
        "state": state,
        "probability": probability,
    }


rows = st.lists(
    st.builds(
        row,
        st.integers(0, 3),
        st.integers(0, 600),
        st.sampled_from(["found", "confirmed", "dismissed"]),
        st.sampled_from([None, 0.05, 0.5, 0.9]),
    ),
    max_size=12,
    unique_by=lambda one: one["candidate"],
)


def pairs(said: dict[str, Any]) -> set[frozenset[str]]:
    """Who cannot both be the person, as the answer says."""
    found = set()
    for one in said["impossible"]:
        about = one["properties"]
        ends = (about["from"], about["to"]) if "from" in about else (about["candidate"], about["against"])
        found.add(frozenset(ends))
    return found


def points(features: list[dict[str, Any]]) -> list[str]:
    return [one["id"] for one in features if one["geometry"]["type"] == "Point"]


@given(rows)
def test_every_confirmed_stop_is_on_the_route_and_in_order_of_time(found: list[dict[str, Any]]) -> None:
    said = route(stops_of(found, PLACES), PLACES, 0.5)
    on = points(said["features"])
    times = {one["candidate"]: one["time"] for one in found}
    assert [times[one] for one in on] == sorted(times[one] for one in on)
    assert {one["candidate"] for one in found if one["state"] == "confirmed"} <= set(on)
    dismissed = {one["candidate"] for one in found if one["state"] == "dismissed"}
    assert not dismissed & {*on, *points(said["impossible"])}


@given(rows)
def test_what_is_impossible_stands_apart_with_its_reason_and_nothing_else_does(found: list[dict[str, Any]]) -> None:
    said = route(stops_of(found, PLACES), PLACES, 0.5)
    assert not any(one["properties"]["impossible"] for one in said["features"])
    assert all(one["properties"]["impossible"] and one["properties"]["reason"] for one in said["impossible"])
    assert not set(points(said["features"])) & set(points(said["impossible"]))
    legs = [one for one in [*said["features"], *said["impossible"]] if one["geometry"]["type"] == "LineString"]
    assert len(legs) == max(0, len(points(said["features"])) - 1)


@given(rows, st.integers(0, 11))
def test_a_later_confirmation_never_makes_an_impossible_pair_possible(found: list[dict[str, Any]], which: int) -> None:
    before = pairs(route(stops_of(found, PLACES), PLACES, 0.0))
    later = [{**one, "state": "confirmed"} if number == which else one for number, one in enumerate(found)]
    said = route(stops_of(later, PLACES), PLACES, 0.0)
    legs = {
        frozenset((one["properties"]["from"], one["properties"]["to"]))
        for one in said["features"]
        if one["geometry"]["type"] == "LineString"
    }
    assert not before & legs


def test_a_likely_stop_that_is_not_on_the_route_is_listed_apart_with_its_reason() -> None:
    # 1.76 km in a minute and back in another: possible by car, but between two sightings at one place hardly likely.
    found = [row(0, 0, "confirmed"), row(2, 1.5, probability=0.7), row(0, 3, "confirmed")]
    said = route(stops_of(found, PLACES), PLACES, 0.5)
    assert points(said["features"]) == ["cam-0.0", "cam-0.3"]
    assert said["impossible"] == []
    (left,) = said["left_out"]
    about = left["properties"]
    assert (left["id"], about["state"], about["impossible"], about["mode_ko"]) == (
        "cam-2.1.5",
        "left out",
        False,
        "승용차",
    )
    assert about["reason"].startswith("the route is likelier without it: 1755 m in 90 s")


def test_confirming_one_makes_what_fits_likelier_and_what_does_not_unlikely() -> None:
    found = [row(0, 0), row(1, 30, probability=0.4), row(3, 1, probability=0.9)]
    before = likelihoods(stops_of(found, PLACES))
    after = likelihoods(stops_of([{**found[0], "state": "confirmed"}, *found[1:]], PLACES))
    assert after["cam-1.30"] > before["cam-1.30"]
    assert after["cam-3.1"] < 0.5 < before["cam-3.1"]


def test_without_a_calibration_a_candidate_is_likely_once_it_fits_to_what_was_confirmed() -> None:
    found = [row(0, 0, probability=None), row(1, 30, probability=None)]
    assert points(route(stops_of(found, PLACES), PLACES, 0.5)["features"]) == []
    confirmed = [{**found[0], "state": "confirmed"}, found[1]]
    assert points(route(stops_of(confirmed, PLACES), PLACES, 0.5)["features"]) == ["cam-0.0", "cam-1.30"]


def test_a_camera_that_is_not_known_any_more_is_on_no_map() -> None:
    assert stops_of([row(0, 0) | {"camera": "gone"}], PLACES) == []


def test_the_reach_is_told_with_its_assumptions_and_begins_at_the_last_confirmed_stop() -> None:
    stops = stops_of([row(0, 0, "confirmed"), row(1, 20, "confirmed"), row(2, 60)], PLACES)
    last = last_confirmed(stops)
    assert last is not None
    area = Roads([]).within(last.lon, last.lat, 600, 2.0)
    feature = reach_feature(area, last, "walk", 600)
    assert feature["properties"] == {
        "from": "cam-1.20",
        "mode": "walk",
        "metres_per_second": 2.0,
        "seconds": 600,
        "method": "straight-line",
    }
    assert last_confirmed(stops_of([row(0, 0)], PLACES)) is None
