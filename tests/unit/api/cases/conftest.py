"""Officers, an authorised case, and what the cameras of a city in memory saw."""

import base64
from datetime import timedelta

import numpy as np
import pytest

from schemas.person import Candidate
from serve.auth import Principal, mint
from tests.unit.api.conftest import OPERATOR, SECRET, bearer
from tests.unit.api.memory import START
from tests.unit.api.searching import MODEL, Seen
from tests.unit.jpegs import jpeg

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


def later(backend):
    token = mint(SECRET, Principal("kim", frozenset({"case-officer"})), backend.now(), timedelta(hours=1))
    return {"authorization": f"Bearer {token}"}
