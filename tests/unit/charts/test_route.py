"""The map of a journey."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from shapely.geometry import shape

from serve.charts.render import render
from serve.charts.route import route_spec
from serve.search.journey import Stop, plan
from serve.search.reach import Roads

NOON = datetime(2026, 11, 23, 3, tzinfo=UTC)
ROADS = [[(127.71, 37.88), (127.75, 37.88)]]


def stop(camera: str, lon: float, minutes: int, *, confirmed: bool = False) -> Stop:
    return Stop(f"s-{camera}", camera, lon, 37.88, NOON + timedelta(minutes=minutes), 0.9, confirmed)


def spec() -> dict[str, Any]:
    journey = plan([stop("a", 127.72, 0, confirmed=True), stop("b", 127.73, 15), stop("far", 128.4, 16)])
    reach = Roads(ROADS).within(127.73, 37.88, 600, 1.4)
    return route_spec(journey, reach, ROADS, {"a": "팔호광장"}, "이동 경로")


def test_the_map_names_the_stops_in_order_with_the_time_in_seoul() -> None:
    texts = [row["label"] for layer in spec()["layer"] for row in layer["data"]["values"] if "label" in row]
    assert "1. 팔호광장 12:00:00" in texts
    assert "2. b 12:15:00" in texts


def test_who_comes_back_to_a_camera_has_one_label_there() -> None:
    journey = plan([stop("a", 127.72, 0, confirmed=True), stop("b", 127.73, 15), stop("a", 127.72, 30, confirmed=True)])
    layers = route_spec(journey, None, ROADS, {}, "")["layer"]
    assert [row["label"] for row in layers[-1]["data"]["values"]] == ["1. a 12:00:00 · 3. 12:30:00", "2. b 12:15:00"]


def test_a_confirmed_stop_lies_over_the_likely_ones_of_its_camera() -> None:
    journey = plan([stop("a", 127.72, 0, confirmed=True), stop("a", 127.72, 1), stop("b", 127.73, 15)])
    layers = route_spec(journey, None, ROADS, {}, "")["layer"]
    drawn = [row["kind"] for layer in layers for row in layer["data"]["values"] if row.get("kind")]
    assert drawn == ["가능성 높음 likely"] * 2 + ["확인됨 confirmed"]


def test_a_likely_stop_that_is_left_out_is_on_the_map() -> None:
    between = Stop("s-b", "b", 127.74, 37.88, NOON + timedelta(seconds=80), 0.7)
    journey = plan([stop("a", 127.72, 0, confirmed=True), between, stop("c", 127.72, 3, confirmed=True)])
    assert [one.sighting for one, _ in journey.left_out] == ["s-b"]
    rows = [row for layer in route_spec(journey, None, ROADS, {}, "")["layer"] for row in layer["data"]["values"]]
    assert [row["lon"] for row in rows if row.get("kind") == "경로에서 제외 left out"] == [127.74]


def test_an_svg_holds_the_stops_and_the_title() -> None:
    picture = render(spec(), "svg").decode()
    assert picture.startswith("<svg")
    assert "팔호광장" in picture
    assert "이동 경로" in picture


def test_a_png_is_one() -> None:
    assert render(spec(), "png").startswith(b"\x89PNG\r\n")


def test_what_is_no_specification_is_refused() -> None:
    with pytest.raises(ValueError, match="conversion failed"):
        render({"mark": 5}, "svg")


def test_the_reach_is_drawn_on_its_inside() -> None:
    (layer,) = [layer for layer in spec()["layer"] if layer["mark"].get("opacity") == 0.18]
    geometry = layer["data"]["values"][0]["geometry"]
    assert shape(geometry).area < 0.01
    assert all(
        not shape({"type": "Polygon", "coordinates": rings}).exterior.is_ccw for rings in geometry["coordinates"]
    )


def test_a_journey_without_stops_is_an_empty_map_of_the_city() -> None:
    assert render(route_spec(plan([]), None, ROADS, {}, "비어 있음"), "svg").startswith(b"<svg")
