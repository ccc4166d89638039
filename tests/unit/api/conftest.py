"""An app over a city in memory, and clients with each role."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from serve.app import Config, create_app
from serve.auth import Principal, Verifier, mint
from tests.unit.api.memory import START, MemoryBackend
from tests.unit.catalogue.service.declared import ROWS, here, stops

SECRET = b"a secret that only these tests know"

Headers = dict[str, str]


def bearer(*roles: str, facility: str | None = None, gateway: str | None = None, subject: str = "kim") -> Headers:
    principal = Principal(subject, frozenset(roles), facility, gateway)
    return {"authorization": f"Bearer {mint(SECRET, principal, START, timedelta(hours=1))}"}


@pytest.fixture
async def backend() -> MemoryBackend:
    return await MemoryBackend().start()


@pytest.fixture
def make_app(backend: MemoryBackend) -> Callable[..., FastAPI]:
    def make(config: Config | None = None) -> FastAPI:
        return create_app(backend, Verifier(SECRET), config)

    return make


@pytest.fixture
async def client(make_app: Callable[..., FastAPI]) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(make_app(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://city") as made:
        yield made


SAFETY, ROAD, OPERATOR = bearer("safety"), bearer("road"), bearer("operator")
BRIDGE = {"name_ko": "소양1교", "name_en": "Soyang Bridge 1", "kind": "bridge", "grade": "C", "synthetic": True}
TILT = {
    "kind": "tilt",
    "unit": "mm/m",
    "synthetic": True,
    "limits": [{"condition": "high", "level": "danger", "on": 5.0, "off": 4.0}],
}
ROAD_FACTS = {
    "name_ko": "중앙로",
    "name_en": "Jungang-ro",
    "rank": "105",
    "segments": [
        {"segment": "jungang-1", "length_m": 120.5, "line": [[127.73, 37.88], [127.74, 37.88]]},
        {"segment": "jungang-2"},
    ],
    "synthetic": True,
}


@pytest.fixture
async def city(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client of a city with two bridges, three sensors and two roads."""
    for bridge in ("bridge-1", "bridge-2"):
        assert (await client.put(f"/v1/facilities/{bridge}", json=BRIDGE, headers=SAFETY)).status_code == 200
    for bridge, sensor in (("bridge-1", "tilt-1"), ("bridge-1", "tilt-2"), ("bridge-2", "tilt-3")):
        body = TILT | ({"gateway": "gate-1"} if sensor != "tilt-1" else {})
        path = f"/v1/facilities/{bridge}/sensors/{sensor}"
        assert (await client.put(path, json=body, headers=SAFETY)).status_code == 200
    assert (await client.put("/v1/roads/jungang", json=ROAD_FACTS, headers=ROAD)).status_code == 200
    alley = ROAD_FACTS | {"rank": "108", "segments": [{"segment": "alley-1"}]}
    assert (await client.put("/v1/roads/alley", json=alley, headers=ROAD)).status_code == 200
    return client


def reading(sensor: str, value: float, sequence: int = 1, **more: object) -> dict[str, object]:
    return {"sensor": sensor, "time": "2026-01-15T03:00:00Z", "value": value, "sequence": sequence, **more}


@pytest.fixture
def read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes for datasets is read in this process."""
    monkeypatch.setattr("serve.catalogue.refreshing.taken", here)


@pytest.fixture
async def filled(client: httpx.AsyncClient, read_here: None) -> httpx.AsyncClient:
    """A client of a catalogue with four bus stops."""
    said = stops().model_dump(mode="json")
    assert (await client.put("/v1/datasets/stops", json=said, headers=OPERATOR)).status_code == 200
    headers = OPERATOR | {"content-type": "text/csv"}
    assert (await client.post("/v1/datasets/stops/rows", content=ROWS.encode(), headers=headers)).status_code == 201
    return client
