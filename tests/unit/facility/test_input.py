"""What counts, what is refused and why: any bytes, from anybody."""

import math

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.tables import MAX_READINGS, READINGS
from tests.unit.arrow import allocating, naming, stream
from tests.unit.facility.scenario import HIGH, City, arrow, at, facts, ipc, reading, refused_rows

GOOD_ROW = ("tilt-1", 1.0, 5.0, 0, 1, 0)


@pytest.fixture
def city() -> City:
    return City().bridge(HIGH).bridge(sensor="tilt-9", facility="bridge-9")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("tilt-7", 1.0, 5.0, 1, 1, 0), "unknown"),
        (("tilt-9", 1.0, 5.0, 1, 1, 0), "foreign"),
        (("tilt-1", 1.0, math.nan, 1, 1, 0), "value"),
        (("tilt-1", 1.0, -math.inf, 1, 1, 0), "value"),
        (("tilt-1", 302.0, 5.0, 1, 1, 0), "future"),
        (("tilt-1", -3e9, 5.0, 1, 1, 0), "past"),
        (("tilt-1", 1.0, 5.0, 2**63, 1, 0), "cells"),
        (("tilt-1", 1.0, 5.0, 1, 1, 3), "cells"),
    ],
)
def test_a_row_that_cannot_count_is_refused_and_the_good_rows_beside_it_count(
    city: City, row: tuple[object, ...], reason: str
) -> None:
    city.send(city.message(arrow([GOOD_ROW, row, ("tilt-1", 1.5, 6.0, 5, 1, 0)]), arrived=1))
    assert refused_rows(city.outcome) == [(1, reason, 1)]
    assert city.outcome.rejections[0].id == f"facility-1-{reason}"
    assert city.outcome.rejections[0].entity == "bridge-1"
    assert (city.row()["count"], city.row()["value"]) == (2, 6.0)


def test_refusals_are_one_per_message_and_reason(city: City) -> None:
    rows = [GOOD_ROW, *(("tilt-7", 1.0, 5.0, k, 1, 0) for k in range(3)), ("tilt-1", 1.0, math.nan, 1, 1, 0)]
    city.send(city.message(arrow(rows)), city.message(arrow(rows)))
    assert refused_rows(city.outcome) == [(1, "unknown", 3), (1, "value", 1), (2, "unknown", 3), (2, "value", 1)]


def test_a_gateway_speaks_for_the_sensors_that_name_it_and_for_no_other(city: City) -> None:
    city.bridge(sensor="tilt-2", gateway="north", facility="bridge-9")
    rows = [("tilt-2", 1.0, 5.0, 0, 1, 0), ("tilt-1", 1.0, 5.0, 0, 1, 0)]
    city.send(city.message(arrow(rows), kind="gw-north"))
    assert refused_rows(city.outcome) == [(1, "foreign", 1)]
    assert city.row("tilt-2")["count"] == 1
    city.send(city.message(arrow(rows[:1]), kind="gw-south"))
    assert city.reasons() == ["foreign"]


def test_a_sensor_may_speak_once_it_is_registered(city: City) -> None:
    rows = [("tilt-3", 1.0, 5.0, 0, 1, 0)]
    city.send(city.message(arrow(rows)))
    assert city.reasons() == ["unknown"]
    city.bridge(sensor="tilt-3")
    city.send(city.message(arrow(rows)))
    assert city.reasons() == []


def test_a_boot_older_than_the_two_known_ones_is_refused(city: City) -> None:
    city.reads(("tilt-1", 1, 5.0, 0, 3), ("tilt-1", 2, 5.0, 0, 4), ("tilt-1", 3, 5.0, 0, 5))
    city.reads(("tilt-1", 4, 5.0, 9, 4), ("tilt-1", 5, 5.0, 9, 3))
    assert refused_rows(city.outcome) == [(2, "boot", 1)]
    assert (city.row()["boot"], city.row()["count"]) == (5, 4)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xff\xff\xff", b"\xff" * 99, b"{", b"[1,", b"hello", b'{"a":1}x', bytes(200)]
)
def test_bytes_that_cannot_be_decoded_are_refused_whole(city: City, data: bytes) -> None:
    city.send(city.message(data), city.message(arrow([GOOD_ROW])))
    (refusal,) = city.outcome.rejections
    assert (refusal.id, refusal.data) == ("facility-1-undecodable", data)
    assert city.row()["count"] == 1


@given(data=st.binary(max_size=300), magic=st.sampled_from([b"", b"\xff\xff\xff\xff", b"{", b"["]))
def test_no_bytes_stop_a_shard(data: bytes, magic: bytes) -> None:
    city = City().bridge()
    city.send(city.message(magic + data))
    assert city.position.sequence == 1


@given(place=st.integers(0, 2000), byte=st.integers(0, 255), cut=st.booleans())
def test_no_damaged_arrow_stops_a_shard(place: int, byte: int, cut: bool) -> None:
    whole = arrow([("tilt-1", k, 5.0, k, 1, 0) for k in range(20)])
    place %= len(whole)
    city = City().bridge(HIGH)
    city.send(city.message(whole[:place] if cut else whole[:place] + bytes([byte]) + whole[place + 1 :], arrived=20))
    assert city.position.sequence == 1
    assert city.digest


def test_a_message_with_too_many_rows_is_refused_whole(city: City) -> None:
    n = MAX_READINGS + 1
    batch = pa.record_batch({
        "sensor": pa.array(["tilt-1"] * n), "time": pa.array([at(0)] * n, READINGS.field("time").type),
        "value": np.zeros(n), "sequence": np.arange(n),
    })  # fmt: skip
    city.send(city.message(ipc(batch)), city.message(orjson.dumps([1] * n)))
    assert city.reasons() == ["oversized", "oversized"]


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_compressed_stream_is_refused_before_it_is_unpacked(city: City, codec: str) -> None:
    table = pa.ipc.open_stream(arrow([GOOD_ROW])).read_all()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write(table)
    city.send(city.message(sink.getvalue().to_pybytes()))
    assert city.reasons() == ["compressed"]


def test_another_kind_of_input_is_refused(city: City) -> None:
    city.send(city.message(arrow([GOOD_ROW]), kind="clearing"))
    assert city.reasons() == ["kind"]


@pytest.mark.parametrize("drop", ["sensor", "time", "value", "sequence"])
def test_a_missing_column_refuses_the_message(city: City, drop: str) -> None:
    table = pa.ipc.open_stream(arrow([GOOD_ROW])).read_all().drop_columns([drop])
    city.send(city.message(ipc(table)))
    assert city.reasons() == ["schema"]
    assert drop in city.outcome.rejections[0].reason


def test_a_time_without_a_zone_refuses_the_message(city: City) -> None:
    table = pa.ipc.open_stream(arrow([GOOD_ROW])).read_all()
    naive = table.set_column(1, "time", table.column("time").cast(pa.timestamp("us")))
    city.send(city.message(ipc(naive)))
    assert city.reasons() == ["schema"]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_plain_strings_any_time_unit_and_no_boot_or_quality_are_accepted(city: City, unit: str) -> None:
    table = pa.table({
        "sensor": ["tilt-1"], "time": pa.array([at(2)], pa.timestamp(unit, tz="Asia/Seoul")),
        "value": pa.array([7], pa.int16()), "sequence": pa.array([0], pa.int32()),
    })  # fmt: skip
    city.send(city.message(ipc(table), arrived=2))
    assert city.outcome.rejections == []
    assert (city.row()["value"], city.row()["time"], city.row()["boot"]) == (7.0, at(2), 0)


def test_times_that_no_microsecond_can_hold_are_refused_as_cells(city: City) -> None:
    times = pa.array([2**62, 1_700_000_000], pa.int64()).cast(pa.timestamp("s", tz="UTC"))
    table = pa.table({"sensor": ["tilt-1"] * 2, "time": times, "value": [1.0, 2.0], "sequence": [0, 1]})
    city.send(city.message(ipc(table)))
    assert refused_rows(city.outcome) == [(1, "cells", 1)]
    assert city.row()["value"] == 2.0


def test_null_cells_are_refused_row_by_row(city: City) -> None:
    table = pa.table({
        "sensor": pa.array(["tilt-1", None, "tilt-1", "tilt-1"]).dictionary_encode(),
        "time": pa.array([at(1), at(1), None, at(1)], READINGS.field("time").type),
        "value": [1.0, 2.0, 3.0, None], "sequence": [0, 1, 2, 3],
    })  # fmt: skip
    city.send(city.message(ipc(table), arrived=1))
    assert refused_rows(city.outcome) == [(1, "cells", 3)]
    assert city.row()["count"] == 1


def test_a_reading_in_another_unit_is_refused(city: City) -> None:
    city.given().bridge(sensor="heat-1", unit="°C")
    table = pa.table({
        "sensor": ["tilt-1"] * 4, "time": pa.array([at(1)] * 4, READINGS.field("time").type), "value": [1.0] * 4,
        "sequence": [0, 1, 2, 3], "unit": ["mm", "°C", None, "furlong"],
    })  # fmt: skip
    city.send(city.message(ipc(table), arrived=1))
    assert refused_rows(city.outcome) == [(1, "unit", 2)]
    city.send(city.message(reading(sequence=9, unit="cm")))
    assert city.reasons() == ["unit"]


def test_several_batches_with_dictionaries_of_their_own_are_one_message(city: City) -> None:
    city.bridge(sensor="tilt-2")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, READINGS) as writer:
        for sensor in ("tilt-1", "tilt-2", "tilt-1"):
            for batch in pa.ipc.open_stream(arrow([(sensor, 1.0, 5.0, city.sequence, 1, 0)])).read_all().to_batches():
                writer.write_batch(batch)
            city.sequence += 1
    city.send(city.message(sink.getvalue().to_pybytes(), arrived=1))
    assert (city.row("tilt-1")["count"], city.row("tilt-2")["count"]) == (2, 1)


def test_an_empty_batch_is_no_error(city: City) -> None:
    city.send(city.message(arrow([])), city.message(b"[]"))
    assert (city.outcome.rejections, city.position.sequence) == ([], 2)


def test_one_reading_as_json_counts_bare_and_in_either_mode_of_cloudevents(city: City) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "/x", "type": "city.facility.reading.v1"}
    structured = orjson.dumps({**event, "data": orjson.loads(reading(sequence=2, boot=1, quality=1, unit="mm"))})
    city.send(
        city.message(reading(sequence=0, boot=1)),
        city.message(reading(sequence=1, boot=1), ce_type="city.facility.reading.v1", ce_id="2"),
        city.message(structured),
        city.message(b"[%s,%s]" % (reading(sequence=3, boot=1), reading(sequence=4, boot=1))),
    )
    assert city.outcome.rejections == []
    assert (city.row()["count"], city.row()["gaps"]) == (5, 0)


@pytest.mark.parametrize(
    "item",
    [
        {"sensor": "tilt-1"}, 5, None, {"sensor": 5, "time": "2026-01-15T09:00:00Z", "value": 1, "sequence": 0},
        {"sensor": "tilt-1", "time": "2026-01-15T09:00:00", "value": 1, "sequence": 0},
        {"sensor": "tilt-1", "time": "yesterday", "value": 1, "sequence": 0},
        {"sensor": "tilt-1", "time": "2026-01-15T09:00:00Z", "value": "1", "sequence": 0},
        {"sensor": "tilt-1", "time": "2026-01-15T09:00:00Z", "value": True, "sequence": 0},
        {"sensor": "tilt-1", "time": "2026-01-15T09:00:00Z", "value": 1, "sequence": -1},
        {"sensor": "tilt-1", "time": "2026-01-15T09:00:00Z", "value": 1, "sequence": 0, "boot": 2**32},
        {"sensor": "tilt-1", "time": "0001-01-01T00:00:00+14:00", "value": 1, "sequence": 0},
    ],
)  # fmt: skip
def test_json_that_is_no_reading_is_refused_beside_one_that_is(city: City, item: object) -> None:
    city.send(city.message(orjson.dumps([item, orjson.loads(reading())])), city.message(orjson.dumps(item)))
    assert len(city.outcome.rejections) == 2
    assert set(city.reasons()) <= {"cells", "past", "undecodable"}
    assert orjson.loads(city.outcome.rejections[0].data) == [item]
    assert city.row()["count"] == 1


@pytest.mark.parametrize("value", ["NaN", "1e999", "-Infinity", "1" + "0" * 400])
def test_a_number_that_is_none_in_json_refuses_its_reading_and_not_those_beside_it(city: City, value: str) -> None:
    bad = reading(sequence=6).replace(b"1.0", value.encode())
    data = b"[%b,%b]" % (reading(sequence=5), bad)
    city.send(city.message(data), city.message(bad))
    reason = "cells" if value.isdigit() else "value"
    assert city.reasons() == [reason, reason]
    assert city.row()["count"] == 1
    kept = city.outcome.rejections[0]
    city.send(city.message(kept.data))
    assert city.reasons() == [reason]
    old = City().bridge(HIGH)
    old.state.version = 1
    old.send(old.message(data))
    assert (old.reasons(), old.row()["count"]) == (["undecodable"], 0)


def test_an_event_of_another_type_is_refused(city: City) -> None:
    city.send(city.message(reading(), ce_type="city.other.thing.v1"))
    assert city.reasons() == ["type"]


def test_a_delivery_that_repeats_itself_counts_once(city: City) -> None:
    data = arrow([("tilt-1", k, float(k), k, 1, 0) for k in range(10)])
    city.send(city.message(data, arrived=10), city.message(data, arrived=11))
    city.send(city.message(data, arrived=12))
    row = city.row()
    assert (row["count"], row["duplicates"], row["mean"], city.outcome.rejections) == (10, 20, 4.5, [])


def test_late_readings_count_once_and_gaps_are_counted(city: City) -> None:
    city.reads(*(("tilt-1", k, 1.0, k) for k in (0, 1, 5, 3, 3, 70, 6, 7)))
    row = city.row()
    assert (row["gaps"], row["late"], row["duplicates"], row["count"]) == (3 + 64, 2, 2, 6)


def test_what_an_operator_sends_again_too_late_is_refused_anew_and_what_a_device_repeats_is_not(
    city: City,
) -> None:
    rows = [("tilt-1", k, 1.0, k, 1, 0) for k in range(10)]
    other = [("tilt-1", 300, 1.0, k, 1, 0) for k in range(100, 300)]
    city.send(city.message(arrow(other), arrived=300))
    city.send(city.message(arrow(rows + other[-3:]), arrived=301))
    assert (city.outcome.rejections, city.row()["duplicates"]) == ([], 13)
    twin = City()
    twin.state, twin.sequence, twin.position = city.context.load(city.context.dump(city.state)), 2, city.position
    twin.send(twin.message(arrow(rows + other[-3:]), arrived=302))
    city.send(city.message(arrow(rows + other[-3:]), arrived=302, Bomnae_Resubmitted="7"))
    assert refused_rows(city.outcome) == [(3, "behind", 10)]
    assert (twin.outcome.rejections, twin.digest) == ([], city.digest)


def test_a_restarted_device_goes_on(city: City) -> None:
    city.reads(
        ("tilt-1", 0, 1.0, 500, 1), ("tilt-1", 1, 2.0, 0, 2), ("tilt-1", 2, 3.0, 499, 1), ("tilt-1", 3, 4.0, 1, 2)
    )
    row = city.row()
    assert (row["count"], row["boot"], row["sequence"], row["gaps"], row["late"]) == (4, 2, 1, 0, 1)


def test_facts_of_a_sensor_need_no_reading(city: City) -> None:
    row = city.row()
    assert (row["value"], row["time"], row["arrived"], row["boot"], row["sequence"], row["level"]) == (
        None, None, None, None, None, "normal",
    )  # fmt: skip
    assert facts().synthetic is False


def test_a_word_that_many_rows_name_is_not_repeated_in_memory(city: City) -> None:
    rows = 50_000
    times, zeros = pa.array(np.zeros(rows, np.int64)).cast(pa.timestamp("us", "UTC")), np.zeros(rows)
    columns = {"sensor": naming(rows, null=True), "time": times, "value": zeros, "sequence": zeros.astype(np.uint64)}
    message = city.message(stream(pa.table(columns)))
    with allocating() as pool:
        city.send(message)
    assert pool.max_memory() < 10 * len(message.data)
    assert refused_rows(city.outcome) == [(1, "cells", 1), (1, "unknown", rows - 1)]


def test_a_name_that_is_null_in_the_dictionary_is_an_empty_cell(city: City) -> None:
    names = pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.int8()), pa.array(["tilt-1", None]))
    table = pa.ipc.open_stream(arrow([GOOD_ROW] * 3)).read_all().drop_columns("sensor").append_column("sensor", names)
    city.send(city.message(stream(table)))
    assert refused_rows(city.outcome) == [(1, "cells", 2)]
    assert city.row()["count"] == 1
