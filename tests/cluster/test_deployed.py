"""What runs on a cluster in place of `bomnae up`: brought up as the documentation says, hurt, and compared."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from streams.subjects import log_stream
from tests.cluster.deployed import Deployed
from tests.cluster.test_end_to_end import reading, register

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

FACILITY, SENSOR = "deployed-bridge", "deployed-bridge-tilt"


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    city = Deployed(tmp_path_factory.mktemp("deployed"))
    try:
        yield city.start()
    finally:
        city.stop()


class Sender:
    """Sends numbered readings, each until it is acknowledged, and tells when `acknowledged` was reached."""

    def __init__(self, city: Deployed) -> None:
        self._city, self._device = city, city.token("device", facility=FACILITY)
        self.acknowledged, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._run, name="sender")

    def __enter__(self) -> "Sender":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def more(self, count: int) -> None:
        aim = self.acknowledged + count
        self._city.until(lambda: self.acknowledged >= aim)

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            body = reading(SENSOR, 2.5, self.acknowledged + 1)
            self._city.until(lambda body=body: self._sent(body))
            self.acknowledged += 1

    def _sent(self, body: dict[str, Any]) -> bool:
        return self._city.api.post("/v1/readings", json=body, headers=self._device).status_code == 202


def test_the_city_of_the_configuration_survives_its_hosts_even_those_that_ray_gives_up(deployed: Deployed) -> None:
    deployed.until(lambda: deployed.api.get("/readyz").is_success, 180)
    deployed.until(lambda: deployed.api.get("/v1/facilities/soyang-2-bridge").is_success)  # it is of the city pack
    all_running = dict.fromkeys(("keeper", "api", "live", "statistics", "encoder"), "RUNNING")
    deployed.until(lambda: deployed.applications() == all_running, 120)
    register(deployed, FACILITY, SENSOR)
    with Sender(deployed) as sender:
        sender.more(10)
        raised = deployed.until(lambda: deployed.get("/v1/alarms", facility=FACILITY)["items"])
        assert {alarm["level"] for alarm in raised} == {"warning", "danger"}

        killed = deployed.hosts()
        for host in killed:
            host.kill()
        deployed.until(lambda: well_again(deployed, [one.pid for one in killed]))
        sender.more(10)

        before = {one.pid for one in deployed.hosts()}
        deployed.dismiss("shards-0")
        deployed.until(lambda: len(before & {one.pid for one in deployed.hosts()}) == len(before) - 1)
        deployed.until(lambda: len(deployed.hosts()) == len(before) and deployed.get("/readyz"))
        sender.more(10)
    (state,) = deployed.until(lambda: counted(deployed, sender.acknowledged))
    assert state["gaps"] == 0
    assert len(deployed.get("/v1/alarms", facility=FACILITY)["items"]) == len(raised)
    verified = json.loads(deployed.says("bomnae", "verify", "--json", **deployed.operator()))
    logs = {one["log"] for one in verified["shards"]}
    assert logs >= {log_stream(*key) for key in (*(("facility", n) for n in range(4)), ("road", 0), ("road", 1))}


def well_again(city: Deployed, killed: list[int]) -> bool:
    """Whether as many other hosts are there, and every shard is owned."""
    return len([one for one in city.hosts() if one.pid not in killed]) == len(killed) and bool(city.get("/readyz"))


def counted(city: Deployed, number: int) -> list[dict[str, Any]]:
    """The sensor, once its readings are all folded."""
    return [one for one in city.get(f"/v1/facilities/{FACILITY}")["sensors"] if one["count"] == number]
