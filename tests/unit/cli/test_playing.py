"""The feeder's part in an incident, what a replay sends, and what is told of the events heard."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import orjson
import pyarrow as pa
import pytest

from schemas.base import micros
from schemas.errors import InvalidError
from schemas.packs.load import load_pack
from schemas.tables import READINGS
from serve.commands.heard import Heard
from serve.commands.replay import ROWS_PER_MESSAGE, files, messages, pace_of
from streams.connection import Connection
from streams.connectors.feeder import Feeder, length
from streams.connectors.pacing import Pace
from streams.live import Said

BEGIN = datetime(2026, 1, 15, 3, tzinfo=UTC)
PACK = load_pack("chuncheon")


class Published:
    """Stands where the connection is: keeps what is published."""

    def __init__(self) -> None:
        self.batches: list[pa.Table] = []

    async def observe(self, subject: str, headers: dict[str, str], data: bytes) -> int:
        self.batches.append(pa.ipc.open_stream(data).read_all())
        return len(self.batches)


def feeder(published: Published | None = None) -> Feeder:
    return Feeder(cast("Connection", published or Published()), PACK, shards=4, boot=7)


def after(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def test_a_fire_lifts_its_sensors_until_it_is_over() -> None:
    one = feeder()
    steps = one.play("market-fire", BEGIN)
    assert not one.at_least(BEGIN)
    assert one.at_least(after(20)) == steps[19].readings
    assert not one.at_least(BEGIN + length(steps) + timedelta(seconds=1))
    assert not one.at_least(after(20)), "an incident that is over stays over"


def test_where_two_fires_meet_the_greater_value_holds() -> None:
    one = feeder()
    early = one.play("market-fire", BEGIN)
    one.play("market-fire", after(10))
    assert one.at_least(after(15)) == early[14].readings


async def test_readings_go_out_under_one_boot_and_counted_up_with_the_incident_in_them() -> None:
    published = Published()
    one = feeder(published)
    steps = one.play("market-fire", BEGIN)
    for second in (19, 20):
        await one.send(after(second))
    sent = pa.concat_tables(published.batches).to_pylist()
    assert {row["boot"] for row in sent} == {7}
    assert len(sent) == 2 * len(PACK.sensors)
    assert len({(row["sensor"], row["sequence"]) for row in sent}) == len(sent)
    last = {row["sensor"]: row["value"] for row in sent if row["sequence"] == 2}
    for sensor, least in steps[19].readings.items():
        assert last[sensor] >= least


def readings(seconds: int, sensors: int) -> pa.Table:
    rows = seconds * sensors
    columns: dict[str, Any] = {
        "sensor": [f"s-{row % sensors}" for row in range(rows)],
        "time": [micros(after(row // sensors)) for row in range(rows)],
        "value": [float(row) for row in range(rows)],
        "sequence": [row // sensors + 1 for row in range(rows)],
        "boot": [0] * rows,
        "quality": [0] * rows,
    }
    return pa.table(columns, schema=READINGS)


@pytest.mark.parametrize("speed", [None, 1.0, 7.5, 100.0])
def test_messages_hold_every_reading_once_and_in_order_at_any_speed(speed: float | None) -> None:
    table = readings(900, 20)
    parts = list(messages(table, Pace(speed)))
    assert pa.concat_tables([part for _, part in parts])["value"].to_pylist() == table["value"].to_pylist()
    assert all(part.num_rows <= ROWS_PER_MESSAGE for _, part in parts)
    assert all(at >= micros(part["time"][-1].as_py()) for at, part in parts)


def test_speeds_are_read_as_the_help_says() -> None:
    assert (pace_of("recorded").speed, pace_of("max").speed, pace_of("2.5").speed) == (1.0, None, 2.5)


def test_a_folder_gives_its_files_and_anything_else_is_refused(tmp_path: Path) -> None:
    for name in ("poll_2.csv", "poll_1.csv", "readme.md"):
        (tmp_path / name).touch()
    assert [path.name for path in files(tmp_path, "poll_*.csv")] == ["poll_1.csv", "poll_2.csv"]
    assert files(tmp_path / "poll_2.csv", "poll_*.csv") == [tmp_path / "poll_2.csv"]
    for missing in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InvalidError, match="neither a file nor a folder"):
            files(missing, "*.parquet")


def event(number: int, kind: str, subject: str, synthetic: bool = False, **fields: Any) -> Said:
    headers = {"ce-id": f"facility-0-{number}", "ce-type": f"city.facility.{kind}.v1", "ce-subject": subject}
    headers |= {"ce-synthetic": "true"} if synthetic else {}
    return Said("", headers, orjson.dumps(fields))


async def test_an_event_that_comes_twice_is_told_and_counted_once() -> None:
    heard = Heard()
    for number in (1, 2, 2):
        heard._on_event(event(number, "sensor-stale", "market", sensor=f"smoke-{number}"))
    assert heard.counts == {"sensor-stale": 2}
    assert heard.tell() == ["sensor-stale: smoke-1, smoke-2"]
    assert heard.tell() == []


async def test_what_is_synthetic_is_told_as_synthetic_and_apart_from_what_is_not() -> None:
    heard = Heard()
    fields = {"sensor": "smoke-1", "level": "danger", "value": 12.5, "unit": "%/m", "limit": 10.0}
    heard._on_event(event(1, "alarm-raised", "market", synthetic=True, **fields))
    heard._on_event(event(2, "risk-level-changed", "market", synthetic=True, was="normal", risk="danger"))
    heard._on_event(event(3, "sensor-stale", "market", synthetic=True, sensor="smoke-2"))
    heard._on_event(event(4, "sensor-stale", "market", sensor="smoke-3"))
    assert heard.tell() == [
        "alarm-raised: danger at market, smoke-1: 12.5 %/m, limit 10 (synthetic)",
        "risk-level-changed: market from normal to danger (synthetic)",
        "sensor-stale: smoke-2 (synthetic)",
        "sensor-stale: smoke-3",
    ]


async def test_many_entities_are_counted_instead_of_named() -> None:
    heard = Heard()
    for number in range(9):
        heard._on_event(event(number, "snow-began", f"road-{number}"))
    assert heard.tell() == ["snow-began: road-0, road-1, road-2, road-3 and 5 more"]
