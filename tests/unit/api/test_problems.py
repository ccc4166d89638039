"""Every error is problem details."""

import httpx
import pytest

from schemas import errors
from serve import problems
from streams.api import JetStreamApiError
from tests.unit.api.conftest import OPERATOR, SAFETY


def _all(cls):
    return {cls}.union(*(_all(one) for one in cls.__subclasses__()))


def test_every_error_of_ours_has_a_status():
    ours = {one for one in _all(errors.BomnaeError) if one.__module__ == "schemas.errors"} - {errors.BomnaeError}
    assert ours == set(problems.STATUS) - {JetStreamApiError}


def test_a_refusal_of_the_log_and_an_error_that_nobody_has_listed_are_problems_too():
    class NewError(errors.BomnaeError): ...

    assert problems.of(JetStreamApiError("LOG_ROAD_0", 10077, "maximum bytes exceeded")).status_code == 503
    assert problems.of(NewError("what")).status_code == 500


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v1/facilities/ghost", 404),
        ("GET", "/v1/roads/ghost", 404),
        ("DELETE", "/v1/facilities", 405),
        ("GET", "/v1/facilities?limit=0", 422),
        ("GET", "/v1/facilities?limt=5", 422),
        ("GET", "/v1/facilities?cursor=%00", 422),
        ("GET", "/v1/facilities?cursor=WzFd", 422),
        ("GET", "/v1/facilities?min_position=abc", 422),
        ("GET", "/v1/facilities?as_of=2026-01-15T03:00:00", 422),
        ("GET", "/v1/facilities?as_of=0001-01-01T00:00:00%2B09:00", 422),
        ("GET", "/v1/facilities?as_of=2020-01-01T00:00:00Z", 410),
        ("GET", "/v1/facilities/UPPER", 422),
        ("GET", "/v1/facilities/%FF%00", 422),
        ("GET", "/v1/live?event=DROP", 422),
        ("POST", "/v1/rejected/99/resubmit", 404),
    ],
)
async def test_an_impossible_request_gets_a_problem(city, method, path, status):
    answer = await city.request(method, path, headers=OPERATOR)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["type"].startswith("urn:bomnae:problem:")
    assert body["title"]
    assert body["detail"]


async def test_a_wrong_method_is_told_all_the_right_ones(client):
    answer = await client.post("/v1/facilities/bridge-1")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, PUT")


async def test_a_body_that_is_no_json_or_of_another_type_is_told_apart(city):
    put = {"url": "/v1/facilities/bridge-1", "headers": SAFETY}
    assert (await city.put(**put, content=b"{oops")).status_code == 422
    answer = await city.put(**put | {"headers": SAFETY | {"content-type": "text/xml"}}, content=b"<a/>")
    assert answer.status_code == 415
    assert answer.json()["status"] == 415
    answer = await city.put(**put, json={"kind": "bridge"})
    assert {one["at"] for one in answer.json()["errors"]} == {"body/name_ko", "body/name_en"}


async def test_a_lone_surrogate_in_a_body_is_a_problem_and_no_crash(city):
    body = b'{"name_ko": "a", "name_en": "b", "kind": "bridge", "\\ud800": 1}'
    answer = await city.put("/v1/facilities/bridge-1", content=body, headers=SAFETY)
    assert answer.status_code == 422


async def test_what_breaks_inside_is_a_500_that_tells_nothing_of_it(make_app, backend, monkeypatch):
    monkeypatch.setattr(backend, "view", lambda context: 1 / 0)
    transport = httpx.ASGITransport(make_app(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://city") as client:
        answer = await client.get("/v1/facilities")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "division" not in answer.text


async def test_an_unready_part_is_named_with_503_and_retry_after(client, backend):
    assert (await client.get("/readyz")).status_code == 200
    backend.not_ready = {"facility/1": "starting"}
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["parts"] == {"facility/1": "starting"}
    assert answer.headers["retry-after"] == "1"
    assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    "body", [b"{not json", b'{"sole": NaN}', b'{"sole": "\\ud800"}', b"\xff", b"[" * 5000, b"1e999"]
)
async def test_a_body_that_is_no_json_is_a_problem(city, body):
    headers = {**SAFETY, "content-type": "application/json"}
    answer = await city.put("/v1/facilities/soyang-1-bridge", content=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["at"].startswith("body")
