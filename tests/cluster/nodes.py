"""A Ray of several nodes on one machine with a city's shard hosts, one node of which is killed; tells what it saw.

`python -m tests.cluster.nodes`, with the city's settings in the environment: a process of its own, so that pytest's
never holds Ray. Prints one JSON object; `tests/cluster/test_nodes.py` judges it.
"""

import asyncio
import json
import time
from typing import Any

import ray
from ray.cluster_utils import Cluster
from ray.util.state import list_actors

from actors import supervisor
from actors.host import wall_clock
from schemas.base import from_micros
from schemas.errors import BomnaeError
from schemas.facility import ChangeThresholds, FacilityFacts, Limit, RegisterFacility, RegisterSensor, SensorFacts
from schemas.settings import Settings
from serve.city import City
from streams.subjects import partition

WORKERS = 3
FACILITIES = tuple(f"bridge-{number}" for number in range(8))
ROUNDS = 20
_NOTICED = {"health_check_period_ms": 500, "health_check_failure_threshold": 4, "health_check_initial_delay_ms": 2000}
"""A node that does not answer is given up after 2 s instead of Ray's 15, so that the test is short."""
_BRIDGE = FacilityFacts(name_ko="시험교", name_en="Test Bridge", kind="bridge", grade="C", synthetic=True)


def nodes_of_hosts() -> dict[str, str]:
    """Node of each living shard host, by the host's name."""
    living = list_actors(filters=[("state", "=", "ALIVE")])
    return {one.name: one.node_id for one in living if one.name.startswith("shards-")}


class Commands:
    """Registers facilities, then sets a limit of each to 1, 2, 3, … under a key, each until it is answered."""

    def __init__(self, city: City, settings: Settings) -> None:
        self._city, self._settings = city, settings
        self.acknowledged = dict.fromkeys(FACILITIES, 0)
        self.repeats = 0

    async def register(self) -> None:
        at = from_micros(wall_clock())
        for name in FACILITIES:
            await self._city.submit([RegisterFacility(at=at, by="test", facility=name, facts=_BRIDGE)], None, None)
            facts = SensorFacts(kind="tilt", unit="mm/m", synthetic=True)
            sensor = RegisterSensor(at=at, by="test", facility=name, sensor=f"{name}-tilt", facts=facts)
            await self._city.submit([sensor], None, None)

    async def go_on(self, name: str, rounds: int) -> None:
        for _ in range(rounds):
            number = self.acknowledged[name] + 1
            limits = (Limit(condition="high", level="warning", on=float(number), off=0.0),)
            at = from_micros(wall_clock())
            command = ChangeThresholds(at=at, by="test", facility=name, sensor=f"{name}-tilt", limits=limits)
            while True:
                try:
                    await self._city.submit([command], f"{name}-{number}", f"{number}")
                    break
                except BomnaeError:
                    self.repeats += 1
                    await asyncio.sleep(0.1)
            self.acknowledged[name] = number


async def scenario(cluster: Cluster, workers: list[Any], settings: Settings) -> dict[str, Any]:
    supervisor.ensure_hosts(settings)
    city = City(settings)
    await city.start()
    try:
        await until_ready(city)
        before = nodes_of_hosts()
        commands = Commands(city, settings)
        await commands.register()
        (victim,) = [node for node in workers if node.node_id == before["shards-0"]]
        load = [asyncio.create_task(commands.go_on(name, ROUNDS)) for name in FACILITIES]
        while min(commands.acknowledged.values()) < ROUNDS // 4:
            await asyncio.sleep(0.01)
        killed = time.monotonic()
        await asyncio.to_thread(cluster.remove_node, victim, allow_graceful=False)
        await asyncio.gather(*load)
        took = time.monotonic() - killed
        await until_ready(city)
        after = nodes_of_hosts()
        return {
            "before": before,
            "after": after,
            "killed": victim.node_id,
            "took_s": took,
            "repeats": commands.repeats,
            "acknowledged": commands.acknowledged,
            "shards": {name: partition(name, settings.facility_shards) for name in FACILITIES},
        }
    finally:
        await city.stop()


async def until_ready(city: City) -> None:
    async with asyncio.timeout(90):
        while city.ready():
            await asyncio.sleep(0.1)


def main() -> None:
    settings = Settings()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": _NOTICED})
    try:
        workers = [cluster.add_node(num_cpus=1) for _ in range(WORKERS)]
        ray.init(address=cluster.address, namespace=settings.ray_namespace, log_to_driver=False)
        print(json.dumps(asyncio.run(scenario(cluster, workers, settings))))  # noqa: T201 - what the test reads
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main()
