"""Cases over HTTP: who may what, what the ledger holds before an answer leaves, and what nobody learns."""

import asyncio
import base64
import csv
import io
from datetime import timedelta

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from schemas.errors import UnavailableError
from schemas.person import Candidate, CloseCase, Lag, RecordView
from serve.auth import ROLES, Principal, mint
from serve.search.queries import Sought
from tests.unit.api.conftest import OPERATOR, SECRET, bearer
from tests.unit.api.memory import START
from tests.unit.api.searching import MODEL, Seen
from tests.unit.jpegs import jpeg, segment

KIM = bearer("case-officer", subject="kim")
PARK = bearer("case-officer", subject="park")
POLICE = bearer("police", subject="inspector-lee")
AUDITOR = bearer("auditor", subject="auditor-jo")
JPEG = jpeg()
PHOTO = base64.b64encode(b"jpeg").decode()
WIDE = {"type": "Polygon", "coordinates": [[[127 + n / 1000, 37] for n in range(999)] + [[127, 37]]]}
STATION, SQUARE, FAR = (127.717, 37.885), (127.724, 37.885), (128.2, 37.9)


def facts(**more):
    return {
        "kind": "minor",
        "authority": "춘천서-2026-0117",
        "legal_ground": "실종아동등의 보호 및 지원에 관한 법률 제9조",
        "reason": "하교 후 미귀가 · not home from school",
        "officer": "kim",
        "expires_at": (START + timedelta(days=2)).isoformat(),
        **more,
    }


def at(minutes):
    return START + timedelta(minutes=minutes)


def seen(camera, sighting, minutes, vector=(1, 0, 0), picture=JPEG, model=MODEL, **attributes):
    candidate = Candidate(camera=camera, sighting=sighting, time=at(minutes), model=model, score=0, probability=None)
    unit = np.asarray(vector, np.float32)
    return Seen(candidate, unit / np.linalg.norm(unit), picture, attributes)


@pytest.fixture
async def streets(city, backend):
    """A city with three cameras, and what they saw."""
    for camera, (lon, lat), area in (
        ("cam-1", STATION, "4211051000"),
        ("cam-2", SQUARE, "4211052000"),
        ("cam-far", FAR, ""),
    ):
        body = {"name_ko": f"카메라 {camera}", "name_en": f"Camera {camera}", "synthetic": True, "area": area}
        body |= {"position": {"lon": lon, "lat": lat, "synthetic": True}, "gateway": "gate-1"}
        answer = await city.put(f"/v1/cameras/{camera}", json=body, headers=OPERATOR)
        assert answer.status_code == 200, answer.text
    backend.search.seen = [
        seen("cam-1", "s-1", -60, upper="red"),
        seen("cam-2", "s-2", -45, (0.9, 0.3, 0), upper="blue"),
        seen("cam-far", "s-3", -59, (0.95, 0.2, 0)),
        seen("cam-2", "s-4", -10, (0, 1, 0), None),
        seen("cam-1", "s-5", -60 * 30),
    ]
    return city


async def opened(client, headers=KIM, **more):
    answer = await client.post("/v1/cases", json=facts(**more), headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


@pytest.fixture
async def case(streets):
    """The path of an authorised case of kim's."""
    path = await opened(streets)
    answer = await streets.post(f"{path}/authorise", json={}, headers=POLICE)
    assert answer.status_code == 200, answer.text
    return path


async def found(client, case, headers=KIM, **body):
    answer = await client.post(f"{case}/searches", json=body or {"photos": [PHOTO]}, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def ledger(client, case, headers=AUDITOR):
    answer = await client.get(f"{case}/ledger", params={"limit": 1000}, headers=headers)
    assert answer.status_code == 200
    return [(one["type"].split(".")[2], one["by"], one["data"].get("what")) for one in answer.json()["items"]]


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
        f"{case}/searches", json=asked["json"], headers=_later(backend) | {"idempotency-key": "q-1"}
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


async def test_a_second_officers_word_on_a_candidate_is_in_the_ledger_too(streets, case):
    await found(streets, case)
    for headers, reason in ((KIM, "가방 · the bag"), (POLICE, "걸음 · the gait"), (POLICE, "걸음 · the gait")):
        answer = await streets.post(f"{case}/candidates/cam-1.s-1/confirm", json={"reason": reason}, headers=headers)
        assert answer.status_code == 200
    entries = await ledger(streets, case)
    assert [by for name, by, _ in entries if name == "candidate-confirmed"] == ["kim", "inspector-lee"]


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


async def test_opening_with_a_key_twice_is_one_case(streets):
    asked = {"json": facts(), "headers": KIM | {"idempotency-key": "c-1"}}
    one, other = await streets.post("/v1/cases", **asked), await streets.post("/v1/cases", **asked)
    assert one.headers["location"] == other.headers["location"]
    assert len((await streets.get("/v1/cases", headers=KIM)).json()["items"]) == 1


async def test_ids_of_cases_cannot_be_guessed(streets):
    paths = {await opened(streets) for _ in range(5)}
    assert len(paths) == 5
    assert all(len(path.rpartition("-")[2]) == 16 for path in paths)


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
    headers = bearer("case-officer", subject="kim") if when != "expired" else _later(backend)
    answer = await streets.request(method, f"{path}/{what}", json=body, headers=headers)
    assert answer.status_code == 409
    assert len(backend.search.asked) == asked


def _later(backend):
    token = mint(SECRET, Principal("kim", frozenset({"case-officer"})), backend.now(), timedelta(hours=1))
    return {"authorization": f"Bearer {token}"}


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


async def test_every_look_is_in_the_ledger_before_its_answer_and_the_look_at_the_ledger_too(streets, case, backend):
    await found(streets, case)
    for what in ("", "/candidates", "/route", "/pictures/cam-1.s-1", "/watches"):
        assert (await streets.get(f"{case}{what}", headers=KIM)).status_code == 200
    entries = await ledger(streets, case)
    assert [what for name, by, what in entries if name == "view-recorded" and by == "kim"] == [
        "case",
        "candidates",
        "route",
        "picture",
        "case",
    ]
    assert entries[-1] == ("view-recorded", "auditor-jo", "ledger")


@pytest.mark.parametrize("what", ["", "/candidates", "/route", "/pictures/cam-1.s-1", "/watches", "/ledger"])
async def test_without_its_entry_in_the_ledger_nothing_is_shown(streets, case, backend, monkeypatch, what):
    await found(streets, case)
    submit = backend.submit

    async def away(*args):
        raise UnavailableError("the log is away")

    monkeypatch.setattr(backend, "submit", away)
    answer = await streets.get(f"{case}{what}", headers=KIM)
    monkeypatch.setattr(backend, "submit", submit)
    assert answer.status_code == 503
    assert "cam-1" not in answer.text.replace(f"{case}{what}", "")


async def test_a_picture_is_shown_once_it_is_in_the_ledger_and_one_that_is_not_there_is_410(streets, case):
    await found(streets, case)
    answer = await streets.get(f"{case}/pictures/cam-1.s-1", headers=KIM)
    assert (answer.content, answer.headers["content-type"]) == (JPEG, "image/jpeg")
    assert answer.headers["cache-control"] == "no-store"
    assert (await streets.get(f"{case}/pictures/cam-2.s-4", headers=KIM)).status_code == 410
    assert (await streets.get(f"{case}/pictures/cam-1.s-5", headers=KIM)).status_code == 404


async def test_a_picture_that_was_stored_with_its_metadata_is_shown_without(streets, case, backend):
    backend.search.seen = [
        seen("cam-1", "s-1", -60, picture=jpeg(b"one", segment(0xE1, b"Exif GPS 37.88 N"))),
        seen("cam-1", "s-2", -60, picture=b"\xff\xd8 broken GPS"),
    ]
    await found(streets, case)
    assert (await streets.get(f"{case}/pictures/cam-1.s-1", headers=KIM)).content == jpeg(b"one")
    assert (await streets.get(f"{case}/pictures/cam-1.s-2", headers=KIM)).status_code == 410


async def test_confirming_re_ranks_the_rest_and_dismissed_ones_come_last(streets, case):
    await found(streets, case)

    async def ranked():
        return (await streets.get(f"{case}/candidates", headers=KIM)).json()["items"]

    before = {one["candidate"]: one["likelihood"] for one in await ranked()}
    await streets.post(f"{case}/candidates/cam-1.s-1/confirm", json={"reason": "가방 · the bag"}, headers=KIM)
    await streets.post(f"{case}/candidates/cam-2.s-4/dismiss", json={"reason": "어른 · an adult"}, headers=KIM)
    items = await ranked()
    after = {one["candidate"]: one["likelihood"] for one in items}
    assert [(one["candidate"], one["state"]) for one in items] == [
        ("cam-1.s-1", "confirmed"),
        ("cam-2.s-2", "found"),
        ("cam-far.s-3", "found"),
        ("cam-2.s-4", "dismissed"),
    ]
    assert after["cam-far.s-3"] < before["cam-far.s-3"]
    assert after["cam-2.s-2"] > before["cam-2.s-2"]
    assert (items[0]["reason"], items[0]["decided_by"]) == ("가방 · the bag", "kim")
    page = (await streets.get(f"{case}/candidates", params={"limit": 3}, headers=KIM)).json()
    rest = (await streets.get(f"{case}/candidates", params={"cursor": page["next"]}, headers=KIM)).json()
    assert [one["candidate"] for one in page["items"] + rest["items"]] == [one["candidate"] for one in items]


async def test_only_a_candidate_of_the_case_can_be_confirmed(streets, case):
    answer = await streets.post(f"{case}/candidates/cam-1.s-1/confirm", json={"reason": "x"}, headers=KIM)
    assert answer.status_code == 404


async def test_the_route_shows_stops_and_legs_in_order_and_the_impossible_apart_with_the_reason(streets, case):
    await found(streets, case)
    await streets.post(f"{case}/candidates/cam-1.s-1/confirm", json={"reason": "가방 · the bag"}, headers=KIM)
    answer = await streets.get(f"{case}/route", params={"likely": 0.3}, headers=KIM)
    assert answer.headers["content-type"] == "application/geo+json"
    said = answer.json()
    stops = [one for one in said["features"] if one["geometry"]["type"] == "Point"]
    assert [(one["id"], one["properties"]["order"]) for one in stops] == [("cam-1.s-1", 1), ("cam-2.s-2", 2)]
    (leg,) = [one for one in said["features"] if one["geometry"]["type"] == "LineString"]
    assert (leg["properties"]["mode"], leg["properties"]["impossible"]) == ("walk", False)
    (far,) = said["impossible"]
    assert (far["id"], far["properties"]["impossible"]) == ("cam-far.s-3", True)
    assert "km/h" in far["properties"]["reason"]
    reach = said["reach"]["properties"]
    assert (reach["from"], reach["mode"], reach["method"]) == ("cam-1.s-1", "walk", "straight-line")
    assert 3600 <= reach["seconds"] < 3700


async def test_a_route_is_drawn_as_a_map_as_well_and_each_look_is_in_the_ledger(streets, case):
    await found(streets, case)
    await streets.post(f"{case}/candidates/cam-1.s-1/confirm", json={"reason": "가방 · the bag"}, headers=KIM)
    told = {}
    for form in ("svg", "png", "vega"):
        answer = await streets.get(f"{case}/route", params={"format": form, "likely": 0.3}, headers=KIM)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        told[form] = answer
    assert told["png"].content.startswith(b"\x89PNG")
    assert "카메라 cam-2" in told["svg"].text
    assert told["vega"].json()["$schema"].startswith("https://vega.github.io/schema/vega-lite/")
    assert [what for _, _, what in await ledger(streets, case)].count("route") == 3


async def test_a_route_without_a_confirmed_sighting_has_no_reach(streets, case):
    await found(streets, case)
    assert (await streets.get(f"{case}/route", headers=KIM)).json()["reach"] is None


async def test_a_reach_goes_along_the_roads_where_one_is_near(streets, case, backend):
    backend.search.seen = [seen("cam-road", "s-1", -5)]
    body = {"name_ko": "중앙로", "name_en": "Jungang-ro", "position": {"lon": 127.735, "lat": 37.8801}}
    await streets.put("/v1/cameras/cam-road", json=body, headers=OPERATOR)
    await found(streets, case)
    await streets.post(f"{case}/candidates/cam-road.s-1/confirm", json={"reason": "x"}, headers=KIM)
    reach = (await streets.get(f"{case}/route", headers=KIM)).json()["reach"]
    assert reach["properties"]["method"] == "roads"


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


async def test_the_ledger_is_exported_as_csv_that_no_spreadsheet_takes_for_formulas(streets, case):
    headers = bearer("case-officer", subject="=cmd")
    path = await opened(streets, headers, officer="=cmd")
    answer = await streets.get(f"{path}/ledger", params={"format": "csv"}, headers=AUDITOR)
    assert answer.headers["content-type"].startswith("text/csv")
    assert path.rpartition("/")[2] in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [row["type"] for row in rows] == ["city.person.case-opened.v1", "city.person.view-recorded.v1"]
    assert [row["by"] for row in rows] == ["'=cmd", "auditor-jo"]
    assert "미귀가" in rows[0]["data"]


async def test_a_ledger_comes_in_pages(streets, case):
    await found(streets, case)
    first = (await streets.get(f"{case}/ledger", params={"limit": 2}, headers=AUDITOR)).json()
    rest = (await streets.get(f"{case}/ledger", params={"cursor": first["next"]}, headers=AUDITOR)).json()
    types = [one["type"].split(".")[2] for one in first["items"] + rest["items"]]
    assert types == ["case-opened", "case-authorised", "search-recorded", "view-recorded", "view-recorded"]


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


async def test_model_cards_say_what_they_are_and_that_they_may_be_wrong(client):
    (card,) = (await client.get("/v1/models")).json()["items"]
    assert card["weak"] is True
    assert card["bias_ko"]


async def test_the_same_sighting_id_at_two_cameras_is_two_candidates_throughout(streets, case, backend):
    backend.search.seen = [
        seen("cam-1", "s-1", -60, picture=jpeg(b"one")),
        seen("cam-2", "s-1", -45, (0.9, 0.3, 0), picture=jpeg(b"two")),
    ]
    assert [one["candidate"] for one in (await found(streets, case))["candidates"]] == ["cam-1.s-1", "cam-2.s-1"]
    for candidate, decision in (("cam-1.s-1", "confirm"), ("cam-2.s-1", "dismiss")):
        path = f"{case}/candidates/{candidate}/{decision}"
        answer = await streets.post(path, json={"reason": "her gait"}, headers=KIM)
        assert answer.status_code == 200, answer.text
    items = (await streets.get(f"{case}/candidates", headers=KIM)).json()["items"]
    assert {one["candidate"]: one["state"] for one in items} == {"cam-1.s-1": "confirmed", "cam-2.s-1": "dismissed"}
    pictures = [await streets.get(f"{case}/pictures/{one}.s-1", headers=KIM) for one in ("cam-1", "cam-2")]
    assert [one.content for one in pictures] == [jpeg(b"one"), jpeg(b"two")]


async def test_the_list_interleaves_a_model_without_a_calibration_and_pages_miss_nobody(streets, case, backend):
    backend.search.seen = [seen("cam-1", f"body-{n}", -60, (1, 0.02 * n, 0)) for n in range(6)]
    backend.search.seen += [seen("cam-2", f"face-{n}", -20, (0.6, 0.8, 0.1 * n), model="face-1") for n in range(2)]
    await found(streets, case)

    async def page(**query):
        return (await streets.get(f"{case}/candidates", params={"limit": 3, **query}, headers=KIM)).json()

    first = await page()
    names = [one["sighting"] for one in first["items"]]
    assert names == ["body-0", "face-0", "body-1"]
    path = f"{case}/candidates/cam-2.face-0/dismiss"
    assert (await streets.post(path, json={"reason": "a man"}, headers=KIM)).status_code == 200
    second = await page(cursor=first["next"])
    third = await page(cursor=second["next"])
    names += [one["sighting"] for one in [*second["items"], *third["items"]]]
    assert names == ["body-0", "face-0", "body-1", "face-1", "body-2", "body-3", "body-4", "body-5", "face-0"]


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
