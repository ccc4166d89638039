"""Readings and resubmissions under an Idempotency-Key: the first answer again, whatever happened in between."""

import pytest

from schemas.errors import UnavailableError
from tests.unit.api.conftest import OPERATOR, ROAD, ROAD_FACTS, SAFETY, TILT, bearer, reading
from tests.unit.api.memory import MemoryBackend

DEVICE = bearer("device", facility="bridge-1")
KEYED = DEVICE | {"idempotency-key": "batch-17"}


async def count(city, sensor: str = "tilt-1") -> tuple[int, int]:
    await city.get("/v1/sensors/latest?min_position=RjAuMA")
    found = (await city.get("/v1/sensors/latest?facility=bridge-1")).json()["items"]
    return next((one["count"], one["duplicates"]) for one in found if one["sensor"] == sensor)


async def test_a_repeat_of_readings_gives_the_first_answer_and_sends_nothing_again(city):
    first = await city.post("/v1/readings", json=reading("tilt-1", 1.0), headers=KEYED)
    again = await city.post("/v1/readings", json=reading("tilt-1", 1.0), headers=KEYED)
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["bomnae-position"] == first.headers["bomnae-position"] == first.json()["position"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert await count(city) == (1, 0)


async def test_the_first_answer_stands_though_the_city_has_changed(city):
    body = [reading("tilt-1", 1.0), reading("tilt-9", 1.0)]
    first = await city.post("/v1/readings", json=body, headers=KEYED)
    assert [one["sensor"] for one in first.json()["refused"]] == ["tilt-9"]
    await city.put("/v1/facilities/bridge-1/sensors/tilt-9", json=TILT, headers=SAFETY)
    assert (await city.post("/v1/readings", json=body, headers=KEYED)).json() == first.json()


async def test_a_key_with_other_readings_or_for_another_write_is_422(city):
    await city.post("/v1/readings", json=reading("tilt-1", 1.0), headers=KEYED)
    other = await city.post("/v1/readings", json=reading("tilt-1", 2.0), headers=KEYED)
    assert other.status_code == 422
    assert other.json()["type"] == "urn:bomnae:problem:idempotency-key-reused"
    assert await count(city) == (1, 0)
    write = SAFETY | {"idempotency-key": "one"}
    begun = await city.post("/v1/facilities/bridge-1/maintenance", json={"reason": "a"}, headers=write)
    assert begun.status_code == 200
    elsewhere = await city.put("/v1/facilities/bridge-2", json={}, headers=write)
    assert elsewhere.status_code == 422


async def test_after_a_crash_before_the_readings_were_sent_a_repeat_sends_them(city, backend, monkeypatch):
    async def away(*_):
        raise UnavailableError("NATS is away")

    with monkeypatch.context() as patched:
        patched.setattr(backend, "ingest", away)
        assert (await city.post("/v1/readings", json=reading("tilt-1", 1.0), headers=KEYED)).status_code == 503
    later = await city.post("/v1/readings", json=reading("tilt-1", 1.0), headers=KEYED)
    assert later.status_code == 202
    assert "idempotency-replayed" not in later.headers
    assert await count(city) == (1, 0)


async def test_a_crash_after_the_readings_were_sent_sends_them_again_and_they_count_once(city, backend, monkeypatch):
    claim = backend.claim

    async def lost(key, digest, answer=""):
        if answer:
            raise UnavailableError("the owner left")
        return await claim(key, digest)

    with monkeypatch.context() as patched:
        patched.setattr(backend, "claim", lost)
        assert (await city.post("/v1/readings", json=reading("tilt-1", 1.0), headers=KEYED)).status_code == 503
    later = await city.post("/v1/readings", json=reading("tilt-1", 1.0), headers=KEYED)
    again = await city.post("/v1/readings", json=reading("tilt-1", 1.0), headers=KEYED)
    assert later.json() == again.json()
    assert await count(city) == (1, 1)


async def test_of_two_repeats_at_the_same_time_both_give_the_answer_that_was_kept_first(city, backend, monkeypatch):
    kept = '{"position":"RjAuOQ","accepted":1,"refused":[]}'
    claim = backend.claim

    async def late(key, digest, answer=""):
        if answer:
            await claim(key, digest, kept)
        return await claim(key, digest, answer)

    monkeypatch.setattr(backend, "claim", late)
    answer = await city.post("/v1/readings", json=reading("tilt-1", 1.0), headers=KEYED)
    assert answer.text == kept
    assert answer.headers["idempotency-replayed"] == "true"


async def test_readings_of_which_none_counts_are_judged_anew_under_their_key(city):
    body = reading("tilt-9", 1.0)
    assert (await city.post("/v1/readings", json=body, headers=KEYED)).status_code == 403
    await city.put("/v1/facilities/bridge-1/sensors/tilt-9", json=TILT, headers=SAFETY)
    assert (await city.post("/v1/readings", json=body, headers=KEYED)).status_code == 202


async def test_a_keyed_resubmission_gives_its_first_answer_again(city, backend):
    sent = await city.post(
        "/v1/readings", json=reading("tilt-1", 1.0) | {"time": "2100-01-01T00:00:00Z"}, headers=DEVICE
    )
    await city.get("/v1/sensors/latest", params={"min_position": sent.json()["position"]})
    keyed = OPERATOR | {"idempotency-key": "again-1"}
    first = await city.post("/v1/rejected/1/resubmit", headers=keyed)
    before = dict(backend.sequences)
    again = await city.post("/v1/rejected/1/resubmit", headers=keyed)
    assert first.json() == again.json() == {"position": first.headers["bomnae-position"], "resubmitted": True}
    assert again.headers["idempotency-replayed"] == "true"
    assert backend.sequences == before
    other = await city.post("/v1/rejected/2/resubmit", headers=keyed)
    assert other.status_code == 422


@pytest.mark.parametrize("count", [1, 1500])
async def test_an_answer_names_a_thousand_refused_sensors_at_most(city, count):
    body = [reading("tilt-1", 1.0), *(reading(f"ghost-{number}", 1.0) for number in range(count))]
    answer = await city.post("/v1/readings", json=body, headers=DEVICE)
    assert len(answer.json()["refused"]) == min(count, 1000)


async def test_where_a_repeat_waits_for_is_no_part_of_what_it_asks(city):
    keyed = SAFETY | {"idempotency-key": "late"}
    path, body = "/v1/facilities/bridge-1/maintenance", {"reason": "a"}
    first = await city.post(path, json=body, headers=keyed)
    for query in ("", "?min_position=ZjAuMQ", "?min%5Fposition=ZjAuMQ"):
        again = await city.post(path + query, json=body, headers=keyed)
        assert (again.status_code, again.json()) == (200, first.json())
    assert (await city.post(f"{path}?other=1", json=body, headers=keyed)).status_code == 422


async def test_snow_on_all_roads_means_those_of_the_first_request(city):
    keyed, body = ROAD | {"idempotency-key": "snow"}, {"snow": "snow-1", "depth_cm": 3.0}
    first = await city.post("/v1/snow", json=body, headers=keyed)
    assert {event["road"] for event in first.json()["events"]} == {"alley", "jungang"}
    # Before the others by name, and between them.
    for road in ("a-new-road", "city-hall-ro"):
        facts = ROAD_FACTS | {"segments": [{"segment": f"{road}-1"}]}
        assert (await city.put(f"/v1/roads/{road}", json=facts, headers=ROAD)).status_code == 200
    again = await city.post("/v1/snow", json=body, headers=keyed)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert [one["road"] for one in (await city.get("/v1/snow-events")).json()["items"]] == ["alley", "jungang"]


async def test_a_measure_of_all_roads_means_those_that_the_snow_had_reached(city):
    await city.post("/v1/snow", json={"snow": "snow-1", "depth_cm": 3.0, "roads": ["jungang"]}, headers=ROAD)
    keyed, body = ROAD | {"idempotency-key": "deeper"}, {"action": "measure", "depth_cm": 9.0}
    first = await city.patch("/v1/snow/snow-1", json=body, headers=keyed)
    await city.post("/v1/snow", json={"snow": "snow-1", "depth_cm": 1.0, "roads": ["alley"]}, headers=ROAD)
    assert (await city.patch("/v1/snow/snow-1", json=body, headers=keyed)).json() == first.json()
    found = (await city.get("/v1/snow-events")).json()["items"]
    assert [(one["road"], one["depth_cm"]) for one in found] == [("alley", 1.0), ("jungang", 9.0)]


async def test_a_repeat_finishes_what_was_cut_short_for_the_same_roads(city, backend, monkeypatch):
    keyed, body = ROAD | {"idempotency-key": "snow"}, {"snow": "snow-1", "depth_cm": 3.0}

    async def cut_short(commands, *more):
        await MemoryBackend.submit(backend, commands[:1], *more)
        raise UnavailableError("the second shard is away")

    with monkeypatch.context() as patched:
        patched.setattr(backend, "submit", cut_short)
        assert (await city.post("/v1/snow", json=body, headers=keyed)).status_code == 503
    facts = ROAD_FACTS | {"segments": [{"segment": "a-new-road-1"}]}
    await city.put("/v1/roads/a-new-road", json=facts, headers=ROAD)
    events = (await city.post("/v1/snow", json=body, headers=keyed)).json()["events"]
    assert {event["road"] for event in events} == {"alley", "jungang"}
    assert len((await city.get("/v1/snow-events")).json()["items"]) == 2
