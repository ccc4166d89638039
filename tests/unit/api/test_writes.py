"""Writes: commands from the edge to the log and back, once per Idempotency-Key."""

import orjson
import pytest

from tests.unit.api.conftest import BRIDGE, OPERATOR, ROAD, SAFETY, TILT, bearer, reading

WORK = {
    "work": "work-1",
    "road": "jungang",
    "title_ko": "상수도관 교체",
    "operator": "Waterworks",
    "segments": ["jungang-1"],
    "window": {"start": "2026-01-15T00:00:00Z", "end": "2026-01-16T00:00:00Z"},
    "impact": "all-lanes-closed",
}
DEVICE = bearer("device", facility="bridge-1")


async def test_a_write_answers_with_a_position_that_a_read_can_wait_for(city):
    answer = await city.post("/v1/facilities/bridge-1/maintenance", json={"reason": "점검"}, headers=SAFETY)
    assert [one["type"] for one in answer.json()["events"]] == ["city.facility.maintenance-begun.v1"]
    assert answer.headers["bomnae-position"] == answer.json()["position"]
    state = await city.get("/v1/facilities/bridge-1", params={"min_position": answer.json()["position"]})
    assert state.json()["maintenance"] is True
    ended = await city.delete("/v1/facilities/bridge-1/maintenance", headers=SAFETY)
    assert ended.status_code == 200
    assert (await city.get("/v1/facilities/bridge-1")).json()["maintenance"] is False


async def test_the_same_facts_again_change_nothing(city):
    again = await city.put("/v1/facilities/bridge-1", json=BRIDGE, headers=SAFETY)
    assert (again.status_code, again.json()["events"]) == (200, [])


@pytest.mark.parametrize(
    ("part", "body", "event"),
    [
        ("thresholds", {"limits": TILT["limits"][:0]}, "thresholds-changed"),
        ("calibration", {"gain": 1.1, "offset": -0.2}, "sensor-calibrated"),
        ("replacement", {"serial": "TLT-2"}, "sensor-replaced"),
    ],
)
async def test_a_sensor_is_configured_by_commands(city, part, body, event):
    path = f"/v1/facilities/bridge-1/sensors/tilt-1/{part}"
    answer = await city.put(path, json=body, headers=SAFETY)
    assert [one["type"] for one in answer.json()["events"]] == [f"city.facility.{event}.v1"]
    missing = await city.put(path.replace("tilt-1", "tilt-99"), json=body, headers=SAFETY)
    assert missing.status_code == 404


async def test_a_repeat_with_the_key_gives_the_first_answer(city):
    keyed = SAFETY | {"idempotency-key": "maintenance-17"}
    path = "/v1/facilities/bridge-1/maintenance"
    first = await city.post(path, json={"reason": "점검"}, headers=keyed)
    await city.delete(path, headers=SAFETY)
    again = await city.post(path, json={"reason": "점검"}, headers=keyed)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert (await city.get("/v1/facilities/bridge-1")).json()["maintenance"] is False


async def test_the_key_with_another_request_is_422_and_another_principals_is_its_own(city):
    keyed = {"idempotency-key": "k"}
    path = "/v1/facilities/bridge-1/maintenance"
    assert (await city.post(path, json={"reason": "a"}, headers=SAFETY | keyed)).status_code == 200
    other = await city.post(path, json={"reason": "b"}, headers=SAFETY | keyed)
    assert other.status_code == 422
    assert other.json()["type"] == "urn:bomnae:problem:idempotency-key-reused"
    lee = await city.post(path, json={"reason": "b"}, headers=bearer("safety", subject="lee") | keyed)
    assert lee.status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 256, "한글".encode(), b"tab\there"])
async def test_a_key_that_is_not_printable_ascii_is_refused(city, key):
    answer = await city.delete("/v1/facilities/bridge-1/maintenance", headers={**SAFETY, "idempotency-key": key})
    assert answer.status_code == 422


async def test_an_alarm_is_acknowledged_shelved_unshelved_and_cleared(city):
    alarm = "/v1/alarms/tilt-1.high-danger.1"
    sent = await city.post("/v1/readings", json=reading("tilt-1", 6.0), headers=DEVICE)
    await city.get("/v1/alarms", params={"min_position": sent.json()["position"]})
    assert (await city.post(f"{alarm}/clear", headers=SAFETY)).status_code == 409
    shelving = {"until": "2026-01-15T12:00:00+09:00", "reason": "sensor under inspection"}
    assert (await city.post(f"{alarm}/shelve", json=shelving, headers=SAFETY)).status_code == 422, "in the past"
    shelving["until"] = "2026-01-16T12:00:00+09:00"
    assert (await city.post(f"{alarm}/shelve", json=shelving, headers=SAFETY)).status_code == 200
    assert (await city.get("/v1/facilities/bridge-1")).json()["risk"] == "normal"
    assert (await city.post(f"{alarm}/unshelve", headers=SAFETY)).status_code == 200
    assert (await city.get("/v1/facilities/bridge-1")).json()["risk"] == "danger"
    acknowledged = await city.post(f"{alarm}/acknowledge", json={"note": "seen"}, headers=SAFETY)
    assert acknowledged.json()["events"][0]["type"] == "city.facility.alarm-acknowledged.v1"
    back = reading("tilt-1", 1.0, 2) | {"time": "2026-01-15T03:00:01Z"}
    sent = await city.post("/v1/readings", json=back, headers=DEVICE)
    gone = await city.get("/v1/alarms", params={"min_position": sent.json()["position"]})
    assert gone.json()["items"] == []
    again = await city.post(f"{alarm}/acknowledge", headers=SAFETY)
    assert (again.status_code, again.json()["events"]) == (200, [])
    assert (await city.post("/v1/alarms/ghost.high-danger.1/clear", headers=SAFETY)).status_code == 404


async def test_an_alarm_is_judged_on_the_list_and_after_it_and_citizens_hear_the_verdict_alone(city):
    alarm, verdict = "/v1/alarms/tilt-1.high-danger.1", {"verdict": "real"}
    assert (await city.post(f"{alarm}/judge", json=verdict, headers=SAFETY)).status_code == 404, "not raised yet"
    await city.post("/v1/readings", json=reading("tilt-1", 6.0), headers=DEVICE)
    judged = await city.post(f"{alarm}/judge", json=verdict, headers=SAFETY)
    assert [one["type"] for one in judged.json()["events"]] == ["city.facility.alarm-judged.v1"]
    (listed,) = (await city.get("/v1/alarms", params={"min_position": judged.json()["position"]})).json()["items"]
    assert (listed["verdict"], listed["state"]) == ("real", "active")
    again = await city.post(f"{alarm}/judge", json=verdict, headers=SAFETY)
    assert (again.status_code, again.json()["events"]) == (200, [])
    await city.post(f"{alarm}/acknowledge", headers=SAFETY)
    back = reading("tilt-1", 1.0, 2) | {"time": "2026-01-15T03:00:01Z"}
    await city.post("/v1/readings", json=back, headers=DEVICE)
    later = {"verdict": "false", "note": "inspection vehicle"}
    judged = await city.post(f"{alarm}/judge", json=later, headers=SAFETY)
    (event,) = judged.json()["events"]
    assert (event["verdict"], event["by"], event["note"]) == ("false", "kim", "inspection vehicle")
    told = (await city.get("/v1/facilities/bridge-1/history")).json()["items"][-1]
    assert told["type"] == "city.facility.alarm-judged.v1"
    assert set(told["data"]) == {"at", "facility", "alarm", "sensor", "verdict"}


@pytest.mark.parametrize("body", [{}, {"verdict": "perhaps"}, {"verdict": "false", "why": "x"}, {"verdict": False}])
async def test_a_verdict_that_is_neither_real_nor_false_is_refused(city, body):
    answer = await city.post("/v1/alarms/tilt-1.high-danger.1/judge", json=body, headers=SAFETY)
    assert answer.status_code == 422


async def test_a_work_is_permitted_started_extended_and_finished(city):
    permitted = await city.post("/v1/works", json=WORK, headers=ROAD)
    assert permitted.status_code == 201
    position = permitted.json()["position"]
    started = await city.patch(
        "/v1/works/work-1", json={"action": "start"}, params={"min_position": position}, headers=ROAD
    )
    assert started.status_code == 200
    closed = (await city.get("/v1/roads?status=closed")).json()["features"]
    assert [one["id"] for one in closed] == ["jungang-1"]
    extension = {"action": "extend", "until": "2026-01-17T00:00:00Z", "reason": "rock"}
    assert (await city.patch("/v1/works/work-1", json=extension, headers=ROAD)).status_code == 200
    shorter = extension | {"until": "2026-01-15T00:00:01Z"}
    assert (await city.patch("/v1/works/work-1", json=shorter, headers=ROAD)).status_code == 409
    cancel = {"action": "cancel", "reason": "no"}
    assert (await city.patch("/v1/works/work-1", json=cancel, headers=ROAD)).status_code == 409
    assert (await city.patch("/v1/works/work-1", json={"action": "finish"}, headers=ROAD)).status_code == 200
    work = (await city.get("/v1/works?state=finished", headers=ROAD)).json()["items"][0]
    assert (work["extensions"], work["operator"]) == (1, "Waterworks")
    assert "operator" not in (await city.get("/v1/works")).json()["items"][0]
    assert (await city.get("/v1/roads?status=closed")).json()["features"] == []
    assert (await city.patch("/v1/works/ghost", json={"action": "start"}, headers=ROAD)).status_code == 404
    assert (await city.patch("/v1/works/work-1", json={"action": "dig"}, headers=ROAD)).status_code == 422


async def test_works_are_found_by_the_moment_at_which_they_are_there(city):
    await city.post("/v1/works", json=WORK, headers=ROAD)

    async def there(moment: str) -> list[str]:
        found = await city.get("/v1/works", params={"active_at": moment, "road": "jungang"})
        return [one["work"] for one in found.json()["items"]]

    assert await there("2026-01-15T12:00:00Z") == ["work-1"]
    assert await there("2026-01-16T00:00:00Z") == []
    assert await there("2026-01-14T23:59:59Z") == []
    await city.patch("/v1/works/work-1", json={"action": "start"}, headers=ROAD)
    assert await there("2026-01-20T00:00:00Z") == ["work-1"], "started and not finished: still there"


async def test_snow_reaches_all_roads_or_those_named_and_a_repeat_changes_nothing(city):
    one = {"snow": "snow-1", "depth_cm": 3.0, "roads": ["alley"]}
    assert len((await city.post("/v1/snow", json=one, headers=ROAD)).json()["events"]) > 0
    everywhere = {"snow": "snow-1", "depth_cm": 3.0}
    first = await city.post("/v1/snow", json=everywhere, headers=ROAD)
    assert {event["road"] for event in first.json()["events"]} == {"jungang"}
    assert (await city.post("/v1/snow", json=everywhere, headers=ROAD)).json()["events"] == []
    deeper = {"action": "measure", "depth_cm": 6.5}
    assert (await city.patch("/v1/snow/snow-1", json=deeper, headers=ROAD)).status_code == 200
    events = (await city.get("/v1/snow-events?snow=snow-1")).json()["items"]
    assert [(event["road"], event["depth_cm"]) for event in events] == [("alley", 6.5), ("jungang", 6.5)]
    assert (await city.patch("/v1/snow/snow-1", json={"action": "end"}, headers=ROAD)).status_code == 200
    events = (await city.get("/v1/snow-events")).json()["items"]
    assert all(event["ended_at"] is not None for event in events)
    unknown = {"snow": "snow-2", "depth_cm": 1, "roads": ["ghost"]}
    assert (await city.post("/v1/snow", json=unknown, headers=ROAD)).status_code == 404
    assert (await city.patch("/v1/snow/ghost", json={"action": "end"}, headers=ROAD)).status_code == 404


async def test_refused_input_is_listed_and_sent_again(city, backend):
    late = reading("tilt-1", 1.0) | {"time": "2027-01-01T00:00:00Z"}
    assert (await city.post("/v1/readings", json=late, headers=DEVICE)).status_code == 202
    await backend.settle()
    listed = (await city.get("/v1/rejected", headers=OPERATOR)).json()
    assert len(listed["items"]) == 1
    assert listed["items"][0]["entity"] == "bridge-1"
    assert "after their arrival" in listed["items"][0]["reason"]
    sequence = listed["items"][0]["sequence"]
    again = await city.post(f"/v1/rejected/{sequence}/resubmit", headers=OPERATOR)
    assert (again.status_code, again.json()) == (202, again.json() | {"resubmitted": True})


async def test_readings_sent_before_their_sensor_was_registered_count_once_they_are_sent_again(city, backend):
    early = [reading("tilt-9", 1.5, k) for k in range(100)]
    await backend.ingest("city.raw.facility.bridge-1.readings", {}, orjson.dumps(early))
    await backend.settle()
    (refused,) = (await city.get("/v1/rejected", headers=OPERATOR)).json()["items"]
    assert "not registered" in refused["reason"]
    await city.put("/v1/facilities/bridge-1/sensors/tilt-9", json=TILT, headers=SAFETY)
    path = f"/v1/rejected/{refused['sequence']}/resubmit"

    async def sent_again():
        position = (await city.post(path, headers=OPERATOR)).json()["position"]
        found = await city.get("/v1/sensors/latest?facility=bridge-1", params={"min_position": position})
        return next(one for one in found.json()["items"] if one["sensor"] == "tilt-9")

    newer = [reading("tilt-9", 2.5, k) for k in range(100, 120)]
    await city.post("/v1/readings", json=newer, headers=DEVICE)
    # Those of the 64 up to 119 still count, 100 to 119 did: it is 56 to 99 that are left of the window.
    sensor = await sent_again()
    assert (sensor["count"], sensor["late"], sensor["duplicates"]) == (64, 44, 56)
    sensor = await sent_again()
    assert (sensor["count"], sensor["duplicates"]) == (64, 156)
    reasons = [one["reason"] for one in (await city.get("/v1/rejected", headers=OPERATOR)).json()["items"]]
    assert [reason.partition(" readings")[0] for reason in reasons] == ["100 of 100", "56 of 100", "56 of 100"]
    assert all("64 sequences further" in reason for reason in reasons[1:])
