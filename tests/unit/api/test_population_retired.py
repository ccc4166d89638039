"""A source of the population that is retired: nothing more comes of it, what came stays and is marked."""

import pytest

from tests.unit.api.conftest import bearer
from tests.unit.api.populated import DAY, OPERATOR, STAFF, A, boardings, register, send

WHY = "계약 종료 · contract ended"
SOURCES = "/v1/population/sources"


async def retire(client, source="fare-card", headers=OPERATOR, **body):
    return await client.post(f"{SOURCES}/{source}/retire", json={"reason": WHY} | body, headers=headers)


async def ask(client, query=""):
    answer = await client.get(f"/v1/population?measure=boardings{query}")
    assert answer.status_code == 200, answer.text
    return answer


@pytest.fixture
async def counted(client):
    """A source with a day of counts."""
    await register(client)
    assert (await send(client)).status_code == 202
    return client


@pytest.fixture
async def retired(counted):
    """The same, retired."""
    answer = await retire(counted)
    assert answer.status_code == 200, answer.text
    return counted


async def test_retiring_a_source_is_an_event_with_who_did_it_and_why(counted):
    (event,) = (await retire(counted)).json()["events"]
    assert (event["type"], event["source"]) == ("city.population.source-retired.v1", "fare-card")
    assert (event["reason"], "by" in event) == (WHY, True)


async def test_retiring_a_source_twice_changes_nothing(retired):
    again = await retire(retired, reason="another reason")
    assert (again.status_code, again.json()["events"]) == (200, [])
    (item,) = (await retired.get(SOURCES)).json()["items"]
    assert item["retired_why"] == WHY


@pytest.mark.parametrize(
    ("source", "body", "status", "why"),
    [
        ("ghost", {}, 404, "ghost"),
        ("fare-card", {"reason": ""}, 422, "reason"),
        ("fare-card", {"reason": None}, 422, "reason"),
        ("fare-card", {"superseded_by": "x"}, 422, "superseded_by"),
    ],
)
async def test_a_source_that_is_not_known_or_no_reason_is_refused(counted, source, body, status, why):
    answer = await retire(counted, source, **body)
    assert (answer.status_code, why in answer.text) == (status, True), answer.text


@pytest.mark.parametrize("role", ["citizen", "staff", "police", "road"])
async def test_only_operators_retire_a_source(counted, role):
    assert (await retire(counted, headers=bearer(role))).status_code == 403


async def test_a_retired_source_takes_no_counts_and_stores_none(retired, backend):
    objects = dict(backend.objects)
    answer = await send(retired, boardings((A, 7, 50), (A, 8, 60)))
    assert (answer.status_code, "no new ones are taken" in answer.json()["detail"]) == (409, True)
    assert "register another source" in answer.json()["detail"]
    assert backend.objects == objects
    changed = await retired.put(f"{SOURCES}/fare-card", json={}, headers=OPERATOR)
    assert changed.status_code == 422


async def test_counts_of_a_retired_source_can_be_read_and_say_that_it_is_retired(counted, backend):
    then = backend.now().isoformat().replace("+00:00", "Z")
    before = (await ask(counted)).json()
    assert (before["retired_at"], before["retired_why"]) == (None, None)
    await retire(counted)
    said = (await ask(counted)).json()
    assert (said["retired_at"].endswith("Z"), said["retired_why"]) == (True, WHY)
    marks = {"retired_at", "retired_why"}
    assert {name: said[name] for name in said.keys() - marks} == {name: before[name] for name in said.keys() - marks}
    assert (await ask(counted, f"&as_of={then}")).json()["retired_at"] is None


async def test_every_form_that_says_what_it_is_says_that_the_source_is_retired(retired):
    assert (await ask(retired, "&format=geojson")).json()["about"]["retired_why"] == WHY
    # No areas are known here: the map is as large as its cells.
    notes = (await ask(retired, "&format=vega")).json()["title"]["subtitle"]
    assert f"집계가 끝난 출처 · a retired source: {WHY}" in notes


async def test_the_list_of_sources_says_which_are_retired_since_when_and_why(retired):
    await register(retired, "card-b")
    for headers in ({}, STAFF):
        items = (await retired.get(SOURCES, headers=headers)).json()["items"]
        told = {item["source"]: (item["retired_at"] is not None, item["retired_why"]) for item in items}
        assert told == {"fare-card": (True, WHY), "card-b": (False, None)}


async def test_a_question_without_a_source_goes_to_the_one_that_is_in_use(retired):
    await register(retired, "card-b")
    await send(retired, source="card-b")
    said = (await ask(retired)).json()
    assert (said["source"], said["retired_at"]) == ("card-b", None)
    named = (await ask(retired, "&source=fare-card")).json()
    assert (named["source"], named["retired_why"], named["days"]) == ("fare-card", WHY, [DAY])
    await retire(retired, "card-b")
    answer = await retired.get("/v1/population?measure=boardings")
    assert (answer.status_code, "card-b|fare-card" in answer.text) == (422, True)
