"""Statistics run in a deployment of their own, which grows with those who ask."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.cluster.running import Running

pytestmark = pytest.mark.cluster


def replicas(city: Running) -> int:
    return len(city.descendants("ServeReplica:statistics"))


def test_statistics_get_a_second_replica_while_many_ask(city: Running) -> None:
    city.until(lambda: city.get("/v1/statistics/readings"), 120)
    assert city.get("/v1/statistics/snow-clearing-areas")["rows"] == []
    enough, answers = threading.Event(), set[int]()

    def ask(_: int) -> None:
        with httpx.Client(base_url=city.base, timeout=30) as api:
            while not enough.is_set():
                answers.add(api.get("/v1/statistics/readings", params={"bucket": "minute"}).status_code)

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask, number) for number in range(8)]
        try:
            city.until(lambda: replicas(city) > 1, 90)
        finally:
            enough.set()
        for one in asking:
            one.result()
    assert answers == {200}
