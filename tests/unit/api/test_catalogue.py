"""The catalogue over HTTP: what there is, how it stands, who may read it, and what is told of its past."""

import re
from datetime import timedelta

import orjson
import pytest

from schemas.catalogue import RecordFailure
from schemas.dataset import FromHttp
from serve.auth import Principal, mint
from tests.unit.api.conftest import OPERATOR, SECRET, bearer
from tests.unit.api.datasets import NOBODY, STAFF, bring, declare, told
from tests.unit.api.memory import START
from tests.unit.catalogue.entries import facts
from tests.unit.catalogue.service.declared import OPEN, ROWS, stops

HTTP = FromHttp(format="json", url="https://stops.example/list", parameters={"secret": "parameter"})
FROM_TOMORROW = {"staff_from": "2026-01-16", "citizens_from": "2026-01-17"}
"""The tests begin at noon of 15 January in Seoul: staff wait for 12 hours, citizens for 36."""


pytestmark = pytest.mark.usefixtures("read_here")


def for_days(role):
    token = mint(SECRET, Principal("kim", frozenset([role]), None, None), START, timedelta(days=3))
    return {"authorization": f"Bearer {token}"}


@pytest.fixture
async def catalogue(client):
    """Bus stops with rows, street lamps for staff, a budget that nothing is connected to, and an asked provider."""
    await declare(client, "bus-stops", stops(interval_s=86_400))
    assert (await bring(client, "bus-stops")).status_code == 201
    await declare(client, "lamps", facts("가로등", "Street lamps", staff_from=OPEN["staff_from"], subject="safety"))
    await declare(client, "budget", facts("예산", "Budget", subject="finance", **OPEN))
    await declare(client, "asked", facts("제설함", "Salt boxes", connector=HTTP, interval_s=3_600, **OPEN))
    return client


async def names(client, query="", headers=NOBODY):
    return [one["dataset"] for one in (await told(client, f"/v1/catalogue?{query}", headers))["items"]]


async def test_all_are_listed_by_id_with_how_they_stand(catalogue):
    items = (await told(catalogue, "/v1/catalogue"))["items"]
    assert [(one["dataset"], one["status"]) for one in items] == [
        ("asked", "waiting"),
        ("budget", "not-connected"),
        ("bus-stops", "fresh"),
        ("lamps", "not-connected"),
    ]
    found = items[2]
    assert (found["rows"], found["findings"], found["connected"], found["readable"]) == (4, 2, True, True)
    assert found["data_time"] == "2026-01-15T01:00:00Z"
    assert 0.7 < found["completeness"] < 0.8
    assert found["subject_ko"] == "교통"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("subject=finance", ["budget"]),
        ("status=fresh", ["bus-stops"]),
        ("status=not-connected", ["budget", "lamps"]),
        ("readable=false", ["lamps"]),
        ("readable=true&status=not-connected", ["budget"]),
        ("q=정류장", ["bus-stops"]),
        ("q=stops", ["bus-stops"]),
        ("q=정류&typing=true", ["bus-stops"]),
        ("q=예산&subject=safety", []),
    ],
)
async def test_filters_and_words_leave_what_is_asked_for(catalogue, query, found):
    assert await names(catalogue, query) == found


async def test_a_filter_does_not_lose_what_stands_behind_better_matches(client):
    await declare(client, "a", facts("버스 정류장", "Bus stops"))
    await declare(client, "b", facts("정류장의 전등", "Lamps of stops", subject="safety"))
    assert await names(client, "q=정류장&limit=1&subject=safety") == ["b"]


async def test_a_match_says_which_words_matched(catalogue):
    (item,) = (await told(catalogue, "/v1/catalogue?q=정류장"))["items"]
    assert item["score"] > 0
    assert item["matched"]


async def test_the_pages_hold_all_once(catalogue):
    found, cursor = [], ""
    while True:
        page = await told(catalogue, f"/v1/catalogue?limit=1{cursor}")
        found += [one["dataset"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert found == ["asked", "budget", "bus-stops", "lamps"]


@pytest.mark.parametrize(
    "query", ["q=!!!", "status=old", "subject=love", "limit=0", "cursor=x", "colour=red", f"q={'x' * 201}"]
)
async def test_a_bad_question_is_told(catalogue, query):
    assert (await catalogue.get(f"/v1/catalogue?{query}")).status_code == 422


async def test_one_dataset_tells_its_columns_findings_and_lineage(catalogue):
    found = await told(catalogue, "/v1/datasets/bus-stops")
    assert [one["id"] for one in found["facts"]["columns"]][:3] == ["stop", "name", "lamps"]
    counts = {(one["kind"], one["column"], one["action"]): one["rows"] for one in found["findings"]}
    assert counts[("range", "lamps", "kept")] == counts[("unreadable", "lamps", "emptied")] == 1
    assert found["header"][0] == "정류장 번호"
    assert re.fullmatch("[0-9a-f]{64}", found["lineage"]["version"])
    assert found["lineage"]["source"] == found["facts"]["source"]
    assert set(found["links"]) == {"rows", "history", "map", "tiles", "chart"}
    assert found["due_at"] > "2026-01-16T15:00"


async def test_a_dataset_without_rows_is_told_as_such(catalogue):
    found = await told(catalogue, "/v1/datasets/budget")
    assert (found["findings"], found["rows"], found["connected"], found["due_at"]) == ([], None, False, None)
    assert (await catalogue.get("/v1/datasets/ghost")).status_code == 404


async def test_how_it_is_connected_is_for_staff(catalogue):
    public, own = await told(catalogue, "/v1/datasets/asked"), await told(catalogue, "/v1/datasets/asked", STAFF)
    assert "connector" not in public["facts"]
    assert own["facts"]["connector"]["url"] == "https://stops.example/list"


async def test_why_a_provider_is_down_is_for_staff(catalogue, backend):
    await backend.submit(
        [RecordFailure(at=backend.now(), by="datasets", dataset="asked", reason="it says 503")], None, None
    )
    public, own = await told(catalogue, "/v1/datasets/asked"), await told(catalogue, "/v1/datasets/asked", STAFF)
    assert (public["status"], public["down_why"], own["down_why"]) == ("down", None, "it says 503")
    assert "it says 503" not in str(await told(catalogue, "/v1/datasets/asked/history"))
    assert "it says 503" in str(await told(catalogue, "/v1/datasets/asked/history", STAFF))


async def test_a_day_begins_in_seoul_and_opens_by_the_clock_alone(client, backend):
    await declare(client, "stops", stops(**FROM_TOMORROW))
    await bring(client, "stops")

    asking = [NOBODY, *map(for_days, ("citizen", "staff", "operator"))]

    async def may():
        return [(await client.get("/v1/datasets/stops/rows", headers=headers)).status_code for headers in asking]

    assert await may() == [403, 403, 403, 200]
    backend.pass_time(11.99)
    assert await may() == [403, 403, 403, 200]
    backend.pass_time(0.011)
    assert await may() == [403, 403, 200, 200]
    assert (await told(client, "/v1/datasets/stops"))["opened_to"] == ["staff"]
    backend.pass_time(23.99)
    assert await may() == [403, 403, 200, 200]
    backend.pass_time(0.011)
    assert await may() == [200, 200, 200, 200]


@pytest.mark.parametrize("path", ["rows", "map", "chart", "tiles/0/0/0", "map?format=svg"])
async def test_what_is_not_open_says_to_whom_and_from_when(client, path):
    await declare(client, "stops", stops(**FROM_TOMORROW))
    await bring(client, "stops")
    for headers, why in (
        (NOBODY, "not open to citizens: it opens to them on 2026-01-17 (Asia/Seoul)"),
        (STAFF, "not open to staff: it opens to them on 2026-01-16 (Asia/Seoul)"),
    ):
        answer = await client.get(f"/v1/datasets/stops/{path}", headers=headers)
        assert (answer.status_code, why in answer.json()["detail"]) == (403, True), answer.text


async def test_what_never_opens_says_no_day(client):
    await declare(client, "secret", facts())
    answer = await client.get("/v1/datasets/secret/rows")
    assert (answer.status_code, answer.json()["detail"]) == (403, "dataset 'secret' is not open to citizens")


@pytest.mark.parametrize("headers", [NOBODY, bearer("citizen"), STAFF, bearer("police")])
async def test_only_operators_change_the_catalogue(catalogue, headers):
    body = facts().model_dump(mode="json")
    asked = [
        catalogue.put("/v1/datasets/bus-stops", json=body, headers=headers),
        catalogue.post("/v1/datasets/bus-stops/retire", json={"reason": "x"}, headers=headers),
        catalogue.post("/v1/datasets/asked/refresh", headers=headers),
        catalogue.post("/v1/datasets/bus-stops/rows", content=b"stop\n1\n", headers=headers),
        catalogue.get("/v1/datasets/bus-stops/findings", headers=headers),
    ]
    assert {(await one).status_code for one in asked} <= {401, 403}


async def test_the_history_tells_citizens_what_happened_and_nobodys_name(catalogue):
    await catalogue.post(
        "/v1/datasets/bus-stops/retire", json={"reason": "moved"}, headers=bearer("operator", subject="choi")
    )
    public = await told(catalogue, "/v1/datasets/bus-stops/history")
    own = await told(catalogue, "/v1/datasets/bus-stops/history", STAFF)
    kinds = [one["type"].split(".")[2] for one in public["items"]]
    assert {"dataset-refreshed", "dataset-retired"} <= set(kinds)
    assert "dataset-registered" in {one["type"].split(".")[2] for one in own["items"]}
    said = orjson.dumps(public).decode()
    assert "kim" not in said
    assert "choi" not in said
    assert "choi" in orjson.dumps(own).decode()


async def test_what_a_file_brought_names_nobody(catalogue):
    assert "kim" not in orjson.dumps(await told(catalogue, "/v1/datasets/bus-stops")).decode()


async def test_a_retired_dataset_is_marked_takes_no_rows_and_stays_readable(catalogue, backend):
    retired = await catalogue.post(
        "/v1/datasets/bus-stops/retire", json={"reason": "a better one", "superseded_by": "budget"}, headers=OPERATOR
    )
    assert retired.status_code == 200
    found, kept = await told(catalogue, "/v1/datasets/bus-stops"), dict(backend.objects)
    assert (found["status"], found["retired_why"], found["superseded_by"]) == ("retired", "a better one", "budget")
    again = await bring(catalogue, "bus-stops", ROWS.replace("A1", "B1"))
    assert (again.status_code, "is retired" in again.text) == (409, True)
    assert backend.objects == kept
    rows = await catalogue.get("/v1/datasets/bus-stops/rows")
    assert (rows.json()["total"], rows.headers["bomnae-dataset-status"]) == (4, "retired")
    assert (await catalogue.post("/v1/datasets/bus-stops/refresh", headers=OPERATOR)).status_code == 409
    assert await names(catalogue, "status=retired") == ["bus-stops"]


async def test_the_same_facts_again_change_nothing(catalogue):
    before = await told(catalogue, "/v1/datasets/budget")
    await declare(catalogue, "budget", facts("예산", "Budget", subject="finance", **OPEN))
    after = await told(catalogue, "/v1/datasets/budget")
    assert after["facts"] == before["facts"]
    history = await told(catalogue, "/v1/datasets/budget/history", OPERATOR)
    assert [one["type"].split(".")[2] for one in history["items"]].count("dataset-registered") == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"key": ["ghost"]}, "there is no column 'ghost'"),
        ({"connector": {"by": "http", "format": "json", "url": "ftp://x"}}, "url"),
        ({"connector": {"by": "http", "format": "json", "url": "https://x", "key_env": "HOME"}}, "key_env"),
        ({"connector": {"by": "city", "table": "person.cases"}}, "table"),
    ],
)
async def test_facts_that_do_not_fit_are_told(client, change, why):
    body = facts().model_dump(mode="json") | change
    answer = await client.put("/v1/datasets/odd", json=body, headers=OPERATOR)
    assert (answer.status_code, why in answer.text) == (422, True), answer.text


async def test_the_catalogue_as_linked_data_names_every_dataset(catalogue):
    answer = await catalogue.get("/v1/catalogue.jsonld")
    assert answer.headers["content-type"].startswith("application/ld+json")
    said = answer.text
    assert orjson.loads(said)["@context"]
    for name in ("bus-stops", "lamps", "budget", "asked"):
        assert f"/v1/datasets/{name}" in said
    assert "secret" not in said
