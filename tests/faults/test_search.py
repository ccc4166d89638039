"""SIGKILL of parts of the search during searches and ingest: nothing is lost or counts twice, answers stay exact."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest

from tests.cluster.missing import Missing, people
from tests.cluster.running import Running

pytestmark = [pytest.mark.cluster, pytest.mark.faults, pytest.mark.timeout(400)]

KINDS = {
    "search shard": (("ray::SearchActor",), 60.0),
    "replica": (("ray::ServeReplica:api",), 60.0),
    "owners": (("ray::ShardActor",), 60.0),
    "everything": (("raylet/raylet", "gcs_server", "ray::", "nats-server --config"), 150.0),
}
"""What dies, and the longest until a search is answered whole again, in seconds."""


class Traffic:
    """Sends and searches without a pause from two threads; `wrong` are answers that no fault excuses."""

    def __init__(self, missing: Missing) -> None:
        self.missing, self.wrong, self.searched, self.partial = missing, list[Any](), 0, 0
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._send), threading.Thread(target=self._search)]

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

    @contextmanager
    def running(self) -> Iterator["Traffic"]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join()


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
