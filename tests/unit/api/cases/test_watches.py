"""Watches over HTTP."""

import pytest

from serve.search.queries import Sought
from tests.unit.api.cases.conftest import KIM, PHOTO, ledger
from tests.unit.api.searching import MODEL


async def test_a_watch_keeps_its_query_is_listed_and_ends(streets, case, backend):
    body = {"photos": [PHOTO], "min_probability": 0.7, "areas": ["4211051000"]}
    answer = await streets.post(f"{case}/watches", json=body, headers=KIM)
    assert answer.status_code == 201
    (started,) = answer.json()["events"]
    assert (started["cameras"], started["models"], started["min_probability"]) == (["cam-1"], [MODEL], 0.7)
    assert f"cases/{started['case']}/{started['query']}.bin" in backend.objects
    (listed,) = (await streets.get(f"{case}/watches", headers=KIM)).json()["items"]
    assert (listed["watch"], listed["ended_at"], listed["hits"]) == (started["watch"], None, 0)
    answer = await streets.delete(f"{case}/watches/{started['watch']}", headers=KIM)
    assert [one["type"] for one in answer.json()["events"]] == ["city.person.watch-ended.v1"]
    assert (await streets.delete(f"{case}/watches/w-9", headers=KIM)).status_code == 404


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"embedding": [1, 2, 3], "model": "other"}, "not known"),
        ({"embedding": [1, 2], "model": MODEL}, "another length"),
        ({"photos": [PHOTO], "min_probability": 1.0}, "test-3 reaches 0.9997 at most"),
        ({"photos": [PHOTO], "min_probability": 0.9999}, "leave it out"),
    ],
)
async def test_a_watch_that_can_never_hit_is_refused_with_what_can_be_reached(streets, case, backend, body, why):
    answer = await streets.post(f"{case}/watches", json=body, headers=KIM)
    assert answer.status_code == 422
    assert why in answer.text
    assert not backend.objects
    assert ("watch-started", "kim", None) not in await ledger(streets, case)


async def test_a_watch_without_a_probability_has_the_threshold_of_its_model_and_the_ledger_says_what_it_means(
    streets, case, backend
):
    answer = await streets.post(f"{case}/watches", json={"photos": [PHOTO]}, headers=KIM)
    assert answer.status_code == 201
    assert answer.json()["events"][0]["min_probability"] == pytest.approx(0.5)
    (kept,) = backend.objects.values()
    assert Sought.from_bytes(kept).least == {MODEL: 0.6}


async def test_attributes_that_agree_let_a_watch_reach_what_its_model_alone_cannot(streets, case, backend):
    body = {"photos": [PHOTO], "min_probability": 0.9999, "attributes": {"upper": "red"}}
    answer = await streets.post(f"{case}/watches", json=body, headers=KIM)
    assert answer.status_code == 201
    (kept,) = backend.objects.values()
    assert Sought.from_bytes(kept).soft == {"upper": "red"}


async def test_closing_a_case_ends_its_watches(streets, case):
    await streets.post(f"{case}/watches", json={"photos": [PHOTO]}, headers=KIM)
    answer = await streets.post(f"{case}/close", json={"outcome": "found", "reason": "집 · home"}, headers=KIM)
    assert [one["type"] for one in answer.json()["events"]] == [
        "city.person.watch-ended.v1",
        "city.person.case-closed.v1",
    ]
