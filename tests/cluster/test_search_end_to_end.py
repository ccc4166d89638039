"""Real embeddings and a real video go in over NATS; persons are found again, watched for, and forgotten.

The embeddings and the video are real and lie beside the project; cameras, places and times are synthetic.
"""

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import nats
import pyarrow as pa
import pytest

from serve.commands.replay import faces
from serve.pictures.cards import GALLERY_FACES
from serve.pictures.decode import frames
from streams import credentials
from streams.connectors import faces as gallery
from tests.cluster.running import Running
from tests.unit.pictures.shared import DETECTOR, ENCODER, FACES, VIDEO, needs_faces, needs_models, needs_video

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400), needs_faces, needs_models, needs_video]
STEP = 3
"""Of the video's frames."""
PRIVATE = ("sighting", "person", "case")


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A city with the networks given by path."""
    networks = {"BOMNAE_PERSON_DETECTOR": str(DETECTOR), "BOMNAE_PERSON_ENCODER": str(ENCODER)}
    networks |= {"BOMNAE_ENCODER_REPLICAS": "1"}
    running = Running(tmp_path_factory.mktemp("seeing") / "data", networks)
    running.start()
    yield running
    assert running.stop() == 0, running.said()


class Officer:
    """A case, opened by a case officer and authorised by police, and what is done in it."""

    def __init__(self, city: Running) -> None:
        self.city, self.officer = city, city.token("case-officer")
        facts = {
            "kind": "dementia",
            "authority": "TEST-2",
            "legal_ground": "실종아동등의 보호 및 지원에 관한 법률 제9조",
            "reason": "시험 · a test",
            "officer": "test-case-officer",
            "expires_at": (datetime.now(UTC) + timedelta(days=2)).isoformat(),
        }
        opened = city.api.post("/v1/cases", json=facts, headers=self.officer)
        assert opened.status_code == 201, opened.text
        self.url = opened.headers["location"]
        self.case = self.url.rpartition("/")[2]
        at = {"min_position": opened.json()["position"]}
        early = self.post("searches", embedding=[1.0] * 128, model=GALLERY_FACES)
        assert early.status_code in (404, 409), early.text
        assert city.api.post(f"{self.url}/authorise", json={}, headers=self.officer, params=at).status_code == 403
        allowed = city.api.post(f"{self.url}/authorise", json={}, headers=city.token("police"), params=at)
        assert allowed.status_code == 200, allowed.text
        self.position = allowed.json()["position"]

    def post(self, what: str, **body: Any) -> Any:
        params = {"min_position": self.position} if hasattr(self, "position") else {}
        return self.city.api.post(f"{self.url}/{what}", json=body, headers=self.officer, params=params)

    def get(self, what: str, **params: Any) -> Any:
        answer = self.city.api.get(
            f"{self.url}/{what}", headers=self.officer, params={"min_position": self.position, **params}
        )
        assert answer.status_code == 200, answer.text
        return answer

    def search(self, rows: int, **body: Any) -> Any:
        """The answer once so many rows stand behind it."""

        def found() -> Any:
            answer = self.post("searches", **body)
            if answer.status_code == 503 or "are known" in answer.text:
                return None  # the encoder is still starting, or nothing of the model has come yet
            assert answer.status_code == 201, answer.text
            said = answer.json()
            self.position = said["position"]
            return said if said["coverage"]["rows_scanned"] >= rows else None

        return self.city.until(found, 120)

    def ledger(self) -> list[dict[str, Any]]:
        path = f"{self.url}/ledger"
        answer = self.city.api.get(path, headers=self.city.token("auditor"), params={"limit": 1000})
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items


def person_of(candidate: dict[str, Any], persons: list[int]) -> int:
    return persons[int(candidate["sighting"].removeprefix("olivetti-"))]


def holds(folder: Path, wanted: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and wanted in path.read_bytes()]


async def test_a_person_is_found_by_another_photograph_watched_for_and_forgotten(seeing: Running) -> None:
    city, found = seeing, gallery.read(FACES)
    persons = found.persons.tolist()
    anonymous = await nats.connect(f"nats://127.0.0.1:{city.ports.nats}")
    app = await asyncio.to_thread(credentials.add, city.folder, "staff-app", "listener", ())
    staff = await nats.connect(f"nats://127.0.0.1:{city.ports.nats}", **app.options())
    public, inside = await anonymous.subscribe("city.pub.>"), await staff.subscribe("city.staff.>")
    await anonymous.flush()
    await staff.flush()
    await faces(city.settings, FACES, 1, None)
    officer = await asyncio.to_thread(Officer, city)

    wanted = 6
    held = max(row for row, person in enumerate(persons) if person == wanted)
    query = {"embedding": found.vectors[held].tolist(), "model": GALLERY_FACES}
    answer = await asyncio.to_thread(officer.search, 180, **query, limit=20)
    assert [person_of(one, persons) for one in answer["candidates"][:9]] == [wanted] * 9
    assert all(one["probability"] > 0.01 for one in answer["candidates"][:3])
    assert answer["coverage"]["shards"] == answer["coverage"]["shards_answered"] == 1
    assert answer["coverage"]["cameras"] >= len(gallery.CAMERAS)

    first, second, other = (answer["candidates"][place] for place in (0, 1, 12))
    for one in (first, second):
        said = officer.post(f"candidates/{one['candidate']}/confirm", reason="같은 사람 · the same person")
        assert said.status_code == 200, said.text
    said = officer.post(f"candidates/{other['candidate']}/dismiss", reason="다른 사람 · somebody else")
    assert said.status_code == 200, said.text
    await route_of(officer, {first["candidate"], second["candidate"]}, said.json()["position"])

    await watched(city, officer, query, held)
    kinds = [one["type"].split(".")[2] for one in officer.ledger()]
    assert kinds[:2] == ["case-opened", "case-authorised"]
    assert {"search-recorded", "candidate-confirmed", "candidate-dismissed", "watch-started", "watch-hit"} <= set(kinds)
    assert kinds[-1] == "view-recorded"

    await forgotten(city, officer, first, found)
    assert officer.post("searches", **query).status_code == 409

    told = [message.subject for listening in (public, inside) for message in drained(listening)]
    assert [subject for subject in told if subject.split(".")[2] in PRIVATE] == []
    await anonymous.close()
    await staff.close()


async def watched(city: Running, officer: Officer, query: dict[str, Any], held: int) -> None:
    """The photograph that was held out is seen now, and the officer hears of it."""
    name = f"officer-{officer.case[-6:]}"
    listener = await asyncio.to_thread(credentials.add, city.folder, "officer", name, (officer.case,))
    nc = await nats.connect(f"nats://127.0.0.1:{city.ports.nats}", **listener.options())
    hits = await nc.subscribe(f"city.case.{officer.case}.watch-hit")
    await nc.flush()
    watch = officer.post("watches", **query, min_probability=0.3)
    assert watch.status_code == 201, watch.text
    await asyncio.sleep(2)
    await faces(city.settings, FACES, 0, None)
    hit = json.loads((await hits.next_msg(30)).data)
    assert hit["candidate"]["sighting"] == f"olivetti-{held:03}"
    await nc.close()


async def forgotten(city: Running, officer: Officer, first: dict[str, Any], found: gallery.Gallery) -> None:
    """Close the case: afterwards no file holds what was confirmed, and receipts say so."""
    unit = found.vectors[int(first["sighting"].removeprefix("olivetti-"))]
    kept = await asyncio.to_thread(stored_embedding, city.folder, first["camera"], first["sighting"])
    assert abs(float(kept @ (unit / float((unit @ unit) ** 0.5))) - 1) < 1e-4
    assert holds(city.folder / "objects", kept.tobytes())
    closed = officer.post("close", outcome="found", reason="가족과 만남 · reunited with the family")
    assert closed.status_code == 200, closed.text
    await asyncio.to_thread(city.until, lambda: officer.ledger()[-2]["type"].endswith("case-erased.v1") or None, 60)
    receipt = next(one["data"] for one in officer.ledger() if one["type"].endswith("case-erased.v1"))
    assert receipt["objects"]
    assert receipt["erasures"]
    for erasure in receipt["erasures"]:
        told = await asyncio.to_thread(receipt_of, city, erasure)
        blocks = [block for one in told["receipts"] for block in one["data"]["blocks"]]
        assert blocks
        assert all(block["before"] != block["after"] for block in blocks)
    assert holds(city.folder, kept.tobytes()) == []


def receipt_of(city: Running, erasure: str) -> Any:
    """The receipt once all is gone: the ledger's `case-erased` names erasures that may be still under way."""

    def done() -> Any:
        said = city.api.get(f"/v1/erasures/{erasure}", headers=city.token("auditor")).json()
        return said if all(one["erased_at"] and one["rows"] for one in said["erasures"]) else None

    return city.until(done)


async def route_of(officer: Officer, confirmed: set[str], position: str) -> None:
    route = officer.get("route", likely=0.3, min_position=position).json()
    stops = [one for one in route["features"] if one["geometry"]["type"] == "Point"]
    assert confirmed <= {one["id"] for one in stops}
    assert [one["properties"]["time"] for one in stops] == sorted(one["properties"]["time"] for one in stops)
    assert route["reach"]["properties"]["method"] == "roads"
    assert officer.get("route", format="png").content.startswith(b"\x89PNG")


def stored_embedding(folder: Path, camera: str, sighting: str) -> Any:
    (row,) = [row for row in stored(folder, camera) if row["sighting_id"] == sighting]
    return row["embedding"].values.to_numpy()


def stored(folder: Path, camera: str) -> list[dict[str, Any]]:
    """The rows of a camera in the blocks, with embeddings as Arrow scalars."""
    rows = []
    for path in (folder / "objects" / "blocks").rglob("*.arrow"):
        with pa.ipc.open_file(path) as reader:
            table = reader.read_all()
        vectors = list(table["embedding"])
        for row, vector in zip(table.drop_columns(["embedding"]).to_pylist(), vectors, strict=True):
            rows.append({**row, "embedding": vector})
    return [row for row in rows if row["camera"] == camera]


def drained(subscription: Any) -> list[Any]:
    found = []
    while subscription.pending_msgs:
        found.append(subscription._pending_queue.get_nowait())
        subscription._pending_queue.task_done()
    return found


async def test_a_pedestrian_of_the_video_is_found_by_a_crop_of_another_frame(seeing: Running) -> None:
    city = seeing
    facts = {
        "name_ko": "거리 (가상 위치)",
        "name_en": "Street (synthetic position)",
        "position": {"lon": 127.7284, "lat": 37.8805, "synthetic": True},
        "synthetic": True,
    }
    put = city.api.put("/v1/cameras/vtest", json=facts, headers=city.token("operator"))
    assert put.status_code == 200, put.text
    start = datetime.now(UTC) - timedelta(minutes=5)
    await asyncio.to_thread(filmed, city, start)
    officer = await asyncio.to_thread(Officer, city)
    await asyncio.to_thread(city.until, lambda: stored(city.folder, "vtest"), 60)
    bodies = [row for row in stored(city.folder, "vtest") if row["model"].startswith("person-reidentification")]
    assert len(bodies) >= 20
    tallest = max(bodies, key=lambda row: (row["quality"], row["box"][3]))
    photo = await asyncio.to_thread(crop_of, tallest, start)
    answer = await asyncio.to_thread(officer.search, len(bodies), photos=[photo], cameras=["vtest"], limit=10)
    assert answer["persons_on_photos"] == [1]
    assert tallest["sighting_id"] in [one["sighting"] for one in answer["candidates"][:5]]
    picture = officer.get(f"pictures/{answer['candidates'][0]['candidate']}")
    assert picture.content.startswith(b"\xff\xd8")
    large = city.api.post("/v1/encodings", content=bytes(15_000_000), headers=city.token("gateway", gateway="north"))
    assert (large.status_code, "neither JPEG nor PNG" in large.text) == (422, True)


def filmed(city: Running, start: datetime) -> None:
    """As an operator does it, in a process of its own."""
    bomnae = Path(sys.executable).with_name("bomnae")
    options = ["--camera", "vtest", "--video", VIDEO, "--start", start.isoformat(), "--step", str(STEP)]
    subprocess.run([bomnae, "cameras", *options], env={**os.environ, **city.environment}, check=True, timeout=240)


def crop_of(row: dict[str, Any], start: datetime) -> str:
    """The same pedestrian some frames later, a little wider than the box then: base64 of a JPEG."""
    at = round((row["time"] - start).total_seconds() * 1e6)
    x, y, width, height = row["box"]
    pixels = next(frame.pixels for frame in frames(VIDEO, 1) if frame.at_us > at + 250_000)
    left, top = max(0, x - width // 6), max(0, y - height // 12)
    good, data = cv2.imencode(".jpg", pixels[top : y + height + height // 12, left : x + width + width // 6])
    assert good
    return base64.b64encode(data.tobytes()).decode()
