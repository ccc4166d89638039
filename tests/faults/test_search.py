"""SIGKILL of parts of the search during searches and ingest: nothing is lost or counts twice, answers stay exact."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

import httpx
import numpy as np
import pytest

from schemas.person import WatchHit
from schemas.settings import Settings
from streams.subjects import partition
from tests.cluster.missing import MODEL, Missing, people
from tests.cluster.running import Running

pytestmark = [pytest.mark.cluster, pytest.mark.faults, pytest.mark.timeout(400)]

KINDS = {
    "search shard": (("ray::SearchActor",), 60.0),
    "replica": (("ray::ServeReplica:api",), 60.0),
    "owners": (("ray::ShardActor",), 60.0),
    "everything": (("raylet/raylet", "gcs_server", "ray::", "nats-server --config"), 150.0),
}
"""What dies, and the longest until a search is answered whole again, in seconds."""


class Beside:
    """Does something in threads of its own, until what it is `running` beside ends."""

    def __init__(self, *acts: Callable[[], None]) -> None:
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=act) for act in acts]

    @contextmanager
    def running(self) -> Iterator[Self]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join()


class Traffic(Beside):
    """Sends and searches without a pause from two threads; `wrong` are answers that no fault excuses."""

    def __init__(self, missing: Missing) -> None:
        self.missing, self.wrong, self.searched, self.partial = missing, list[Any](), 0, 0
        super().__init__(self._send, self._search)

    def _send(self) -> None:
        seed = 1000
        while not self._ended.is_set():
            self.missing.see(people(3, seed), seed % 4)
            seed += 1

    def _search(self) -> None:
        query = people(1, 5)[0]
        while not self._ended.is_set():
            sure = dict(self.missing.seen)
            with suppress(httpx.HTTPError):
                answer = self.missing.search(query, 20)
                if answer.status_code == 201:
                    self._judge(answer.json(), len(sure))

    def _judge(self, answer: dict[str, Any], sure: int) -> None:
        self.searched += 1
        names = [one["sighting"] for one in answer["candidates"]]
        coverage = answer["coverage"]
        self.partial += coverage["shards_answered"] < coverage["shards"]
        if len(set(names)) != len(names) or coverage["rows_scanned"] > coverage["rows_permitted"]:
            self.wrong.append(answer)
        if not names and sure > 100 and coverage["shards_answered"] == coverage["shards"]:
            self.wrong.append(answer)


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_kill_answers_equal_a_brute_force_over_what_was_acknowledged(city: Running, kind: str) -> None:
    names, longest_s = KINDS[kind]
    missing = Missing(city, f"kill-{kind.replace(' ', '-')}")
    missing.see(people(200, 1))
    city.until(lambda: len(missing.found(people(1, 5)[0], 20)) == 20)
    with Traffic(missing).running() as traffic:
        for _ in range(2):
            time.sleep(1)
            city.kill(*names)
            before = traffic.searched
            city.until(lambda before=before: traffic.searched > before + 3, longest_s)
    assert traffic.wrong == []
    assert len(missing.seen) > 200
    queries = people(5, 77)
    for query in queries:
        city.until(lambda query=query: missing.found(query, 20) == missing.best(query, 20))
    coverage = missing.search(queries[0]).json()["coverage"]
    assert coverage["rows_permitted"] == coverage["rows_scanned"] == len(missing.seen)
    assert coverage["shards_answered"] == coverage["shards"]


@pytest.fixture(scope="module")
def divided(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A city whose search has two shards, one copy each."""
    running = Running(tmp_path_factory.mktemp("divided") / "data", {"BOMNAE_SEARCH_SHARDS": "2"})
    running.start()
    yield running
    assert running.stop() == 0, running.said()


class Watched(Beside):
    """Somebody is watched for, and seen again and again at every camera while searches go on; see `Traffic`."""

    def __init__(self, missing: Missing) -> None:
        self.missing, self.person = missing, people(1, 7)[0]
        self.expected, self.whole, self.partial, self.wrong = set[str](), 0, 0, list[Any]()
        body = {"embedding": self.person.tolist(), "model": MODEL, "min_probability": 0.9}
        url = f"/v1/cases/{missing.case}/watches"
        answer = missing.city.api.post(url, json=body, headers=missing.police)
        assert answer.status_code == 201, answer.text
        super().__init__(self._send, self._search)

    def _send(self) -> None:
        seed = 5000
        while not self._ended.is_set():
            (hit, *_) = self.missing.see(np.vstack([self.person, people(2, seed)]), seed % len(self.missing.cameras))
            self.expected.add(hit)
            seed += 1

    def _search(self) -> None:
        while not self._ended.is_set():
            with suppress(httpx.HTTPError):
                answer = self.missing.search(people(1, 5)[0], 40)
                if answer.status_code == 201:
                    self._judge(answer.json())

    def _judge(self, answer: dict[str, Any]) -> None:
        coverage = answer["coverage"]
        shards = {shard_of(one["camera"]) for one in answer["candidates"]}
        if coverage["shards_answered"] == 2:
            self.whole += 1
            right = shards == {0, 1}
        else:
            self.partial += 1
            right = coverage["shards_answered"] == 1 and len(shards) == 1 and not coverage["complete"]
            right = right and coverage["hours_missing"] > 0 and coverage["cameras"] == len(self.missing.cameras)
        if not right:
            self.wrong.append(answer)

    def hits(self) -> list[str]:
        """What the ledger says, in its order."""
        found, cursor, url = list[str](), "", f"/v1/cases/{self.missing.case}/ledger"
        while cursor is not None:
            params = {"limit": "1000"} | ({"cursor": cursor} if cursor else {})
            answer = self.missing.city.api.get(url, params=params, headers=self.missing.police)
            if answer.status_code >= 500:
                raise httpx.HTTPError(answer.text)
            page = answer.json()
            hits = [one["data"]["candidate"]["sighting"] for one in page["items"] if one["type"] == WatchHit.type]
            found, cursor = found + hits, page["next"]
        return found


def told_all(watched: Watched) -> list[str] | None:
    """The hits, once every sighting of the person is among them."""
    hits = watched.hits()
    return hits if set(hits) >= watched.expected else None


def shard_of(camera: str) -> int:
    return partition(camera, Settings().sighting_shards) % 2


def test_a_killed_shard_makes_answers_that_say_so_and_no_hit_is_lost_or_told_twice(divided: Running) -> None:
    missing = Missing(divided, "divided", cameras=8)
    assert {shard_of(camera) for camera in missing.cameras} == {0, 1}
    for camera in range(8):
        missing.see(people(10, 100 + camera), camera)
    divided.until(lambda: missing.found(people(1, 5)[0], 100) == missing.best(people(1, 5)[0], 100))
    with Watched(missing).running() as watched:
        divided.until(lambda: watched.whole > 2)
        for turn in range(4):
            partial, whole = watched.partial, watched.whole
            divided.until(lambda: len(divided.descendants("ray::SearchActor")) == 2)
            sorted(divided.descendants("ray::SearchActor"), key=lambda one: one.pid)[turn % 2].kill()
            divided.until(lambda partial=partial: watched.partial > partial)
            divided.until(lambda whole=whole: watched.whole > whole)
        divided.kill("ray::ShardActor")
        before = len(watched.expected)
        divided.until(lambda: len(watched.expected) > before + 3)
    assert watched.wrong == []
    assert len(watched.expected) > 10
    hits = divided.until(lambda: told_all(watched))
    assert sorted(hits) == sorted(watched.expected)
