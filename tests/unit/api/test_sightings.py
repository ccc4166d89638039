"""Cameras, sightings and erasures over HTTP."""

import asyncio
import base64

import httpx
import pyarrow as pa
import pytest

from schemas.sighting import SIGHTINGS
from serve.admission import Limits
from serve.app import Config
from serve.pictures.wire import from_bytes
from serve.render import ARROW
from tests.unit.api.conftest import OPERATOR, bearer
from tests.unit.api.memory import START
from tests.unit.arrow import allocating, naming, stream
from tests.unit.jpegs import jpeg

CAMERA = bearer("device", facility="cam-1")
GATEWAY = bearer("gateway", gateway="gate-1")
POLICE = bearer("police", subject="inspector-lee")
EMBEDDING = [0.6, 0.8, 0.0]


def sighting(camera="cam-1", number=1, **more):
    known = {"sighting_id": f"s-{number}", "camera": camera, "time": "2026-01-15T02:59:00Z", "model": "test-3"}
    return {**known, "embedding": EMBEDDING, "quality": 0.9, **more}


def as_arrow(rows):
    table = pa.Table.from_pylist(rows, SIGHTINGS)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@pytest.fixture
async def cameras(client):
    for camera, gateway in (("cam-1", None), ("cam-2", "gate-1"), ("cam-3", "gate-1"), ("cam-4", "gate-2")):
        body = {"name_ko": "역전", "name_en": "Station", "position": {"lon": 127.7, "lat": 37.88}, "gateway": gateway}
        answer = await client.put(f"/v1/cameras/{camera}", json=body, headers=OPERATOR)
        assert answer.status_code == 200
    return client


async def counted(client, camera):
    rows = (await client.get("/v1/cameras", headers=OPERATOR)).json()["items"]
    return next(row["sightings"] for row in rows if row["camera"] == camera)


async def test_a_camera_sends_its_own_sightings_and_each_counts_once(cameras):
    picture = base64.b64encode(jpeg()).decode()
    body = [sighting(number=1, attributes={"upper": "red"}, picture=picture, box=[1, 2, 3, 4]), sighting(number=2)]
    for _ in range(2):
        answer = await cameras.post("/v1/sightings", json=body, headers=CAMERA)
        assert answer.status_code == 202
        assert (answer.json()["accepted"], answer.json()["refused"]) == (2, [])
    position = answer.json()["position"]
    seen = await cameras.get("/v1/cameras", params={"min_position": position}, headers=OPERATOR)
    assert seen.status_code == 200
    assert await counted(cameras, "cam-1") == 2


async def test_a_gateway_sends_those_of_its_cameras_wherever_they_are_kept(cameras, backend):
    rows = [sighting(f"cam-{number}", number, time=backend.now()) for number in (2, 3, 4)]
    headers = GATEWAY | {"content-type": ARROW}
    answer = await cameras.post("/v1/sightings", content=as_arrow(rows), headers=headers)
    assert answer.json()["accepted"] == 2
    assert answer.json()["refused"] == [{"camera": "cam-4", "reason": "is not a camera of this sender"}]
    await backend.settle()
    assert [await counted(cameras, f"cam-{number}") for number in (1, 2, 3, 4)] == [0, 1, 1, 0]


@pytest.mark.parametrize("camera", ["cam-2", "cam-9"])
async def test_a_camera_does_not_speak_for_another(cameras, backend, camera):
    before = dict(backend.sequences)
    answer = await cameras.post("/v1/sightings", json=sighting(camera), headers=CAMERA)
    assert answer.status_code == 403
    assert backend.sequences == before


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b"\xff\xff\xff\xff nonsense",
        b'[{"camera": "cam-1"}]',
        str([sighting(attributes={"shoes": "red"})]).replace("'", '"').encode(),
        str([sighting(box=[2**40, 1, 1, 1])]).replace("'", '"').encode(),
    ],
)
async def test_what_cannot_be_read_is_refused_whole(cameras, backend, body):
    before = dict(backend.sequences)
    for kind in ("application/json", ARROW):
        headers = CAMERA | {"content-type": kind}
        answer = await cameras.post("/v1/sightings", content=body, headers=headers)
        assert answer.status_code == 422, answer.text
    assert backend.sequences == before


async def test_what_only_folding_can_judge_is_kept_with_its_reason_and_without_the_embedding(cameras, backend):
    answer = await cameras.post("/v1/sightings", json=sighting(embedding=[0, 0, 0]), headers=CAMERA)
    assert answer.status_code == 202
    await backend.settle()
    (refused,) = backend.refused
    assert "s-1" in refused.data.decode()
    assert "embedding" not in refused.data.decode()
    assert await counted(cameras, "cam-1") == 0


async def test_a_key_gives_the_first_answer_again(cameras):
    headers = CAMERA | {"idempotency-key": "s-1"}
    first = await cameras.post("/v1/sightings", json=sighting(), headers=headers)
    again = await cameras.post("/v1/sightings", json=sighting(), headers=headers)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"


async def test_cameras_are_listed_by_area_and_group_without_whom_they_saw(cameras):
    rows = (await cameras.get("/v1/cameras", params={"gateway": "gate-1"}, headers=bearer("staff"))).json()["items"]
    assert [row["camera"] for row in rows] == ["cam-2", "cam-3"]
    assert not {"keys", "block", "embedding"} & set(rows[0])
    assert (await cameras.get("/v1/cameras")).status_code == 401
    assert (await cameras.get("/v1/cameras", headers=bearer("citizen"))).status_code == 403


async def test_an_erasure_is_asked_for_and_listed_until_its_receipt(cameras):
    body = {"camera": "cam-1", "sightings": ["s-1"], "reason": "정보주체의 요구 · asked"}
    asked = POLICE | {"idempotency-key": "e-1"}
    answer = await cameras.post("/v1/erasures", json=body, headers=asked)
    assert answer.status_code == 201, answer.text
    assert (await cameras.post("/v1/erasures", json=body, headers=asked)).headers["location"] == answer.headers[
        "location"
    ]
    (row,) = (await cameras.get("/v1/erasures", params={"open": True}, headers=OPERATOR)).json()["items"]
    assert (row["camera"], row["sightings"], row["by"], row["erased_at"]) == ("cam-1", ["s-1"], "inspector-lee", None)
    assert (await cameras.get("/v1/erasures", params={"open": False}, headers=OPERATOR)).json()["items"] == []
    receipt = (await cameras.get(answer.headers["location"], headers=bearer("auditor"))).json()
    assert [one["erasure"] for one in receipt["erasures"]] == [answer.headers["location"].rpartition("/")[2]]
    assert (await cameras.get("/v1/erasures/erasure-9", headers=OPERATOR)).status_code == 404


async def test_a_persons_sightings_over_several_cameras_are_one_erasure(cameras):
    body = {"by_camera": {"cam-1": ["s-1", "s-2"], "cam-2": ["s-1"]}, "reason": "정보주체의 요구 · asked"}
    asked = POLICE | {"idempotency-key": "e-2"}
    answer = await cameras.post("/v1/erasures", json=body, headers=asked)
    assert answer.status_code == 201, answer.text
    again = await cameras.post("/v1/erasures", json=body, headers=asked)
    assert (again.headers["location"], again.json()) == (answer.headers["location"], answer.json())
    said = (await cameras.get(answer.headers["location"], headers=bearer("auditor"))).json()
    assert {one["camera"]: one["sightings"] for one in said["erasures"]} == body["by_camera"]


async def test_of_cameras_one_of_which_is_unknown_nothing_is_erased(cameras, backend):
    before = dict(backend.sequences)
    body = {"by_camera": {"cam-1": ["s-1"], "cam-99": ["s-1"]}, "reason": "x"}
    answer = await cameras.post("/v1/erasures", json=body, headers=OPERATOR)
    assert (answer.status_code, "cam-99" in answer.text) == (404, True)
    assert backend.sequences == before


async def test_an_operator_learns_of_no_case_by_its_erasures(cameras):
    places = []
    for case in ({"case": "case-5d1f0c2b9a7e4836"}, {}):
        body = {"camera": "cam-1", "sightings": ["s-1"], "reason": "요구 · asked", **case}
        answer = await cameras.post("/v1/erasures", json=body, headers=POLICE)
        assert answer.status_code == 201
        places.append(answer.headers["location"])
    ids = [place.rpartition("/")[2] for place in places]

    async def listed(headers, **query):
        items = (await cameras.get("/v1/erasures", params=query, headers=headers)).json()["items"]
        return {one["erasure"] for one in items}

    # In turns, so that what is remembered for one would be shown to the other.
    for _ in range(2):
        assert await listed(POLICE) == await listed(bearer("auditor")) == await listed(bearer("police", "operator"))
        assert await listed(POLICE) == set(ids)
        assert await listed(OPERATOR) == {ids[1]}
        assert await listed(OPERATOR, case="case-5d1f0c2b9a7e4836") == set()
    answers = [await cameras.get(place, headers=OPERATOR) for place in (places[0], "/v1/erasures/erasure-9")]
    assert [one.status_code for one in answers] == [404, 404]
    assert answers[0].text.replace(ids[0], "X") == answers[1].text.replace("erasure-9", "X")
    assert (await cameras.get(places[1], headers=OPERATOR)).status_code == 200
    assert (await cameras.post("/v1/erasures", json=body | {"case": "case-1"}, headers=OPERATOR)).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {"camera": "cam-1", "reason": "x"},
        {"camera": "cam-1", "sightings": []},
        {"camera": "cam-1", "sightings": ["a b"], "reason": "x"},
        {"sightings": ["s-1"], "reason": "x"},
        {"camera": "cam-1", "by_camera": {"cam-1": ["s-1"]}, "reason": "x"},
        {"by_camera": {"cam-1": []}, "reason": "x"},
        {
            "by_camera": {"cam-1": [f"s-{n}" for n in range(600)], "cam-2": [f"s-{n}" for n in range(600)]},
            "reason": "x",
        },
    ],
)
async def test_an_erasure_names_a_window_or_sightings_and_a_reason(cameras, body):
    assert (await cameras.post("/v1/erasures", json=body, headers=OPERATOR)).status_code == 422


async def test_a_camera_that_many_rows_name_is_not_repeated_in_memory(cameras):
    table = pa.Table.from_pylist([sighting(number=n) | {"time": START} for n in range(5_000)], SIGHTINGS)
    plain = [field.name for field in SIGHTINGS if not field.nullable]
    named = table.select(plain).set_column(plain.index("camera"), "camera", naming(5_000))
    with allocating() as pool:
        answer = await cameras.post("/v1/sightings", content=stream(named), headers=CAMERA | {"content-type": ARROW})
    assert answer.status_code == 403
    assert pool.max_memory() < 10_000_000


async def test_a_camera_or_gateway_may_ask_who_is_in_a_picture(client):
    for sender in (GATEWAY, CAMERA):
        answer = await client.post("/v1/encodings", content=b"jpeg", headers=sender)
        assert (answer.status_code, from_bytes(answer.content)) == (200, [])
        assert answer.headers["cache-control"] == "no-store"
    answer = await client.post("/v1/encodings", content=b"GIF", headers=GATEWAY)
    assert answer.status_code == 422


async def test_cameras_that_wait_for_the_encoder_take_no_place_of_other_writes(make_app, monkeypatch, backend):
    busy, let = asyncio.Event(), asyncio.Event()

    async def people(picture):
        busy.set()
        await let.wait()
        return b""

    monkeypatch.setattr(backend, "people", people)
    app = make_app(Config(Limits(write=1, picture=1, queue=0)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://city") as client:
        first = asyncio.create_task(client.post("/v1/encodings", content=b"jpeg", headers=GATEWAY))
        await busy.wait()
        assert (await client.post("/v1/encodings", content=b"jpeg", headers=GATEWAY)).status_code == 503
        body = {"name_ko": "카메라", "name_en": "Camera", "position": {"lon": 127.7, "lat": 37.8}}
        assert (await client.put("/v1/cameras/cam-1", json=body, headers=OPERATOR)).status_code == 200
        let.set()
        assert (await first).status_code == 200
