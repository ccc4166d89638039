"""Ids are unique in the city as far as its state is known; where two came at once, nobody acts on the wrong one."""

from urllib.parse import parse_qs

import httpx
import pytest

from schemas.base import Command
from schemas.facility import RegisterSensor, SensorFacts
from schemas.road import PermitWork, RegisterRoad, RoadFacts
from streams.subjects import partition
from tests.unit.api.conftest import OPERATOR, ROAD, ROAD_FACTS, SAFETY, TILT, bearer, reading
from tests.unit.api.memory import COUNTS, MemoryBackend
from tests.unit.api.test_writes import WORK

SHELF = {"until": "2026-01-16T00:00:00Z", "reason": "x"}
ALLEY_WORK = WORK | {"road": "alley", "segments": ["alley-1"]}


def test_these_entities_live_in_different_shards():
    assert partition("bridge-1", COUNTS["facility"]) != partition("bridge-2", COUNTS["facility"])
    assert partition("jungang", COUNTS["road"]) != partition("alley", COUNTS["road"])


@pytest.mark.parametrize(
    ("method", "path", "body", "why"),
    [
        ("PUT", "/v1/facilities/bridge-2/sensors/tilt-1", TILT, "sensor 'tilt-1' belongs to facility 'bridge-1'"),
        (
            "PUT",
            "/v1/roads/alley",
            ROAD_FACTS | {"segments": [{"segment": "alley-2"}, {"segment": "jungang-2"}]},
            "segment 'jungang-2' belongs to road 'jungang'",
        ),
        ("POST", "/v1/works", ALLEY_WORK, "work 'work-1' belongs to road 'jungang'"),
    ],
)
async def test_an_id_that_another_shard_has_is_409(city, method, path, body, why):
    assert (await city.post("/v1/works", json=WORK, headers=ROAD)).status_code == 201
    answer = await city.request(method, path, json=body, headers=bearer("road", "safety"))
    assert answer.status_code == 409
    assert answer.json()["detail"] == f"{why}: choose another id"


async def at_once(backend: MemoryBackend, command: Command) -> None:
    """What a request leads to whose look into the state came too early."""
    await backend.submit([command], None, None)


@pytest.fixture
async def twins(city: httpx.AsyncClient, backend: MemoryBackend) -> httpx.AsyncClient:
    """The same ids of a sensor, a segment and a work in two shards each."""
    stamped = {"at": backend.now(), "by": "test"}
    facts = SensorFacts.model_validate(TILT)
    await at_once(backend, RegisterSensor(**stamped, facility="bridge-2", sensor="tilt-1", facts=facts))
    shared = RoadFacts.model_validate(ROAD_FACTS | {"segments": [{"segment": "jungang-1"}]})
    await at_once(backend, RegisterRoad(**stamped, road="alley", facts=shared))
    await at_once(backend, PermitWork(**stamped, **WORK))
    await at_once(backend, PermitWork(**stamped, **ALLEY_WORK))
    for bridge in ("bridge-1", "bridge-2"):
        sent = await city.post("/v1/readings", json=reading("tilt-1", 9.0), headers=bearer("device", facility=bridge))
        assert sent.status_code == 202
    await backend.settle()
    return city


@pytest.mark.parametrize(
    ("path", "kind", "owner", "found"),
    [
        ("/v1/alarms", "alarm", "facility", ["bridge-1", "bridge-2"]),
        ("/v1/sensors/latest", "sensor", "facility", ["bridge-1", "bridge-2", "bridge-1", "bridge-2"]),
        ("/v1/works", "work", "road", ["alley", "jungang"]),
    ],
)
async def test_pages_lose_none_of_two_with_the_same_id(twins, path, kind, owner, found):
    seen, following = [], None
    while True:
        asked = {"limit": 1} | ({"cursor": following} if following else {})
        page = (await twins.get(path, params=asked)).json()
        seen += [(one[kind], one[owner]) for one in page["items"]]
        if (following := page["next"]) is None:
            break
    assert [one for _, one in seen] == found
    assert seen == sorted(set(seen))


async def test_segments_are_paged_likewise(twins):
    first = (await twins.get("/v1/roads?limit=2")).json()
    rest = (await twins.get("/v1/roads", params={"cursor": first["next"]})).json()
    shown = [(one["id"], one["properties"]["road"]) for one in first["features"] + rest["features"]]
    assert shown == [("alley-1", "alley"), ("jungang-1", "alley"), ("jungang-1", "jungang"), ("jungang-2", "jungang")]


@pytest.mark.parametrize(
    ("method", "path", "body", "whose"),
    [
        ("POST", "/v1/alarms/tilt-1.high-danger.1/acknowledge", {}, "facility=bridge-2"),
        ("POST", "/v1/alarms/tilt-1.high-danger.1/shelve", SHELF, "facility=bridge-2"),
        ("POST", "/v1/alarms/tilt-1.high-danger.1/judge", {"verdict": "real"}, "facility=bridge-2"),
        ("PATCH", "/v1/works/work-1", {"action": "start"}, "road=alley"),
    ],
)
async def test_who_acts_on_one_of_two_says_which(twins, method, path, body, whose):
    may = bearer("road", "safety")
    unsaid = await twins.request(method, path, json=body, headers=may)
    assert unsaid.status_code == 409
    ((owner, (name,)),) = parse_qs(whose).items()
    assert f"say which with the parameter `{owner}`" in unsaid.json()["detail"]
    said = await twins.request(method, f"{path}?{whose}", json=body, headers=may)
    assert said.status_code == 200
    assert {event[owner] for event in said.json()["events"]} == {name}
    assert (await twins.request(method, f"{path}?{owner}=nowhere", json=body, headers=may)).status_code == 404


async def test_a_gateway_that_speaks_for_both_is_told(city, backend):
    stamped = {"at": backend.now(), "by": "test"}
    facts = SensorFacts.model_validate(TILT | {"gateway": "gate-1"})
    await at_once(backend, RegisterSensor(**stamped, facility="bridge-2", sensor="tilt-2", facts=facts))
    answer = await city.post("/v1/readings", json=reading("tilt-2", 1.0), headers=bearer("gateway", gateway="gate-1"))
    assert answer.status_code == 403
    assert "is a sensor of bridge-1 and bridge-2" in answer.json()["detail"]


async def test_what_is_registered_at_two_may_still_be_changed_at_both(twins):
    for bridge in ("bridge-1", "bridge-2"):
        changed = TILT | {"name_ko": bridge}
        answer = await twins.put(f"/v1/facilities/{bridge}/sensors/tilt-1", json=changed, headers=SAFETY)
        assert answer.status_code == 200
    assert (await twins.get("/v1/rejected", headers=OPERATOR)).json()["items"] == []
