"""A small city to tell stories with: commands, readings and time go in, events come out."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from actors.context import Outcome
from actors.facility.context import FacilityContext
from schemas import facility as f
from schemas.base import Command, Event, micros
from schemas.tables import READINGS
from streams.ingest import Observed
from streams.log import Position

T0 = datetime(2026, 1, 15, 9, tzinfo=UTC)
BRIDGE = f.FacilityFacts(name_ko="소양2교", name_en="Soyang 2 Bridge", kind="bridge", grade="C", synthetic=True)
HIGH = f.Limit(condition="high", level="warning", on=50.0, off=45.0)
DANGER = f.Limit(condition="high", level="danger", on=80.0, off=75.0)
LOW = f.Limit(condition="low", level="warning", on=-50.0, off=-45.0)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def facts(*limits: f.Limit, **more: Any) -> f.SensorFacts:
    return f.SensorFacts(**{"kind": "tilt", "unit": "mm", "limits": limits, **more})


class City:
    """Keeps state, position and all that happened; readings are `(sensor, seconds, value[, sequence[, boot]])`."""

    def __init__(self) -> None:
        self.context = FacilityContext()
        self.state = self.context.initial_state()
        self.position = Position()
        self.sequence = 0
        self.next: dict[str, int] = {}
        self.outcome = Outcome([], [], Position())

    def given(self, *commands: Command) -> "City":
        for command in commands:
            self.do(command)
        return self

    def do(self, command: Command) -> list[str]:
        """Decide and evolve; the names of the events."""
        events = self.context.decide(self.state, command)
        for event in events:
            self.context.evolve(self.state, event)
        self.events = events
        return [event.name for event in events]

    def bridge(self, *limits: f.Limit, sensor: str = "tilt-1", facility: str = "bridge-1", **more: Any) -> "City":
        """A facility of grade C (or `grade`) with one sensor."""
        known = BRIDGE.model_copy(update={"grade": more.pop("grade", "C")})
        return self.given(
            f.RegisterFacility(at=T0, by="test", facility=facility, facts=known),
            f.RegisterSensor(at=T0, by="test", facility=facility, sensor=sensor, facts=facts(*limits, **more)),
        )

    def command(
        self, kind: type[f.FacilityCommand], seconds: float = 0, facility: str = "bridge-1", **fields: Any
    ) -> list[str]:
        return self.do(kind(at=at(seconds), by="officer", facility=facility, **fields))

    def message(
        self, data: bytes, *, entity: str = "bridge-1", kind: str = "readings", arrived: float = 0, **headers: str
    ) -> Observed:
        self.sequence += 1
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Observed(self.sequence, entity, kind, micros(at(arrived)), named, data)

    def send(self, *messages: Observed, max_events: int = 999) -> list[str]:
        self.outcome = self.context.observe(self.state, messages, self.position, max_events)
        self.position = self.outcome.end
        self.events = self.outcome.events
        return [event.name for event in self.events]

    def reads(self, *rows: tuple[Any, ...], arrived: float | None = None, **more: Any) -> list[str]:
        """Send rows as one Arrow message that arrives at the time of the latest of them."""
        when = max(row[1] for row in rows) if arrived is None else arrived
        return self.send(self.message(self.arrow(rows), arrived=when, **more))

    def arrow(self, rows: Sequence[tuple[Any, ...]]) -> bytes:
        full = []
        for row in rows:
            sequence = row[3] if len(row) > 3 else self.next.get(row[0], 0)
            self.next[row[0]] = sequence + 1
            full.append(
                (row[0], row[1], row[2], sequence, row[4] if len(row) > 4 else 1, row[5] if len(row) > 5 else 0)
            )
        return arrow(full)

    def tick(self, seconds: float) -> list[str]:
        self.events = self.context.tick(self.state, micros(at(seconds)))
        return [event.name for event in self.events]

    @property
    def digest(self) -> str:
        return self.context.digest(self.state)

    def row(self, sensor: str = "tilt-1") -> dict[str, Any]:
        table = self.context.tables(self.state)["sensors"]
        return next(row for row in table.to_pylist() if row["sensor"] == sensor)

    def facility(self, facility: str = "bridge-1") -> dict[str, Any]:
        table = self.context.tables(self.state)["facilities"]
        return next(row for row in table.to_pylist() if row["facility"] == facility)

    def alarms(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.context.tables(self.state)["alarms"].to_pylist()
        return rows

    def reasons(self) -> list[str]:
        """The codes of the refusals of the last observation."""
        return [rejection.id.split("-")[2] for rejection in self.outcome.rejections]


def arrow(rows: Sequence[tuple[Any, ...]]) -> bytes:
    """Rows (sensor, seconds, value, sequence, boot, quality) as an Arrow IPC stream of `READINGS`."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * 6
    batch = pa.record_batch(
        [
            pa.array(columns[0], pa.string()).dictionary_encode(),
            pa.array([micros(at(seconds)) for seconds in columns[1]], pa.int64()).cast(READINGS.field("time").type),
            *(pa.array(columns[k], READINGS.field(k).type) for k in range(2, 6)),
        ],
        schema=READINGS,
    )
    return ipc(batch)


def ipc(batch: pa.RecordBatch | pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write(batch)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def reading(sensor: str = "tilt-1", seconds: float = 0, value: float = 1.0, sequence: int = 0, **more: Any) -> bytes:
    """One reading as JSON."""
    return orjson.dumps({"sensor": sensor, "time": at(seconds), "value": value, "sequence": sequence, **more})


def refused_rows(outcome: Outcome) -> list[tuple[int, str, int]]:
    """(message, reason code, rows) of Arrow refusals."""
    return [
        (r.sequence, r.id.split("-")[2], pa.ipc.open_stream(r.data).read_all().num_rows) for r in outcome.rejections
    ]


def bodies(events: Sequence[Event]) -> list[tuple[str, bytes]]:
    return [(event.type, event.model_dump_json().encode()) for event in events]


def mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
