"""Readings over HTTP: the sender's own sensors, JSON and Arrow alike, split by partition."""

import random

import orjson
import pyarrow as pa
import pytest

from schemas.errors import InvalidError
from schemas.tables import MAX_READINGS, READINGS
from serve.routes.readings import _from_arrow
from tests.unit.api.conftest import bearer, reading
from tests.unit.api.memory import COUNTS, START
from tests.unit.arrow import LONG, allocating, naming, stream

DEVICE = bearer("device", facility="bridge-1")
GATEWAY = bearer("gateway", gateway="gate-1")
ARROW = {"content-type": "application/vnd.apache.arrow.stream"}


NO_NAME = pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), pa.array([None], pa.string()))


def batch(*sensors: str, **replaced: object) -> pa.Table:
    count = len(sensors)
    columns = {
        "sensor": list(sensors),
        "time": [START] * count,
        "value": [1.5] * count,
        "sequence": [1] * count,
        "boot": [0] * count,
        "quality": [0] * count,
    }
    return pa.table(columns | replaced, schema=READINGS)


def compressed(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


async def values(city, answer) -> dict[str, float | None]:
    assert answer.status_code == 202, answer.text
    found = await city.get("/v1/sensors/latest", params={"min_position": answer.json()["position"]})
    assert found.status_code == 200
    return {one["sensor"]: one["value"] for one in found.json()["items"] if one["value"] is not None}


async def test_a_device_sends_one_reading_or_a_list(city):
    one = await city.post("/v1/readings", json=reading("tilt-1", 1.0), headers=DEVICE)
    assert await values(city, one) == {"tilt-1": 1.0}
    body = [reading("tilt-1", 2.0, 2) | {"time": "2026-01-15T03:00:01Z"}, reading("tilt-2", 3.0, unit="mm/m")]
    many = await city.post("/v1/readings", json=body, headers=DEVICE)
    assert await values(city, many) == {"tilt-1": 2.0, "tilt-2": 3.0}
    assert many.json()["accepted"] == 2


async def test_a_repeated_reading_counts_once(city):
    for _ in range(3):
        answer = await city.post("/v1/readings", json=reading("tilt-1", 1.0), headers=DEVICE)
    await values(city, answer)
    sensor = (await city.get("/v1/sensors/latest?facility=bridge-1")).json()["items"][0]
    assert (sensor["count"], sensor["duplicates"]) == (1, 2)


async def test_a_gateways_mixed_batch_is_split_by_partition(city, backend):
    answer = await city.post("/v1/readings", content=stream(batch("tilt-2", "tilt-3")), headers=GATEWAY | ARROW)
    assert await values(city, answer) == {"tilt-2": 1.5, "tilt-3": 1.5}
    received = {
        number: [message.kind for message in backend.owned["facility", number].ingest.messages]
        for number in range(COUNTS["facility"])
    }
    assert received == {0: ["gw-gate-1"], 1: ["gw-gate-1"]}


@pytest.mark.parametrize(("sender", "foreign"), [(DEVICE, "tilt-3"), (GATEWAY, "tilt-1"), (DEVICE, "ghost")])
async def test_a_sensor_that_is_not_the_senders_is_refused_by_name_while_the_others_count(city, sender, foreign):
    body = [reading("tilt-2", 1.0), reading(foreign, 2.0)]
    answer = await city.post("/v1/readings", json=body, headers=sender)
    assert [one["sensor"] for one in answer.json()["refused"]] == [foreign]
    assert answer.json()["accepted"] == 1
    assert await values(city, answer) == {"tilt-2": 1.0}
    alone = await city.post("/v1/readings", json=reading(foreign, 2.0), headers=sender)
    assert alone.status_code == 403
    assert foreign in alone.json()["detail"]


async def test_an_arrow_stream_with_plain_text_other_time_units_and_no_boot_is_understood(city):
    table = pa.table({"sensor": ["tilt-1"], "time": pa.array([START], pa.timestamp("ms", "UTC")), "value": [2.5]})
    table = table.append_column("sequence", pa.array([4], pa.uint64()))
    answer = await city.post("/v1/readings", content=stream(table), headers=DEVICE | ARROW)
    assert await values(city, answer) == {"tilt-1": 2.5}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not arrow",
        stream(batch("tilt-1"))[:-40],
        stream(batch()),
        compressed(batch("tilt-1")),
        stream(batch("tilt-1").append_column("extra", pa.array([1]))),
        stream(batch("tilt-1").drop_columns("value")),
        stream(pa.table({"sensor": ["tilt-1"], "time": [START], "value": [None], "sequence": [1]})),
        stream(pa.table({"sensor": ["tilt-1"], "time": [START], "value": [1.0], "sequence": [-1]})),
        stream(batch("tilt-1").set_column(1, "time", pa.array([START.replace(tzinfo=None)], pa.timestamp("us")))),
        stream(batch("tilt-1").set_column(2, "value", pa.array(["1.0"]).dictionary_encode())),
        stream(batch("tilt-1").set_column(0, "sensor", NO_NAME)),
        stream(pa.table({"sensor": [7], "time": ["x"], "value": ["y"], "sequence": [1]})),
    ],
)
async def test_an_arrow_stream_that_is_none_of_readings_is_422(city, body):
    answer = await city.post("/v1/readings", content=body, headers=DEVICE | ARROW)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"[1]",
        b'{"sensor":"tilt-1","time":"2026-01-15T03:00:00Z","value":NaN,"sequence":1}',
        b'{"sensor":"tilt-1","time":"2026-01-15T03:00:00Z","value":1e999,"sequence":1}',
        b'{"sensor":"tilt-1","time":"2026-01-15T03:00:00","value":1,"sequence":1}',
        b'{"sensor":"tilt-1","time":"2026-01-15T03:00:00Z","value":1,"sequence":9223372036854775808}',
        b'{"sensor":"tilt-1","time":"0001-01-01T00:00:00+09:00","value":1,"sequence":1}',
        b"[" * 10_000,
    ],
)
async def test_json_that_is_no_reading_is_422(city, body):
    answer = await city.post("/v1/readings", content=body, headers=DEVICE | {"content-type": "application/json"})
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize(
    ("bad", "place"),
    [
        ('{"sensor":"tilt-2","time":"2026-01-15T03:00:00Z","value":NaN,"sequence":1}', "value"),
        ('{"sensor":"tilt-2","time":"2026-01-15T03:00:00Z","value":1e999,"sequence":1}', "value"),
        ('{"sensor":"tilt-2","time":"2026-01-15T03:00:00","value":1,"sequence":1}', "time"),
        ('{"sensor":"tilt-2","time":"2026-01-15T03:00:00Z","value":1,"sequence":9223372036854775808}', "sequence"),
        ('{"sensor":"tilt-2"}', "time"),
        ("7", ""),
    ],
)
async def test_json_that_is_no_reading_is_refused_by_its_row_while_the_others_count(city, bad, place):
    good = orjson.dumps(reading("tilt-1", 1.0)).decode()
    body = f"[{good},{bad},{good.replace('tilt-1', 'tilt-3')}]"
    headers = DEVICE | {"content-type": "application/json"}
    answer = await city.post("/v1/readings", content=body, headers=headers)
    assert answer.status_code == 202, answer.text
    assert await values(city, answer) == {"tilt-1": 1.0}
    row, foreign = answer.json()["refused"]
    assert (row["row"], row["sensor"]) == (1, "tilt-2" if place else "")
    assert row["reason"].startswith(f"{place}: ")
    assert (foreign["row"], foreign["sensor"], answer.json()["accepted"]) == (None, "tilt-3", 1)


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("value", pa.array([1.0, None, 3.0])),
        ("sensor", pa.array(["tilt-1", None, "tilt-1"])),
        ("sequence", pa.array([1, -1, 2])),
        ("sequence", pa.array([1, 2**63, 2], pa.uint64())),
        ("boot", pa.array([1, 2**32, 2])),
        ("quality", pa.array([0, 3, 0], pa.int8())),
    ],
)
async def test_an_arrow_row_with_an_impossible_cell_is_refused_while_the_others_count(city, name, cells):
    table = pa.table(
        {"sensor": ["tilt-1"] * 3, "time": pa.array([START] * 3, pa.timestamp("us", "UTC")), "value": [1.0, 2.0, 3.0]}
        | {"sequence": [1, 2, 3]}
        | {name: cells}
    )
    answer = await city.post("/v1/readings", content=stream(table), headers=DEVICE | ARROW)
    assert answer.status_code == 202, answer.text
    assert await values(city, answer) == {"tilt-1": 3.0}
    assert [one["row"] for one in answer.json()["refused"]] == [1]
    assert answer.json()["accepted"] == 2


async def test_another_content_type_is_415_and_too_many_readings_are_422(city):
    answer = await city.post("/v1/readings", content=b"a,b", headers=DEVICE | {"content-type": "text/csv"})
    assert answer.status_code == 415
    huge = stream(batch(*["tilt-1"] * (MAX_READINGS + 1)))
    assert (await city.post("/v1/readings", content=huge, headers=DEVICE | ARROW)).status_code == 422


async def test_a_word_that_many_rows_name_is_not_repeated_in_memory(city):
    rows = 50_000
    table = batch(*["tilt-1"] * rows)
    names = pa.DictionaryArray.from_arrays(pa.array([0] + [1] * (rows - 1), pa.int8()), pa.array(["tilt-1", LONG]))
    table = table.set_column(0, "sensor", names).append_column("unit", naming(rows))
    body = stream(table)
    with allocating() as pool:
        answer = await city.post("/v1/readings", content=body, headers=DEVICE | ARROW)
    assert pool.max_memory() < 20 * len(body)
    assert answer.status_code == 202
    assert (answer.json()["accepted"], [len(one["sensor"]) for one in answer.json()["refused"]]) == (1, [64])


async def test_damage_to_an_arrow_stream_is_never_an_error_of_ours():
    whole, chance = stream(batch("tilt-1", "tilt-2")), random.Random(1)  # noqa: S311 - the same damage at every run
    refused = 0
    for _ in range(5_000):
        damaged = bytearray(whole)
        for _ in range(chance.choice([1, 1, 2, 4])):
            damaged[chance.randrange(len(damaged))] = chance.choice([0, 1, 127, 128, 255, chance.randrange(256)])
        if chance.random() < 0.2:
            del damaged[chance.randrange(len(damaged)) :]
        try:
            _from_arrow(bytes(damaged))
        except InvalidError:
            refused += 1
    assert refused > 1_000
