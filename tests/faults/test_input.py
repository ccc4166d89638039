"""Input that comes twice, out of order and again, through a real nats-server, gives the state of the clean run."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streams.server import EmbeddedServer
from streams.subjects import raw
from streams.topology import RETENTION, Topology, ensure_streams
from tests.faults.owner import FACILITY
from tests.faults.shards import hosting, operating, register, sensor_rows, verified
from tests.unit.facility.scenario import arrow

TOPOLOGY = Topology({"facility": 1}, max_mb=dict.fromkeys(RETENTION, 64))
SENSORS = ("tilt-1", "tilt-2", "tilt-3")
MESSAGES = 120
SAME = ("sensor", "count", "value", "time", "sequence", "boot", "min", "max", "level", "bad")
"""What must not depend on how often or in what order readings come; the order shows in `late` and `gaps` alone."""
_NEAR = 8
"""Places that a message is moved at most: less than the window in which a late reading still counts."""


def messages() -> list[bytes]:
    """Batches with four readings of each sensor, the device restarted half-way."""
    half = MESSAGES // 2
    return [
        arrow(
            [
                (
                    sensor,
                    4.0 * number + k,
                    float((number * 31 + k * 7) % 97),
                    4 * (number % half) + k,
                    number // half,
                    0,
                )
                for sensor in SENSORS
                for k in range(4)
            ]
        )
        for number in range(MESSAGES)
    ]


async def after(folder: Path, sent: Sequence[bytes]) -> list[dict[str, Any]]:
    """The published sensors once all is folded; the log holds under `verify`."""
    with EmbeddedServer(folder) as server:
        async with operating(server) as nc:
            await ensure_streams(nc, TOPOLOGY)
            async with hosting(server) as host:
                await register(host, SENSORS)
                for data in sent:
                    ack = await nc.jetstream().publish(raw("facility", FACILITY, "readings"), data)
                async with asyncio.timeout(30):
                    while host.published["facility", 0].ingested < ack.seq:
                        await asyncio.sleep(0.02)
                rows = sensor_rows(host)
        await verified(server)
    return rows


def disturbed(clean: Sequence[bytes], seed: int) -> list[bytes]:
    """Every fourth message twice, each moved a little, the first hundred once more at the end."""
    chance = random.Random(seed)  # noqa: S311 - repeatable
    half = len(clean) // 2
    found: list[bytes] = []
    # Not across the restart: what the device sent before it is superseded once it has sent two lives later.
    for part in (clean[:half], clean[half:]):
        places = [(place + chance.uniform(0, _NEAR), data) for place, data in enumerate(part)]
        places += [(place + chance.uniform(0, 3 * _NEAR), data) for place, data in enumerate(part) if place % 4 == 0]
        found += [data for _, data in sorted(places)]
    return found + found[:100]


async def test_duplicated_reordered_and_redelivered_input_gives_the_state_of_the_clean_run(tmp_path: Path) -> None:
    clean = await after(tmp_path / "clean", messages())
    assert [row["count"] for row in clean] == [4 * MESSAGES] * len(SENSORS)
    for seed in range(2):
        rows = await after(tmp_path / f"disturbed-{seed}", disturbed(messages(), seed))
        assert [{name: row[name] for name in SAME} for row in rows] == [
            {name: row[name] for name in SAME} for row in clean
        ]
        assert all(row["duplicates"] > 4 * MESSAGES // 4 and row["late"] > 0 for row in rows)
