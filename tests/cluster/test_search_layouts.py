"""More search shards, for a city that runs and for one that starts again: the same answers, no search that fails."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.missing import Missing, people
from tests.cluster.running import Running

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(500)]

ADD = """
import sys, time, ray
from schemas.settings import Settings
from serve.search import hosting
settings = Settings()
ray.init(address=sys.argv[1], namespace=settings.ray_namespace, log_to_driver=False)
hosting.ensure_search(settings)
retirement = hosting.Retirement(settings, grace_s=3)
while not retirement.look():
    time.sleep(0.5)
"""
"""As the keeper of a cluster does it when its settings name another number of shards."""


@contextmanager
def searching(missing: Missing) -> Iterator[list[str]]:
    """Searches without a pause; what fails, or is not the whole answer, is listed."""
    wrong, ended, query = list[str](), threading.Event(), people(1, 50)[0]
    best = missing.best(query)

    def search() -> None:
        while not ended.is_set():
            answer = missing.search(query)
            if answer.status_code != 201:
                wrong.append(answer.text)
            elif [one["sighting"] for one in answer.json()["candidates"]] != best:
                wrong.append(str(answer.json()["coverage"]))

    thread = threading.Thread(target=search)
    thread.start()
    try:
        yield wrong
    finally:
        ended.set()
        thread.join()


def test_another_number_of_search_shards_and_copies_gives_the_same_answers(tmp_path: Path) -> None:
    running = Running(tmp_path / "data")
    running.start()
    try:
        missing = Missing(running, "layout")
        for camera in range(4):
            missing.see(people(20, camera), camera)
        queries = people(3, 50)
        running.until(lambda: missing.found(queries[0]) == missing.best(queries[0]))
        home = running.folder / "search"
        add_shards(running, missing, 3)
        running.until(lambda: {one.name for one in home.iterdir()} == {f"search-3-{number}-0" for number in range(3)})
    finally:
        assert running.stop() == 0

    running.environment |= {"BOMNAE_SEARCH_SHARDS": "2", "BOMNAE_SEARCH_COPIES": "2"}
    running.start()
    try:
        with searching(missing) as wrong:
            for query in queries:
                running.until(lambda query=query: missing.found(query) == missing.best(query))
            assert missing.found(queries[0], 100) == missing.best(queries[0], 100)
            wanted = {f"search-2-{number}-{copy}" for number in range(2) for copy in range(2)}
            running.until(lambda: {one.name for one in home.iterdir()} == wanted)
            running.until(lambda: shards_of(missing) == 2)
        assert wrong == []
    finally:
        assert running.stop() == 0


def shards_of(missing: Missing) -> int:
    """How many are asked; 0 where there is no answer."""
    answer = missing.search(people(1, 50)[0])
    return int(answer.json()["coverage"]["shards"]) if answer.status_code == 201 else 0


def add_shards(running: Running, missing: Missing, shards: int) -> None:
    """Beside those of a city that is searched all the time, until the old ones are gone."""
    (raylet,) = running.descendants("raylet/raylet")
    (gcs,) = [word.split("=")[1] for word in raylet.cmdline() if word.startswith("--gcs-address=")]
    more = {"RAY_AUTH_MODE": "token", "BOMNAE_SEARCH_SHARDS": str(shards)}
    with searching(missing) as wrong:
        environment = {**os.environ, **running.environment, **more}
        subprocess.run([sys.executable, "-c", ADD, gcs], env=environment, check=True, timeout=120)
        running.until(lambda: shards_of(missing) == shards)
    assert wrong == []
