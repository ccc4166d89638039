"""SIGKILL of each part of a running city under load: nothing acknowledged is lost, nothing counts twice.

`BOMNAE_SOAK_KILLS` says how often each kind is killed.
"""

import json
import logging
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.running import Running
from tests.faults.load import FACILITIES, GATED, ROWS, Load

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(0 if "BOMNAE_SOAK_KILLS" in os.environ else 400)]
logger = logging.getLogger(__name__)

KILLS = int(os.environ.get("BOMNAE_SOAK_KILLS", "3"))
KINDS = {
    "shard actor": (("ray::ShardActor",), 20.0),
    "nats-server": (("nats-server --config",), 10.0),
    "replica": (("ray::ServeReplica:api",), 45.0),
    "whole Ray": (("raylet/raylet", "gcs_server", "ray::"), 120.0),
}
"""What dies, and the longest that the city may take until every sender is answered again, in seconds."""
RAISED, RETURNED, CHANGED = (
    f"city.facility.{name}.v1" for name in ("alarm-raised", "alarm-returned", "thresholds-changed")
)


@pytest.fixture(scope="module")
def load(city: Running) -> Iterator[Load]:
    """One load over all kinds of kills: what it sent before one must still hold after the last."""
    running = Load(city).start()
    yield running
    running.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_acknowledged_is_lost_and_nothing_counts_twice_when_it_is_killed(
    city: Running, load: Load, kind: str, record_property: Any
) -> None:
    names, longest_s = KINDS[kind]
    pauses = random.Random(kind)  # noqa: S311 - repeatable
    took = []
    for number in range(1, KILLS + 1):
        started = time.monotonic()
        city.until(lambda started=started: load.well_since(started))
        time.sleep(pauses.uniform(0.1, 1.0))
        killed = time.monotonic()
        city.kill(*names)
        city.until(lambda killed=killed: load.well_since(killed), longest_s)
        took.append(time.monotonic() - killed)
        logger.info("%s, kill %d of %d: every sender is answered again after %.1f s", kind, number, KILLS, took[-1])
    record_property("recovery_s", took)
    with load.paused():
        compare(city, load)
        verify(city)


def compare(city: Running, load: Load) -> None:
    """The city against what the senders remember."""
    for name in FACILITIES:
        http, limit = f"{name}-http", f"{name}-limit"
        expected = {http: load.http[http].acknowledged, limit: 0}
        expected |= {f"{name}-gw-{number}": load.gateway[name].acknowledged * ROWS for number in range(GATED)}
        city.until(lambda name=name, expected=expected: counted(city, name) == expected)
        state = city.get(f"/v1/facilities/{name}")
        assert {sensor["gaps"] for sensor in state["sensors"]} == {0}
        values = {sensor["sensor"]: sensor["value"] for sensor in state["sensors"]}
        assert values[http] == 2.0 * (expected[http] % 2)
        assert values[f"{name}-gw-0"] == expected[f"{name}-gw-0"]
        events = history(city, name)
        assert len({event["id"] for event in events}) == len(events)
        limits = [event["data"]["limits"][0]["on"] for event in events if event["type"] == CHANGED]
        assert limits == [float(number) for number in range(1, load.commands[name].acknowledged + 1)]
        happened = Counter(event["type"] for event in events)
        assert (happened[RAISED], happened[RETURNED]) == ((expected[http] + 1) // 2, expected[http] // 2)


def counted(city: Running, facility: str) -> dict[str, int]:
    return {sensor["sensor"]: sensor["count"] for sensor in city.get(f"/v1/facilities/{facility}")["sensors"]}


def history(city: Running, facility: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = city.api.get(
            f"/v1/facilities/{facility}/history", params={"limit": 1000, **cursor}, headers=city.token("safety")
        )
        assert answer.status_code == 200, answer.text
        page = answer.json()
        events += page["items"]
        if page["next"] is None:
            return events
        cursor = {"cursor": page["next"]}


def verify(city: Running) -> None:
    """`bomnae verify` on the running city: every commit derived again, every snapshot compared."""
    done = subprocess.run(
        [Path(sys.executable).with_name("bomnae"), "verify", "--json"],
        env={**os.environ, **city.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shards = json.loads(done.stdout)["shards"]
    assert sum(shard["commits"] for shard in shards) > 0
    assert any(shard["snapshots"] for shard in shards)
