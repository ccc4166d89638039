"""A city of a bench's own: a server in a temporary folder with its streams, sensors to register, readings to send."""

import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from actors.host import Request, wall_clock
from schemas import facility as f
from schemas.base import Command, from_micros
from schemas.settings import CONTEXTS
from schemas.tables import READINGS
from streams import credentials
from streams.connection import Access, connect
from streams.permissions import Kind, inbox
from streams.server import EmbeddedServer
from streams.subjects import partition
from streams.topology import Topology, ensure_streams

SENSORS = 208
"""As many as Chuncheon's pack has."""
ROWS = 5_000
"""Readings in one Arrow message."""
STEP = 1_000
"""Microseconds of event time between two readings of a sensor."""
_HOUR = 3_600_000_000


@dataclass(frozen=True, slots=True)
class City:
    """A running server whose facility context has `shards` shards, and every other context one."""

    server: EmbeddedServer
    shards: int

    @property
    def contexts(self) -> dict[str, int]:
        """How many shards each context has."""
        return dict.fromkeys(CONTEXTS, 1) | {"facility": self.shards}

    def access(self, kind: Kind = "host") -> Access:
        """How a process of this node connects."""
        own = credentials.local(self.server.folder, kind)
        return Access((self.server.url,), own.user, own.password, inbox(own.user))

    def facilities(self, shard: int, count: int = 1) -> list[str]:
        """Ids of facilities that live in a shard."""
        found: list[str] = []
        number = 0
        while len(found) < count:
            name = f"bench-{number}"
            if partition(name, self.shards) == shard:
                found.append(name)
            number += 1
        return found


@asynccontextmanager
async def city(shards: int, ingest_mb: int = 4_096) -> AsyncIterator[City]:
    """Start a server with `sync_interval: always` and all streams; stop it and delete its folder at the end."""
    limits = {"ingest": ingest_mb, "log": 1_024, "feed": 256, "rejected": 64, "snapshots": 1_024}
    with tempfile.TemporaryDirectory(prefix="bomnae-bench-") as folder, EmbeddedServer(Path(folder)) as server:
        made = City(server, shards)
        operator = await connect(made.access("operator"), "bench")
        apps = await connect(made.access("feed-admin"), "bench")
        await ensure_streams(operator, Topology(made.contexts, max_mb=limits), apps)
        await apps.close()
        await operator.close()
        yield made


def sensor_ids(facility: str, count: int) -> list[str]:
    """Ids of a facility's sensors."""
    return [f"{facility}-s{number}" for number in range(count)]


def registration(facility: str, sensors: Sequence[str], at: datetime | None = None) -> list[Command]:
    """The commands that make a synthetic bridge and its sensors known, with limits that 55 exceeds and 0 does not."""
    moment = at or from_micros(wall_clock())
    facts = f.FacilityFacts(name_ko="시험 교량", name_en="Bench bridge", kind="bridge", grade="B", synthetic=True)
    limits = (
        f.Limit(condition="high", level="warning", on=50.0, off=45.0),
        f.Limit(condition="high", level="danger", on=60.0, off=55.0, on_delay_s=5.0),
        f.Limit(condition="low", level="warning", on=-50.0, off=-45.0),
    )
    sensor = f.SensorFacts(
        kind="tilt", unit="mm/m", low=-90.0, high=90.0, stale_after_s=3_600.0, synthetic=True, limits=limits
    )
    return [
        f.RegisterFacility(at=moment, by="bench", facility=facility, facts=facts),
        *(f.RegisterSensor(at=moment, by="bench", facility=facility, sensor=one, facts=sensor) for one in sensors),
    ]


def requests(shard: int, commands: Sequence[Command]) -> list[Request]:
    """Commands without keys, as a host takes them."""
    return [Request(("facility", shard), command, "", "", wall_clock()) for command in commands]


def base_time() -> int:
    """Event time (µs UTC) of the first reading: an hour ago, so that none lies in the future."""
    return time.time_ns() // 1000 - _HOUR


def arrow(sensors: pa.Array, number: np.ndarray, sequence: np.ndarray, base: int) -> bytes:
    """One message: readings of the sensors with these numbers, values that trip no alarm."""
    rows = len(number)
    columns = [
        pa.DictionaryArray.from_arrays(pa.array(number.astype(np.int32)), sensors),
        pa.array(base + sequence * STEP, pa.int64()).cast(READINGS.field("time").type),
        pa.array(np.sin(sequence * 0.01) * 5.0 + number * 1e-3),
        pa.array(sequence.astype(np.uint64)),
        pa.array(np.zeros(rows, np.uint32)),
        pa.array(np.zeros(rows, np.uint8)),
    ]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, READINGS) as writer:
        writer.write_batch(pa.record_batch(columns, schema=READINGS))
    data: bytes = sink.getvalue().to_pybytes()
    return data
