"""Sightings and cases over HTTP, for tests of a running city. All of it is synthetic."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from schemas.base import micros
from tests.cluster.running import Running

MODEL, D = "test-model", 32
GATEWAY = "north"


def people(count: int, seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    found = np.random.default_rng(seed).standard_normal((count, D)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


class Missing:
    """Cameras of one gateway, what they saw, and one case; `seen` are all acknowledged sightings by id."""

    def __init__(self, city: Running, name: str, cameras: int = 4) -> None:
        self.city, self.cameras = city, [f"{name}-{number}" for number in range(cameras)]
        self.seen: dict[str, np.ndarray[Any, np.dtype[np.float32]]] = {}
        self.police, self.gateway = city.token("police"), city.token("gateway", gateway=GATEWAY)
        self._numbers = itertools.count()
        position = {"lat": 37.88, "lon": 127.73, "synthetic": True}
        self.position = ""
        for camera in self.cameras:
            facts = {"name_ko": camera, "name_en": camera, "position": position, "gateway": GATEWAY, "synthetic": True}
            answer = city.api.put(f"/v1/cameras/{camera}", json=facts, headers=city.token("operator"))
            assert answer.status_code == 200, answer.text
            self.position = answer.json()["position"]
        self.case = self._open()

    def _open(self) -> str:
        facts = {
            "kind": "dementia",
            "authority": "TEST-1",
            "legal_ground": "act on missing persons",
            "reason": "a test",
            "officer": "test-police",
            "expires_at": (datetime.now(UTC) + timedelta(days=2)).isoformat(),
        }
        answer = self.city.api.post("/v1/cases", json=facts, headers=self.police)
        assert answer.status_code == 201, answer.text
        case = answer.headers["location"].rsplit("/", 1)[1]
        params = {"min_position": answer.json()["position"]}
        answer = self.city.api.post(
            f"/v1/cases/{case}/authorise", json={"sole": True}, headers=self.police, params=params
        )
        assert answer.status_code == 200, answer.text
        self.authorised = answer.json()["position"]
        return case

    def see(self, rows: np.ndarray[Any, np.dtype[np.float32]], camera: int = 0) -> list[str]:
        """Send sightings again and again until they are acknowledged; their ids."""
        name = self.cameras[camera]
        ids = [f"{name}:{next(self._numbers)}" for _ in rows]
        at = datetime.now(UTC) - timedelta(seconds=2)
        assert micros(at)
        body = [
            {
                "sighting_id": one,
                "camera": name,
                "time": at.isoformat(),
                "model": MODEL,
                "embedding": row.tolist(),
                "quality": 0.9,
            }
            for one, row in zip(ids, rows, strict=True)
        ]

        def sent() -> bool:
            params = {"min_position": self.position}
            answer = self.city.api.post("/v1/sightings", json=body, headers=self.gateway, params=params)
            return answer.status_code == 202 and answer.json()["accepted"] == len(rows)

        self.city.until(sent)
        self.seen |= dict(zip(ids, rows, strict=True))
        return ids

    def search(self, row: np.ndarray[Any, np.dtype[np.float32]], limit: int = 10) -> Any:
        """The answer, whatever it is."""
        body = {"embedding": row.tolist(), "model": MODEL, "limit": limit, "cameras": self.cameras}
        return self.city.api.post(
            f"/v1/cases/{self.case}/searches",
            json=body,
            headers=self.police,
            params={"min_position": self.authorised},
        )

    def found(self, row: np.ndarray[Any, np.dtype[np.float32]], limit: int = 10) -> list[str]:
        answer = self.search(row, limit)
        return [one["sighting"] for one in answer.json()["candidates"]] if answer.status_code == 201 else []

    def best(self, row: np.ndarray[Any, np.dtype[np.float32]], limit: int = 10) -> list[str]:
        """What a brute force finds among everything that was acknowledged."""
        query = row.astype(np.float16).astype(np.float64)
        near = [(-float(one.astype(np.float16).astype(np.float64) @ query), name) for name, one in self.seen.items()]
        return [name for _, name in sorted(near)[:limit]]
