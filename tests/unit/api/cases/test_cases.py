"""Cases over HTTP: who may what, and what nobody learns."""

import pytest
from jsonschema import Draft202012Validator

from schemas.person import Lag
from serve.auth import ROLES
from tests.unit.api.cases.conftest import AUDITOR, KIM, PARK, PHOTO, POLICE, facts, found, later, ledger, opened
from tests.unit.api.conftest import bearer


async def test_opening_with_a_key_twice_is_one_case(streets):
    asked = {"json": facts(), "headers": KIM | {"idempotency-key": "c-1"}}
    one, other = await streets.post("/v1/cases", **asked), await streets.post("/v1/cases", **asked)
    assert one.headers["location"] == other.headers["location"]
    assert len((await streets.get("/v1/cases", headers=KIM)).json()["items"]) == 1


async def test_ids_of_cases_cannot_be_guessed(streets):
    paths = {await opened(streets) for _ in range(5)}
    assert len(paths) == 5
    assert all(len(path.rpartition("-")[2]) == 16 for path in paths)


LOOKS = [
    ("GET", "candidates", None),
    ("GET", "route", None),
    ("GET", "pictures/cam-1.s-1", None),
    ("POST", "searches", {"photos": [PHOTO]}),
    ("POST", "watches", {"photos": [PHOTO]}),
    ("POST", "candidates/cam-1.s-1/confirm", {"reason": "x"}),
    ("POST", "candidates/cam-1.s-1/dismiss", {"reason": "x"}),
]

ALL = [*LOOKS, ("GET", "", None), ("GET", "ledger", None), ("GET", "watches", None)]

ALL += [("POST", "close", {"outcome": "found", "reason": "x"}), ("DELETE", "watches/w-1", None)]


@pytest.mark.parametrize(("method", "what", "body"), LOOKS)
@pytest.mark.parametrize("when", ["opened", "closed", "expired"])
async def test_only_an_authorised_open_case_searches_watches_or_shows(streets, backend, method, what, body, when):
    path = await opened(streets)
    if when != "opened":
        await streets.post(f"{path}/authorise", json={}, headers=POLICE)
        await found(streets, path)
    if when == "closed":
        await streets.post(f"{path}/close", json={"outcome": "found", "reason": "집 · home"}, headers=KIM)
    if when == "expired":
        backend.pass_time(48)
    asked = len(backend.search.asked)
    headers = bearer("case-officer", subject="kim") if when != "expired" else later(backend)
    answer = await streets.request(method, f"{path}/{what}", json=body, headers=headers)
    assert answer.status_code == 409
    assert len(backend.search.asked) == asked


@pytest.mark.parametrize(("method", "what", "body"), ALL)
async def test_a_case_of_others_is_not_there_exactly_as_one_that_does_not_exist(streets, case, method, what, body):
    await found(streets, case)
    answers = []
    for path in (case, "/v1/cases/case-0000000000000000"):
        answer = await streets.request(method, f"{path}/{what}".rstrip("/"), json=body, headers=PARK)
        assert answer.status_code == 404
        answers.append(answer.text.replace(path.rpartition("/")[2], "X"))
    assert answers[0] == answers[1]
    assert "park" not in {by for _, by, _ in await ledger(streets, case)}


@pytest.mark.parametrize("role", sorted(ROLES - {"police", "case-officer", "auditor", "device", "gateway"}))
@pytest.mark.parametrize(("method", "what", "body"), ALL)
async def test_everybody_else_is_refused_alike_whether_a_case_exists_or_not(streets, case, role, method, what, body):
    answers = []
    for path in (case, "/v1/cases/case-0000000000000000"):
        url = f"{path}/{what}".rstrip("/")
        answer = await streets.request(method, url, json=body, headers=bearer(role))
        assert answer.status_code == 403
        answers.append(answer.text.replace(path.rpartition("/")[2], "X"))
    assert answers[0] == answers[1]


@pytest.mark.parametrize(("method", "what", "body"), [one for one in ALL if one[1] != "ledger"])
async def test_an_auditor_sees_ledgers_alone(streets, case, method, what, body):
    answer = await streets.request(method, f"{case}/{what}".rstrip("/"), json=body, headers=AUDITOR)
    assert answer.status_code == 403


async def test_lists_show_officers_their_own_police_all_and_auditors_that_there_are_ledgers(streets, case):
    other = await opened(streets, PARK, officer="park")
    led = await opened(streets, PARK, officer="kim")
    ids = {path.rpartition("/")[2] for path in (case, other, led)}

    async def listed(headers):
        return {one["case"]: one for one in (await streets.get("/v1/cases", headers=headers)).json()["items"]}

    assert set(await listed(POLICE)) == set(await listed(AUDITOR)) == ids
    assert set(await listed(KIM)) == ids - {other.rpartition("/")[2]}
    shown = next(iter((await listed(KIM)).values()))
    assert not {"reason", "legal_ground"} & set(shown)
    assert not {"reason", "kind", "officer", "authority"} & set(next(iter((await listed(AUDITOR)).values())))


async def test_a_list_comes_in_pages(streets):
    paths = sorted([(await opened(streets)).rpartition("/")[2] for _ in range(5)])
    got, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await streets.get("/v1/cases", params=query, headers=KIM)).json()
        got += [one["case"] for one in page["items"]]
        if (cursor := page["next"]) is None:
            break
    assert got == paths


async def test_who_opened_a_case_cannot_authorise_it_but_police_may_say_that_they_do(streets):
    path = await opened(streets, POLICE, officer="inspector-lee")
    assert (await streets.post(f"{path}/authorise", json={}, headers=POLICE)).status_code == 403
    assert (await streets.post(f"{path}/authorise", json={"sole": True}, headers=KIM)).status_code == 403
    answer = await streets.post(f"{path}/authorise", json={"sole": True}, headers=POLICE)
    assert answer.json()["events"][0]["sole"] is True


async def test_nothing_of_a_case_reaches_the_feed(streets, case, backend):
    await found(streets, case)
    await streets.post(f"{case}/watches", json={"photos": [PHOTO]}, headers=KIM)
    await streets.get(f"{case}/candidates", headers=KIM)
    assert not [one for one in backend.feed_items if case.rpartition("/")[2] in f"{one.subject}{one.data!r}"]
    assert not [one for one in backend.feed_items if "cam-" in one.subject]


async def test_nothing_of_a_case_is_kept_by_caches(streets, case):
    await found(streets, case)
    for what in ("", "/candidates", "/route", "/pictures/cam-1.s-1", "/watches", "/ledger"):
        answer = await streets.get(f"{case}{what}", headers=KIM)
        assert answer.headers["cache-control"] == "no-store", what
        assert "etag" not in answer.headers


async def test_answers_are_as_the_document_says(streets, case, backend):
    document = (await streets.get("/openapi.json")).json()
    backend.search.lag = Lag(shards=1, seconds=61.5, records=10, why="the objects are away")
    searched = await found(streets, case)
    await streets.post(f"{case}/candidates/cam-1.s-1/confirm", json={"reason": "가방 · the bag"}, headers=KIM)
    told = {("searches", "post", "201", "application/json"): searched}
    for what, media in (("candidates", "application/json"), ("route", "application/geo+json")):
        told[what, "get", "200", media] = (await streets.get(f"{case}/{what}", headers=KIM)).json()
    for (what, method, status, media), answer in told.items():
        operation = document["paths"][f"/v1/cases/{{case}}/{what}"][method]
        schema = operation["responses"][status]["content"][media]["schema"]
        Draft202012Validator({**schema, "components": document["components"]}).validate(answer)
