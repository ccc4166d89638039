"""Cameras and their sightings in memory: logs, objects, and a search shard over them that can be reopened."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from actors.sighting.blocks import name_of, packed
from actors.sighting.fold import keys_text
from schemas.base import Event, from_micros
from schemas.facility import Position
from schemas.road import Window
from schemas.sighting import (
    SIGHTINGS,
    CameraFacts,
    CameraRegistered,
    ErasureRequested,
    SightingsObserved,
)
from serve.search.asking import Question, Reply
from serve.search.place import Place
from serve.search.protocol import Filters, Vector
from serve.search.shard import SearchShard
from streams.blobs import MemoryBlobs
from streams.log import read_batches
from streams.memory import MemoryStore
from streams.subjects import partition
from tests.unit.search.logs import commit

NOW = 1_795_000_000_000_000
MODEL, D = "m-1", 16
DAY, HOUR, MINUTE = 86_400_000_000, 3_600_000_000, 60_000_000
ALWAYS = Window(start=from_micros(NOW - 40 * DAY), end=from_micros(NOW + DAY))


def vectors(count: int, seed: int = 1, dimensions: int = D) -> np.ndarray[Any, np.dtype[np.float32]]:
    found = np.random.default_rng(seed).standard_normal((count, dimensions)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


class Town:
    """What outlives a search shard."""

    def __init__(self, folder: Path, partitions: int = 2) -> None:
        self.folder, self.partitions = folder, partitions
        self.logs = [MemoryStore(f"LOG_SIGHTING_{number}") for number in range(partitions)]
        self.ledger = MemoryStore("LOG_PERSON_0")
        self.blobs = MemoryBlobs()
        self.now = NOW
        self.rows: dict[tuple[str, str], tuple[int, Vector]] = {}
        self._made = 0

    async def say(self, *events: Event) -> None:
        """Commit events of one camera, or of one case."""
        if events[0].context == "person":
            await commit(self.ledger, events)
            return
        shard = partition(events[0].entity, self.partitions)
        await commit(self.logs[shard], events, shard)

    async def camera(self, camera: str, **facts: Any) -> None:
        position = Position(lat=37.88, lon=127.73)
        known = CameraFacts(name_ko=camera, name_en=camera, position=position, **facts)
        await self.say(CameraRegistered(at=from_micros(NOW - 40 * DAY), camera=camera, facts=known))

    def block(
        self, camera: str, rows: Vector, start: int, model: str = MODEL, **columns: Sequence[Any]
    ) -> SightingsObserved:
        """A block that is kept, one sighting a second from `start` on, and its event."""
        count = len(rows)
        self._made += 1
        ids = list(columns.get("ids", [f"{camera}:{self._made}-{number}" for number in range(count)]))
        times = [start + number * 1_000_000 for number in range(count)]
        table = pa.table(
            {
                "sighting_id": ids,
                "camera": [camera] * count,
                "time": pa.array(times, pa.int64()).cast(SIGHTINGS.field("time").type),
                "model": [model] * count,
                "embedding": pa.array([row.tolist() for row in rows], pa.list_(pa.float32())),
                "quality": pa.array(columns.get("quality", [0.9] * count), pa.float32()),
                "box": pa.nulls(count, SIGHTINGS.field("box").type),
                "attributes": pa.array(columns.get("attributes", [None] * count), SIGHTINGS.field("attributes").type),
                "picture": pa.array(columns.get("picture", [None] * count), pa.binary()),
            },
            schema=SIGHTINGS,
        )
        name, data = packed(table)
        self.blobs.blobs[name_of(name)] = data
        for one, time, row in zip(ids, times, rows, strict=True):
            self.rows[camera, one] = (time, row)
        span = {"first": from_micros(times[0]), "last": from_micros(times[-1])}
        return SightingsObserved(
            at=from_micros(times[-1]),
            camera=camera,
            block=name,
            model=model,
            dimensions=rows.shape[1],
            rows=count,
            keys=keys_text(np.arange(count, dtype=np.uint64) + np.uint64(1000 * self._made)),
            **span,
        )

    async def see(self, camera: str, rows: Vector, start: int, **columns: Sequence[Any]) -> SightingsObserved:
        event = self.block(camera, rows, start, **columns)
        await self.say(event)
        return event

    async def opened(self, place: Place | None = None, **options: Any) -> SearchShard:
        place = place or Place()
        shard = SearchShard(self.folder / place.name, place, self.blobs, lambda: self.now, **options)
        await shard.open()
        await self.catch_up(shard)
        shard.ready = True
        return shard

    async def catch_up(self, shard: SearchShard) -> None:
        async for batch in read_batches(self.ledger, shard.position("person", 0)):
            await shard.take("person", 0, batch)
        for number, log in enumerate(self.logs):
            if shard.place.has(number):
                async for batch in read_batches(log, shard.position("sighting", number)):
                    await shard.take("sighting", number, batch)

    def best(
        self, query: Vector, limit: int, start: int = 0, end: int = 2**60, cameras: Sequence[str] = ()
    ) -> list[str]:
        """What a brute force finds among everything that was seen."""
        near = [
            (-float(np.float16(row).astype(np.float64) @ np.float16(query).astype(np.float64)), name)
            for (camera, name), (time, row) in self.rows.items()
            if start <= time < end and (not cameras or camera in cameras)
        ]
        return [name for _, name in sorted(near)[:limit]]


def asked(query: Vector, limit: int = 10, window: Window = ALWAYS, model: str = MODEL, **limits: Any) -> Question:
    soft = limits.pop("soft", {})
    return Question(model, np.atleast_2d(query), Filters(window, **limits), soft, limit)


async def found(shard: SearchShard, query: Vector, limit: int = 10, **limits: Any) -> Reply:
    (reply,) = await shard.search([asked(query, limit, **limits)])
    assert isinstance(reply, Reply), reply
    return reply


def ids(reply: Reply) -> list[str]:
    return [one.sighting_id for one in reply.found]


def erasure(camera: str, start: int, end: int, name: str = "e-1") -> ErasureRequested:
    return ErasureRequested(
        at=from_micros(NOW),
        camera=camera,
        erasure=name,
        window=Window(start=from_micros(start), end=from_micros(end)),
        sightings=(),
        reason="asked",
        by="test",
        case=None,
    )
