"""Siting by HTTP: places as they are or where the city finds them, side by side, as GeoJSON and as pictures."""

import httpx
import numpy as np
import orjson
import pytest

from schemas.siting import SitingRequest
from serve.siting.prepare import problems
from serve.siting.run import Solving
from tests.unit.api.conftest import bearer
from tests.unit.api.populated import A, B, C, boardings, middle, point_rows, publish, register, send
from tests.unit.api.test_population_facilities import POINTS, shelter

STAFF = bearer("staff")
THREE = {
    "kind": "스마트쉼터",
    "models": ["mclp", "p-median"],
    "number": 1,
    "reach_m": 300,
    "distance": "straight",
    "demand": [
        {"lon": 127.70, "lat": 37.88, "weight": 10},
        {"lon": 127.71, "lat": 37.88, "weight": 1},
        {"lon": 127.75, "lat": 37.88, "weight": 8},
    ],
    "candidates": [{"id": "west", "lon": 127.70, "lat": 37.88}, {"id": "east", "lon": 127.75, "lat": 37.88}],
}


async def ask(client: httpx.AsyncClient, body: dict[str, object], query: str = "", status: int = 200) -> httpx.Response:
    answer = await client.post(f"/v1/siting{query}", json=body, headers=STAFF)
    assert answer.status_code == status, answer.text
    return answer


async def test_the_site_that_serves_most_is_chosen_and_each_demand_point_is_told_what_it_gains(client):
    said = (await ask(client, THREE)).json()
    covered, median = said["about"]["models"]
    assert (covered["status"], covered["chosen"], covered["objective"]) == ("optimal", ["west"], 10)
    assert median["chosen"] == ["west"]
    sites = {
        one["properties"]["id"]: one["properties"] for one in said["features"] if one["properties"]["what"] == "site"
    }
    assert (sites["west"]["role"], sites["east"]["role"]) == ("chosen", "not-chosen")
    features = [one["properties"] for one in said["features"]]
    points = [one for one in features if one["what"] == "demand"]
    assert [one["models"]["mclp"]["served"] for one in points] == [10, 0, 0]
    assert {one["of"] for one in said["about"]["compared"]} >= {"mclp", "p-median"}


async def test_what_is_there_already_is_locked_in_and_changes_where_the_next_one_belongs(client):
    built = [{"id": "old", "lon": 127.70, "lat": 37.88}]
    said = (await ask(client, {**THREE, "existing": built})).json()
    assert said["about"]["models"][0]["chosen"] == ["east"]


async def test_only_planners_may_ask(client):
    assert (await client.post("/v1/siting", json=THREE)).status_code == 401
    assert (await client.post("/v1/siting", json=THREE, headers=bearer("citizen"))).status_code == 403


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"number": None}, "need a number of sites or a budget"),
        ({"reach_m": None}, "need a reach"),
        ({"models": ["nearest"]}, "p-center"),
        ({"candidates": {"dataset": "nowhere"}}, "nowhere"),
        ({"demand": {"measure": "boardings"}}, "boardings"),
        ({"existing": [{"id": "west", "lon": 127.7, "lat": 37.88}]}, "stands twice"),
    ],
)
async def test_a_question_that_cannot_be_answered_says_why(client, change, said):
    answer = await client.post("/v1/siting", json={**THREE, **change}, headers=STAFF)
    assert answer.status_code in {400, 404, 422}, answer.text
    assert said in orjson.dumps(answer.json()).decode()


@pytest.fixture
async def counted(client, backend) -> httpx.AsyncClient:
    """Boardings at 7 and 8 h in three cells, a candidate in the middle of each, a shelter in the first."""
    await register(client)
    file = boardings((A, 7, 40), (A, 8, 60), (B, 7, 30), (B, 8, 20), (C, 8, 30))
    assert (await send(client, file)).status_code == 202
    stops = point_rows(**{f"stop {name}": middle(name) for name in (A, B, C)})
    await publish(backend, client, "stops", stops, **POINTS)
    await shelter(client, "shelter-1", middle(A))
    return client


async def test_demand_comes_from_counts_candidates_from_a_dataset_and_what_is_there_from_the_city(counted):
    body = {
        "kind": "스마트쉼터",
        "models": ["mclp"],
        "number": 1,
        "reach_m": 200,
        "distance": "straight",
        "demand": {"measure": "boardings", "hours": "7,8", "weights": [1, 2]},
        "candidates": {"dataset": "stops"},
        "existing": {"facilities": "shelter"},
    }
    said = (await ask(counted, body)).json()
    (told,) = said["about"]["models"]
    # 30 + 2 * 20 of the second cell against 2 * 30 of the third; the first has its shelter.
    assert told["chosen"] == [f"stop {B}"]
    assert said["about"]["demand"]["measure_ko"] == "버스 승차 건수"
    assert said["about"]["candidates"]["dataset"] == "stops"
    assert said["about"]["existing"]["synthetic"] == 1


@pytest.mark.parametrize(("query", "media"), [("format=svg", "image/svg+xml"), ("format=png&draw=map", "image/png")])
async def test_an_answer_is_drawn(client, query, media):
    answer = await ask(client, THREE, f"?{query}")
    assert answer.headers["content-type"].startswith(media)


async def test_a_question_beyond_those_that_are_being_solved_is_told_to_come_back(make_app):
    app = make_app()
    app.state.solving = Solving(at_once=0)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://city") as client:
        answer = await ask(client, THREE, status=503)
    assert answer.headers["retry-after"] == "10"


async def test_nothing_is_solved_for_a_client_that_has_left():
    async def gone() -> bool:
        return True

    asked = SitingRequest.model_validate(THREE)
    assert await Solving().solved(problems(asked, np.ones((3, 2))), gone) is None
