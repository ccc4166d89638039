"""A few cameras to tell stories with: commands, sightings and time go in, events come out. All of it is synthetic."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from actors.context import Outcome
from actors.replay import MAX_EVENTS
from actors.sighting.blocks import name_of
from actors.sighting.context import SightingContext
from schemas.base import Command, Event, micros
from schemas.facility import Position as Place
from schemas.sighting import SIGHTINGS, CameraFacts, RegisterCamera, RequestErasure
from streams.ingest import Observed
from streams.log import Position

T0 = datetime(2026, 3, 1, 9, tzinfo=UTC)
PLACE = Place(lon=127.73, lat=37.88, synthetic=True)
MODEL = "body-test.1"


def at(seconds: float = 0) -> datetime:
    return T0 + timedelta(seconds=seconds)


def facts(**more: Any) -> CameraFacts:
    return CameraFacts(name_ko="카메라", name_en="Camera", position=PLACE, synthetic=True, **more)


def register(camera: str = "cam-1", seconds: float = 0, **more: Any) -> RegisterCamera:
    return RegisterCamera(at=at(seconds), by="pack", camera=camera, facts=facts(**more))


def request(erasure: str = "e-1", camera: str = "cam-1", seconds: float = 100, **more: Any) -> RequestErasure:
    asked = {"reason": "요청 · on request", **more}
    return RequestErasure(at=at(seconds), by="officer", camera=camera, erasure=erasure, **asked)


def vector(seed: int, dimensions: int = 8) -> list[float]:
    values = np.random.default_rng(seed).standard_normal(dimensions).astype(np.float32)
    return (values / np.linalg.norm(values)).astype(np.float32).tolist()


def row(sighting: str = "s-1", camera: str = "cam-1", seconds: float = 0, **more: Any) -> dict[str, Any]:
    known = {"sighting_id": sighting, "camera": camera, "time": at(seconds), "model": MODEL, "quality": 0.5}
    seed = int.from_bytes(sighting.encode()[-4:], "little")
    return {**known, "embedding": vector(seed), "box": None, "attributes": None, "picture": None, **more}


def arrow(rows: Sequence[dict[str, Any]], schema: pa.Schema = SIGHTINGS) -> bytes:
    loose = pa.schema([field.with_nullable(True) for field in schema])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, loose) as writer:
        writer.write_table(pa.Table.from_pylist(list(rows), loose))
    return sink.getvalue().to_pybytes()


class City:
    """Keeps state, position, objects and all that happened."""

    def __init__(self, *commands: Command) -> None:
        self.context = SightingContext()
        self.state = self.context.initial_state()
        self.position, self.sequence = Position(), 0
        self.objects: dict[str, bytes] = {}
        self.outcome = Outcome([], [], Position())
        for command in commands:
            self.do(command)

    def do(self, command: Command) -> list[Event]:
        """Decide and evolve; the events."""
        events = self.context.decide(self.state, command)
        for event in events:
            self.context.evolve(self.state, event)
        return events

    def say(
        self, data: bytes, seconds: float = 10, entity: str = "cam-1", kind: str = "sightings", **headers: str
    ) -> Observed:
        """A message that arrives `seconds` after the start, not observed yet."""
        self.sequence += 1
        return Observed(self.sequence, entity, kind, micros(at(seconds)), headers, data)

    def observe(self, *messages: Observed) -> list[str]:
        """Observe messages as an owner would; the names of the events."""
        names: list[str] = []
        self.refused: list[str] = []
        while messages:
            self.outcome = self.context.observe(self.state, messages, self.position, MAX_EVENTS)
            self.position = self.outcome.end
            self.objects |= dict(self.outcome.objects)
            names += [event.name for event in self.outcome.events]
            self.refused += [one.id.split("-", 2)[2] for one in self.outcome.rejections]
            messages = tuple(message for message in messages if message.sequence > self.position.sequence)
        return names

    def hear(self, *rows: dict[str, Any], **how: Any) -> list[str]:
        """One Arrow message with these rows, observed at once; the names of the events."""
        return self.observe(self.say(arrow(rows), **how))

    def tick(self, seconds: float) -> list[Event]:
        return self.context.tick(self.state, micros(at(seconds)))

    def blocks(self, camera: str = "cam-1") -> list[str]:
        return list(self.state.cameras[camera].blocks)

    def table(self, block: str) -> pa.Table:
        return pa.ipc.open_file(pa.BufferReader(self.objects[name_of(block)])).read_all()

    @property
    def digest(self) -> str:
        return self.context.digest(self.state)
