"""A city that starts again with more search shards: the same answers, and nothing left of the old ones."""

from pathlib import Path

import pytest

from tests.cluster.missing import Missing, people
from tests.cluster.running import Running

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(500)]


def test_another_number_of_search_shards_and_copies_gives_the_same_answers(tmp_path: Path) -> None:
    running = Running(tmp_path / "data")
    running.start()
    missing = Missing(running, "layout")
    for camera in range(4):
        missing.see(people(20, camera), camera)
    queries = people(3, 50)
    running.until(lambda: missing.found(queries[0]) == missing.best(queries[0]))
    assert running.stop() == 0
    running.environment |= {"BOMNAE_SEARCH_SHARDS": "2", "BOMNAE_SEARCH_COPIES": "2"}
    running.start()
    try:
        for query in queries:
            running.until(lambda query=query: missing.found(query) == missing.best(query))
        coverage = missing.search(queries[0]).json()["coverage"]
        assert coverage["rows_permitted"] == coverage["rows_scanned"] == 80
        wanted = {f"search-2-{number}-{copy}" for number in range(2) for copy in range(2)}
        home = running.folder / "search"
        running.until(lambda: {one.name for one in home.iterdir()} == wanted)
    finally:
        assert running.stop() == 0
