"""Searches in a case over HTTP: what is asked, what it answers, and what stays."""

import asyncio
import base64

import numpy as np
import pytest

from schemas.errors import UnavailableError
from schemas.person import CloseCase, Lag, RecordView
from serve.search.queries import Sought
from tests.unit.api.cases.conftest import (
    AUDITOR,
    KIM,
    PHOTO,
    POLICE,
    WIDE,
    at,
    found,
    later,
    ledger,
    opened,
    seen,
)
from tests.unit.api.searching import MODEL


async def test_a_search_answers_with_candidates_places_both_times_and_what_it_rests_on(streets, case):
    answer = await found(streets, case)
    assert [one["candidate"] for one in answer["candidates"]] == ["cam-1.s-1", "cam-far.s-3", "cam-2.s-2", "cam-2.s-4"]
    first = answer["candidates"][0]
    assert first["place"] == {"name_ko": "카메라 cam-1", "name_en": "Camera cam-1", "lon": 127.717, "lat": 37.885}
    assert (first["time"], first["local_time"]) == ("2026-01-15T02:00:00Z", "2026-01-15T11:00:00+09:00")
    assert first["score"] == pytest.approx(1)
    assert first["probability"] == pytest.approx(1 / (1 + np.exp(-8)))
    assert first["picture"] == f"{case}/pictures/cam-1.s-1"
    assert answer["coverage"]["shards_answered"] == 1
    assert answer["persons_on_photos"] == [1]


async def test_what_was_asked_and_found_is_in_the_ledger_and_its_query_in_an_object_of_the_case(streets, case, backend):
    answer = await found(streets, case, photos=[PHOTO], attributes={"upper": "red"})
    entries = (await streets.get(f"{case}/ledger", headers=POLICE)).json()["items"]
    (search,) = [one["data"] for one in entries if one["type"] == "city.person.search-recorded.v2"]
    assert search["search"] == answer["search"]
    assert [one["sighting"] for one in search["candidates"]] == ["s-1", "s-3", "s-2", "s-4"]
    assert search["cameras"] == 3
    (name,) = backend.objects
    assert name == f"cases/{case.rpartition('/')[2]}/{search['query']}.bin"
    kept = Sought.from_bytes(backend.objects[name])
    assert (kept.photographs, kept.soft, kept.queries[0].model) == ((b"bare jpeg",), {"upper": "red"}, MODEL)
    assert PHOTO not in str(entries)


async def test_searches_for_the_same_have_objects_of_their_own_and_a_repeat_adds_none(streets, case, backend):
    asked = {"json": {"photos": [PHOTO]}, "headers": KIM | {"idempotency-key": "q-1"}}
    first = await streets.post(f"{case}/searches", **asked)
    again = await streets.post(f"{case}/searches", **asked)
    assert again.json()["search"] == first.json()["search"]
    assert len(backend.objects) == 1
    await found(streets, case, photos=[PHOTO])
    entries = (await streets.get(f"{case}/ledger", headers=POLICE)).json()["items"]
    named = [one["data"]["query"] for one in entries if one["type"] == "city.person.search-recorded.v2"]
    assert {f"cases/{case.rpartition('/')[2]}/{query}.bin" for query in named} == backend.objects.keys()
    assert len(set(named)) == 2


async def test_the_query_is_stored_while_the_shards_are_asked(streets, case, backend):
    stored = []

    async def during():
        await asyncio.sleep(0.01)
        stored.extend(backend.objects)

    backend.search.during = during
    await found(streets, case)
    assert len(stored) == 1


async def test_of_a_search_that_no_shard_answers_nothing_stays(streets, case, backend):
    async def away():
        await asyncio.sleep(0.01)
        assert backend.objects
        raise UnavailableError("no shard of the search answers")

    backend.search.during = away
    answer = await streets.post(f"{case}/searches", json={"photos": [PHOTO]}, headers=KIM)
    assert answer.status_code == 503
    assert not backend.objects


async def test_a_search_by_embedding_or_by_an_own_candidate_finds_alike(streets, case):
    by_embedding = await found(streets, case, embedding=[2, 0, 0], model=MODEL, limit=2)
    by_like = await found(streets, case, like="cam-1.s-1", limit=2)
    assert by_embedding["candidates"] == by_like["candidates"]


async def test_a_candidate_of_another_case_is_not_searched_for(streets, case):
    await found(streets, case)
    other = await opened(streets)
    await streets.post(f"{other}/authorise", json={}, headers=POLICE)
    answer = await streets.post(f"{other}/searches", json={"like": "cam-1.s-1"}, headers=KIM)
    assert answer.status_code == 404


async def test_filters_reach_the_search_as_asked(streets, case, backend):
    window = {"start": at(-100).isoformat(), "end": at(0).isoformat()}
    body = {"photos": [PHOTO], "window": window, "min_quality": 0.4, "limit": 7}
    body |= {"attributes": {"upper": "red", "age": "child"}, "hard": ["upper"]}
    answer = await found(streets, case, **body)
    assert [one["candidate"] for one in answer["candidates"]] == ["cam-1.s-1"]
    _, filters, soft, limit = backend.search.asked[-1]
    assert (soft, filters.hard, limit) == ({"age": "child"}, {"upper": frozenset({"red"})}, 7)
    assert (filters.min_quality, filters.window.start, filters.cameras) == (0.4, at(-100), None)


@pytest.mark.parametrize(
    ("where", "cameras"),
    [
        ({"areas": ["4211051000"]}, {"cam-1"}),
        ({"areas": [{"lon": 127.717, "lat": 37.885, "radius_m": 700}]}, {"cam-1", "cam-2"}),
        ({"areas": [{"lon": 127.717, "lat": 37.885, "radius_m": 500}]}, {"cam-1"}),
        (
            {
                "areas": [
                    {
                        "type": "Polygon",
                        "coordinates": [
                            [[127.72, 37.8], [127.73, 37.8], [127.73, 37.9], [127.72, 37.9], [127.72, 37.8]]
                        ],
                    }
                ]
            },
            {"cam-2"},
        ),
        ({"areas": ["4211051000", "4211052000"]}, {"cam-1", "cam-2"}),
        ({"cameras": ["cam-far"]}, {"cam-far"}),
        ({"cameras": ["cam-2", "cam-far"], "areas": ["4211052000"]}, {"cam-2"}),
    ],
)
async def test_areas_become_the_cameras_that_stand_in_them(streets, case, backend, where, cameras):
    await found(streets, case, photos=[PHOTO], **where)
    assert backend.search.asked[-1][1].cameras == cameras


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "exactly one"),
        ({"photos": [PHOTO], "like": "cam-1.s-1"}, "exactly one"),
        ({"photos": [base64.b64encode(b"nobody").decode()]}, "nobody can be seen on photograph 1"),
        ({"photos": [base64.b64encode(b"GIF").decode()]}, "cannot be read"),
        ({"photos": ["not base64!"]}, "errors"),
        ({"embedding": [1, 2, 3]}, "model"),
        ({"embedding": [0, 0, 0], "model": MODEL}, "all zero"),
        ({"embedding": [1, 2], "model": MODEL}, "another length"),
        ({"embedding": [1e300, 2, 3], "model": MODEL}, "32-bit"),
        ({"embedding": [1, 2, 3], "model": "other"}, "not known"),
        ({"photos": [PHOTO], "cameras": ["cam-9"]}, "no camera 'cam-9'"),
        ({"photos": [PHOTO], "areas": ["4299999999"]}, "none of the cameras"),
        ({"photos": [PHOTO], "attributes": {"upper": "plaid"}}, "plaid"),
        ({"photos": [PHOTO], "hard": ["upper"]}, "hard"),
        ({"photos": [PHOTO], "limit": 101}, "errors"),
        ({"photos": [PHOTO], "areas": [WIDE] * 6}, "5,000 points"),
    ],
)
async def test_a_search_that_cannot_be_is_refused_with_the_reason_and_leaves_nothing_behind(
    streets, case, backend, body, why
):
    answer = await streets.post(f"{case}/searches", json=body, headers=KIM)
    assert answer.status_code == 422
    assert why in answer.text
    assert not backend.objects
    assert ("search-recorded", "kim", None) not in await ledger(streets, case)


async def test_a_key_gives_the_first_answer_again_and_records_one_search(streets, case, backend):
    asked = {"json": {"photos": [PHOTO]}, "headers": KIM | {"idempotency-key": "q-1"}}
    first = await streets.post(f"{case}/searches", **asked)
    backend.search.seen = []
    again = await streets.post(f"{case}/searches", **asked)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["candidates"] == first.json()["candidates"]
    entries = await ledger(streets, case)
    assert [one for one, *_ in entries].count("search-recorded") == 1
    assert ("view-recorded", "kim", "candidates") in entries, "candidates were shown once more"


async def test_a_repeat_is_shown_nothing_that_cannot_be_written_down(streets, case, backend, monkeypatch):
    asked = {"json": {"photos": [PHOTO]}, "headers": KIM | {"idempotency-key": "q-1"}}
    await streets.post(f"{case}/searches", **asked)
    submit = backend.submit

    async def away(commands, *rest):
        if isinstance(commands[0], RecordView):
            raise UnavailableError("the log is away")
        return await submit(commands, *rest)

    monkeypatch.setattr(backend, "submit", away)
    answer = await streets.post(f"{case}/searches", **asked)
    assert answer.status_code == 503
    assert "cam-1" not in answer.text


async def test_a_key_of_another_day_shows_nothing_that_is_not_in_the_ledger(streets, case, backend):
    asked = {"json": {"photos": [PHOTO]}, "headers": KIM | {"idempotency-key": "q-1"}}
    await streets.post(f"{case}/searches", **asked)
    backend.pass_time(25)
    backend.search.seen.append(seen("cam-2", "s-9", 25 * 60 - 1))
    answer = await streets.post(
        f"{case}/searches", json=asked["json"], headers=later(backend) | {"idempotency-key": "q-1"}
    )
    assert answer.status_code == 409
    assert "s-9" not in answer.text


async def test_the_ledger_says_all_that_a_search_asked_but_what_describes_the_person(streets, case):
    circle = {"lon": 127.717, "lat": 37.885, "radius_m": 700.0}
    body = {"photos": [PHOTO], "areas": [circle, "4211052000"], "min_quality": 0.4, "limit": 7}
    body |= {"attributes": {"upper": "red", "age": "child"}, "hard": ["upper"]}
    await found(streets, case, **body)
    await found(streets, case)
    await found(streets, case, like="cam-1.s-1", cameras=["cam-far", "cam-2"])
    entries = (await streets.get(f"{case}/ledger", headers=AUDITOR)).json()["items"]
    asked = [one["data"]["asked"] for one in entries if one["type"] == "city.person.search-recorded.v2"]
    assert asked[0] == {
        "photos": 1,
        "like": None,
        "areas": [circle, "4211052000"],
        "cameras": ["cam-1", "cam-2"],
        "evidence": ["age"],
        "hard": ["upper"],
        "min_quality": 0.4,
        "limit": 7,
    }
    assert "child" not in str(entries)
    assert asked[1] | {"photos": 1, "cameras": [], "areas": [], "limit": 20} == asked[1]
    assert (asked[2]["photos"], asked[2]["like"], asked[2]["cameras"]) == (0, "cam-1.s-1", ["cam-2", "cam-far"])


async def test_an_answer_of_shards_that_are_behind_is_not_complete_again_and_in_the_ledger(streets, case, backend):
    assert (await found(streets, case))["coverage"]["complete"] is True
    backend.search.lag = Lag(shards=1, seconds=61.5, records=10, why="the objects are away")
    asked = {"json": {"photos": [PHOTO]}, "headers": KIM | {"idempotency-key": "q-1"}}
    first = (await streets.post(f"{case}/searches", **asked)).json()["coverage"]
    told = {"shards": 1, "seconds": 61.5, "records": 10, "why": "the objects are away"}
    assert (first["complete"], first["behind"], first["shards_answered"]) == (False, told, 1)
    backend.search.lag = None
    again = (await streets.post(f"{case}/searches", **asked)).json()["coverage"]
    assert again == first
    entries = (await streets.get(f"{case}/ledger", headers=POLICE)).json()["items"]
    (lagged,) = [one["data"] for one in entries if one["type"] == "city.person.search-lagged.v1"]
    assert lagged["lag"] == told


async def test_a_case_that_ends_while_its_search_runs_answers_nothing_and_keeps_nothing(streets, case, backend):
    case_id = case.rpartition("/")[2]

    async def close():
        end = CloseCase(at=backend.now(), by="inspector-lee", case=case_id, outcome="found", reason="집 · home")
        await backend.submit([end], None, None)

    backend.search.during = close
    answer = await streets.post(f"{case}/searches", json={"photos": [PHOTO]}, headers=KIM)
    assert answer.status_code == 409
    assert "candidates" not in answer.json()
    assert not backend.objects


async def test_model_cards_say_what_they_are_and_that_they_may_be_wrong(client):
    (card,) = (await client.get("/v1/models")).json()["items"]
    assert card["weak"] is True
    assert card["bias_ko"]


async def test_nobody_is_said_where_no_candidate_reaches_its_threshold_and_not_where_that_is_unknown(
    streets, case, backend
):
    answer = await found(streets, case)
    assert answer["nobody"] is False
    assert [one["above_threshold"] for one in answer["candidates"]] == [True, True, True, False]
    stranger = (0.5, 0.8, 0)
    backend.search.seen = [seen("cam-1", "s-9", -20, stranger)]
    answer = await found(streets, case)
    assert (answer["nobody"], [one["above_threshold"] for one in answer["candidates"]]) == (True, [False])
    assert "기준값에 이른 후보가 없음" in answer["nobody_ko"]
    assert "no proof" in answer["nobody_en"]
    backend.search.seen.append(seen("cam-1", "s-10", -21, stranger, model="face-1"))
    answer = await found(streets, case)
    assert (answer["nobody"], {one["above_threshold"] for one in answer["candidates"]}) == (None, {None, False})
    assert "not known" in answer["nobody_en"]
    backend.search.seen = []
    assert (await found(streets, case))["nobody"] is True
    items = (await streets.get(f"{case}/candidates", headers=KIM)).json()["items"]
    assert {one["sighting"]: one["above_threshold"] for one in items}["s-9"] is False
