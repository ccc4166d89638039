"""From a request to GeoJSON, a comparison and pictures."""

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from schemas.siting import SitingRequest
from serve.charts.render import render
from serve.siting.answer import collection
from serve.siting.chart import chosen_map, comparison
from serve.siting.compare import Measures, compared
from serve.siting.distances import distances
from serve.siting.models import solve
from serve.siting.prepare import demand_places, problems, site_places

PEOPLE = [(0.0, 3, 0), (0.004, 2, 9), (0.02, 4, 4)]


def asked(**given: Any) -> SitingRequest:
    """Three points along a line, three candidates, one existing site at the first point; morning and night."""
    body: dict[str, Any] = {
        "kind": "smart-shelter",
        "models": ["lscp", "mclp", "p-median", "p-center"],
        "slots": [{"id": "morning"}, {"id": "night", "weight": 2, "walking_minutes": 3}],
        "demand": [{"lon": 127.7 + at, "lat": 37.88, "weights": people} for at, *people in PEOPLE],
        "candidates": [
            {"id": "near", "lon": 127.7035, "lat": 37.88, "cost": 2},
            {"id": "far", "lon": 127.7195, "lat": 37.88},
            {"id": "away", "lon": 127.76, "lat": 37.9},
        ],
        "existing": [{"id": "old", "lon": 127.7, "lat": 37.88}],
        "number": 1,
        "walking_minutes": 6,
        "distance": "straight",
    }
    return SitingRequest.model_validate(body | given)


def answered(request: SitingRequest) -> tuple[dict[str, Any], list[Measures]]:
    far = distances(demand_places(request), site_places(request), detour=request.detour)
    posed = problems(request, far.metres)
    solutions = [solve(one) for one in posed]
    measures = compared(posed, solutions)
    return orjson.loads(orjson.dumps(collection(request, far, posed, solutions, measures))), measures


def test_sites_say_who_chose_them_and_who_comes_in_which_slot() -> None:
    told, _ = answered(asked())
    sites = {
        one["properties"]["id"]: one["properties"] for one in told["features"] if one["properties"]["what"] == "site"
    }
    assert {name: one["role"] for name, one in sites.items()} == {
        "near": "chosen",
        "far": "chosen",
        "away": "not-chosen",
        "old": "existing",
    }
    assert sites["far"]["chosen_by"] == ["lscp", "p-median", "p-center"]
    assert sites["far"]["assigned"]["p-median"] == {"morning": 4.0, "night": 4.0}
    assert sites["near"]["chosen_by"] == ["lscp", "mclp"]
    assert sites["old"]["assigned"]["mclp"] == {"morning": 3.0, "night": 0.0}


def test_points_say_what_they_gain() -> None:
    told, _ = answered(asked())
    last = told["features"][-1]["properties"]
    assert last["demand"] == 8
    assert last["before_m"] == pytest.approx(1755, abs=5)
    assert last["models"]["p-median"]["after_m"] == pytest.approx(44, abs=1)
    assert last["models"]["p-median"]["gain_m"] == pytest.approx(1711, abs=5)
    assert last["models"]["mclp"] == {"after_m": pytest.approx(1448, abs=5), "gain_m": pytest.approx(307, abs=5)} | {
        "served": 0.0,
        "uncovered": 8.0,
    }


def test_what_it_says_of_itself_is_complete() -> None:
    about = answered(asked())[0]["about"]
    assert (about["kind"], about["distances"], about["reach_m"]) == ("smart-shelter", "straight line", 402)
    by = {one["model"]: one for one in about["models"]}
    assert {one["status"] for one in by.values()} == {"optimal"}
    assert (by["lscp"]["objective"], by["lscp"]["unit"]) == (2, "sites")
    assert (by["mclp"]["objective"], by["mclp"]["bound"], by["mclp"]["gap"]) == (3 + 2 + 18, 23, 0)
    assert by["mclp"]["uncovered"] == [4, 4]
    assert by["p-median"]["points_that_gain"] == 1
    assert all(one["reason_ko"] and one["reason_en"] for one in by.values())


def test_every_set_is_told_under_every_objective() -> None:
    measures = {one.of: one for one in answered(asked())[1]}
    assert list(measures) == ["now", "lscp", "mclp", "p-median", "p-center"]
    assert (measures["now"].sites, measures["now"].covered, measures["now"].everybody) == (0, 3 + 2, False)
    assert (measures["lscp"].sites, measures["lscp"].share, measures["lscp"].everybody) == (2, 1, True)
    assert measures["mclp"].cost == 2
    shortest = min(one.mean_m for one in measures.values() if one.sites <= 1 and one.mean_m is not None)
    assert measures["p-median"].mean_m == shortest
    assert measures["p-center"].farthest_m == min(one.farthest_m for one in measures.values() if one.sites <= 1)


def test_capacities_hold_in_the_comparison_too() -> None:
    _, measures = answered(asked(models=["mclp"], capacity=5))
    # The far one: all nine in the morning and four at night; the near one would have five of nine at night.
    assert measures[-1].covered == pytest.approx(9 + 2 * 4)
    assert measures[-1].mean_m is None, "nine at night and four more have no room in two sites of five"


def test_nothing_found_is_told_and_not_compared() -> None:
    told, measures = answered(asked(models=["lscp"], candidates=[{"id": "away", "lon": 127.76, "lat": 37.9}]))
    assert told["about"]["models"][0]["status"] == "infeasible"
    assert told["about"]["models"][0]["chosen"] == []
    assert [one.of for one in measures] == ["now"]
    assert told["features"][-1]["properties"]["models"] == {}


def test_where_nothing_stood_there_is_no_gain_in_metres() -> None:
    told, measures = answered(asked(existing=[], number=2))
    point = told["features"][-1]["properties"]
    assert point["before_m"] is None
    assert point["models"]["p-median"]["gain_m"] is None
    assert told["about"]["models"][2]["points_that_gain"] == 3
    assert "now" not in [one.of for one in measures]


def test_the_pictures_can_be_drawn_and_name_the_models_in_korean() -> None:
    told, measures = answered(asked())
    drawn = render(comparison("스마트쉼터", measures), "svg").decode()
    assert "최대 포괄 MCLP" in drawn
    assert "평균 거리 mean way (m)" in drawn
    drawn = render(chosen_map(told, "mclp"), "svg").decode()
    assert all(words in drawn for words in ("선정 chosen", "기존 existing", "가까워짐 nearer", "도달 밖 out of reach"))


def test_the_map_tells_who_comes_nearer_from_who_is_out_of_reach() -> None:
    told, _ = answered(asked())
    dots, marks = chosen_map(told, "mclp")["layer"]
    groups = [row["group"] for row in dots["data"]["values"]]
    assert groups == ["그대로 as before", "가까워짐 nearer", "도달 밖 out of reach"]
    assert [row["id"] for row in marks["data"]["values"]] == ["near", "old"]


def test_a_panel_without_any_value_is_left_out() -> None:
    measures = answered(
        asked(models=["p-median"], walking_minutes=None, slots=[], demand=[{"lon": 127.7, "lat": 37.9}])
    )[1]
    titles = [panel["encoding"]["x"]["title"] for panel in comparison("쉼터", measures)["concat"]]
    assert not any("share" in title for title in titles)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"models": ["mclp", "mclp"]}, "each may be named once"),
        ({"models": ["mclp"], "walking_minutes": None}, "lscp and mclp need a reach"),
        ({"reach_m": 300}, "reach_m or walking_minutes, not both"),
        ({"models": ["p-center"], "number": None}, "need a number of sites or a budget"),
        ({"existing": [{"id": "near", "lon": 127, "lat": 37}]}, "the id 'near' stands twice"),
        ({"demand": [{"lon": 127, "lat": 37, "weights": [1]}]}, "demand 0: weights must have one number for each"),
        ({"slots": []}, "demand 0: weights need slots"),
        ({"demand": [{"lon": 127, "lat": 37, "weight": 1, "weights": [1, 1]}]}, "weight or weights, not both"),
        ({"demand": [{"lon": 127, "lat": 97, "weights": [1, 1]}]}, "less than or equal to 90"),
        ({"number": -1}, "greater than or equal to 0"),
        ({"colour": "blue"}, "Extra inputs are not permitted"),
    ],
)
def test_a_request_that_cannot_be_is_refused_with_a_sentence(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        asked(**change)
