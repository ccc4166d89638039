"""What cameras and gateways publish: good rows become blocks, the others are refused and nothing of them is kept."""

import base64
import hashlib
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest

from actors.sighting.blocks import name_of
from actors.sighting.fold import keys_in
from actors.sighting.keys import keys_of
from schemas.sighting import MAX_DIMENSIONS, MAX_PICTURE, MAX_SIGHTINGS, SIGHTINGS, SightingsObserved
from streams.ingest import Observed
from tests.unit.arrow import allocating, naming, stream
from tests.unit.jpegs import jpeg
from tests.unit.sighting.scenario import MODEL, City, arrow, at, register, request, row, vector

JPEG = jpeg(bytes(100))
LOOKS = "unmistakable-looks"
HOUR, DAY = 3600.0, 86_400.0


def test_good_rows_become_one_block_and_one_event() -> None:
    city = City(register())
    assert city.hear(row("s-1"), row("s-2", seconds=5)) == ["sightings-observed"]
    event = city.outcome.events[0]
    assert isinstance(event, SightingsObserved)
    (block,) = city.blocks()
    assert (event.block, event.rows, event.dimensions, event.model) == (block, 2, 8, MODEL)
    assert (event.at, event.first, event.last) == (at(10), at(0), at(5))
    assert keys_in(event.keys).tolist() == keys_of(pa.array(["s-1", "s-2"])).tolist()


def test_a_block_is_named_by_its_digest_and_holds_the_rows_as_they_came() -> None:
    city = City(register())
    looks = {"upper": "red", "lower": None, "age": "child", "sex": None, "bag": "none", "hat": None}
    city.hear(row("s-1", box=[1, 2, 30, 40], attributes=looks, picture=JPEG), row("s-2"))
    (block,) = city.blocks()
    assert hashlib.sha256(city.objects[name_of(block)]).hexdigest() == block
    table = city.table(block)
    assert table.schema == SIGHTINGS
    first, second = table.to_pylist()
    assert (first["box"], first["attributes"], first["picture"]) == ([1, 2, 30, 40], looks, JPEG)
    assert (second["box"], second["attributes"], second["picture"]) == (None, None, None)
    assert first["embedding"] == row("s-1")["embedding"]


def test_an_embedding_gets_unit_length_in_its_block() -> None:
    city = City(register())
    long = [3.0] * 8
    city.hear(row("s-1", embedding=long))
    (block,) = city.blocks()
    kept = np.array(city.table(block)["embedding"].to_pylist()[0])
    assert np.linalg.norm(kept) == pytest.approx(1, abs=1e-6)
    assert kept == pytest.approx(np.array(long) / np.linalg.norm(long))


def test_a_sighting_that_comes_again_counts_once_within_a_message_and_across() -> None:
    city = City(register())
    city.hear(row("s-1"), row("s-1", embedding=vector(9)), row("s-2"))
    assert city.outcome.rows == 2
    assert city.hear(row("s-1"), row("s-2")) == []
    assert city.hear(row("s-2"), row("s-3")) == ["sightings-observed"]
    assert city.outcome.rows == 1
    assert city.refused == []


def test_two_cameras_may_use_the_same_id() -> None:
    city = City(register("cam-1", gateway="north"), register("cam-2", gateway="north"))
    assert city.hear(row("s-1", "cam-1"), row("s-1", "cam-2"), kind="gw-north") == ["sightings-observed"] * 2
    assert city.outcome.rows == 2


def test_cameras_and_models_get_a_block_each_in_the_order_of_their_first_rows() -> None:
    city = City(register("cam-1", gateway="north"), register("cam-2", gateway="north"))
    rows = [row("a", "cam-2"), row("b", "cam-1"), row("c", "cam-2", model="face-test.1"), row("d", "cam-2")]
    city.hear(*rows, kind="gw-north")
    told = [(event.camera, event.model, event.rows) for event in city.outcome.events]
    assert told == [("cam-2", MODEL, 2), ("cam-1", MODEL, 1), ("cam-2", "face-test.1", 1)]


@pytest.mark.parametrize(
    ("code", "bad"),
    [
        ("malformed", {"model": None}),
        ("malformed", {"box": [1, 2, 3, None]}),
        ("malformed", {"box": [1, 2, -3, 4]}),
        ("id", {"sighting_id": "with space"}),
        ("id", {"sighting_id": "line\nbreak"}),
        ("id", {"sighting_id": "x" * 81}),
        ("unknown-camera", {"camera": "cam-9"}),
        ("foreign-camera", {"camera": "cam-2"}),
        ("model", {"model": "Upper Case"}),
        ("vector", {"embedding": [1.0] * 7 + [float("nan")]}),
        ("vector", {"embedding": [1.0] * 7 + [float("inf")]}),
        ("vector", {"embedding": [0.0] * 8}),
        ("vector", {"embedding": []}),
        ("vector", {"embedding": [1.0]}),
        ("vector", {"embedding": [1.0] * (MAX_DIMENSIONS + 1)}),
        ("dimensions", {"embedding": [1.0] * 9}),
        ("quality", {"quality": 1.5}),
        ("quality", {"quality": float("nan")}),
        ("attributes", {"attributes": {"upper": LOOKS}}),
        ("picture", {"picture": b"\xff\xd8\xff" + bytes(MAX_PICTURE)}),
        ("picture", {"picture": b"GIF89a"}),
        ("picture", {"picture": JPEG[:-2]}),
        ("future", {"time": at(10 + 301)}),
        ("too-old", {"time": at(10 - 30 * 86_400 - 1)}),
    ],
)
def test_a_bad_row_is_refused_with_its_reason_and_the_good_ones_beside_it_count(code: str, bad: dict[str, Any]) -> None:
    city = City(register("cam-1"), register("cam-2"))
    assert city.hear(row("good-1"), row("bad") | bad, row("good-2")) == ["sightings-observed"]
    assert (city.refused, city.outcome.rows) == ([code], 2)


def test_a_refusal_names_rows_and_holds_nothing_of_a_person() -> None:
    city = City(register())
    looks = {"upper": LOOKS}
    bad = row("s-7", embedding=vector(7), attributes=looks, picture=jpeg(b"PICTURE"))
    city.hear(row("s-1"), bad)
    (refusal,) = city.outcome.rejections
    assert orjson.loads(refusal.data) == [
        {"row": 1, "sighting_id": "s-7", "camera": "cam-1", "time": int(at(0).timestamp() * 1e6)}
    ]
    everything = repr(refusal).encode() + refusal.data
    for part in (LOOKS.encode(), b"PICTURE", np.array(bad["embedding"], np.float32).tobytes()):
        assert part not in everything


@pytest.mark.parametrize(
    "data",
    [
        b"not arrow, not json: " + LOOKS.encode(),
        b'{"sighting_id": "' + LOOKS.encode(),
        arrow([row("s-1")])[:200],
        b"\xff\xff\xff\xff" + LOOKS.encode() * 10,
    ],
)
def test_a_message_that_cannot_be_read_is_refused_without_its_bytes(data: bytes) -> None:
    city = City(register())
    assert city.observe(city.say(data)) == []
    (refusal,) = city.outcome.rejections
    assert city.refused == ["undecodable"]
    assert refusal.data == b"[]"
    assert LOOKS not in refusal.reason


def test_a_message_with_too_many_rows_is_refused_whole() -> None:
    city = City(register())
    table = pa.Table.from_pylist([row("s-1")], pa.schema([field.with_nullable(True) for field in SIGHTINGS]))
    many = pa.concat_tables([table] * (MAX_SIGHTINGS + 1)).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, many.schema) as writer:
        writer.write_table(many)
    assert city.observe(city.say(sink.getvalue().to_pybytes())) == []
    assert city.refused == ["too-large"]


def test_a_compressed_stream_is_refused_before_it_is_unpacked() -> None:
    city = City(register())
    table = pa.Table.from_pylist([row("s-1")] * 100, pa.schema([field.with_nullable(True) for field in SIGHTINGS]))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    city.observe(city.say(sink.getvalue().to_pybytes()))
    assert city.refused == ["compressed"]


@pytest.mark.parametrize("extra", ["note", "embedding2"])
def test_a_column_that_no_sighting_has_is_refused(extra: str) -> None:
    city = City(register())
    schema = SIGHTINGS.append(pa.field(extra, pa.string()))
    city.observe(city.say(arrow([{**row("s-1"), extra: LOOKS}], schema)))
    assert city.refused == ["schema"]


def variants() -> dict[str, pa.Schema]:
    def with_type(name: str, kind: pa.DataType) -> pa.Schema:
        return SIGHTINGS.set(SIGHTINGS.get_field_index(name), pa.field(name, kind))

    return {
        "fixed-size list": with_type("embedding", pa.list_(pa.float32(), 8)),
        "large list": with_type("embedding", pa.large_list(pa.float32())),
        "float64": with_type("embedding", pa.list_(pa.float64())),
        "dictionary": with_type("camera", pa.dictionary(pa.int32(), pa.string())),
        "large string": with_type("sighting_id", pa.large_string()),
        "milliseconds": with_type("time", pa.timestamp("ms", tz="Asia/Seoul")),
        "nanoseconds": with_type("time", pa.timestamp("ns", tz="UTC")),
        "no optional columns": pa.schema([field for field in SIGHTINGS if not field.nullable]),
        "variable box": with_type("box", pa.list_(pa.int64())),
    }


@pytest.mark.parametrize("name", list(variants()))
def test_however_the_columns_are_encoded_the_block_is_the_same(name: str) -> None:
    plain, other = City(register()), City(register())
    rows = [row("s-1"), row("s-2", seconds=2)]
    plain.hear(*rows)
    other.observe(other.say(arrow(rows, variants()[name])))
    assert other.refused == []
    assert other.blocks() == plain.blocks()


def test_half_precision_is_taken() -> None:
    city = City(register())
    kind = SIGHTINGS.set(SIGHTINGS.get_field_index("embedding"), pa.field("embedding", pa.list_(pa.float16())))
    city.observe(city.say(arrow([row("s-1", embedding=np.array(vector(1), np.float16).tolist())], kind)))
    assert (city.refused, city.outcome.rows) == ([], 1)


def as_json(one: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in one.items() if value is not None}
    if "picture" in kept:
        kept["picture"] = base64.b64encode(kept["picture"]).decode()
    return {**kept, "time": kept["time"].isoformat()}


def test_one_sighting_as_json_makes_the_same_block_as_arrow() -> None:
    plain, other = City(register()), City(register())
    one = row("s-1", box=[1, 2, 3, 4], attributes={"hat": "hat"}, picture=JPEG)
    plain.hear(one)
    other.observe(other.say(orjson.dumps(as_json(one))))
    assert other.blocks() == plain.blocks()


def test_a_bad_one_in_a_json_list_is_refused_alone() -> None:
    city = City(register())
    body = [as_json(row("s-1")), {"sighting_id": "s-2", "looks": LOOKS}, 7, as_json(row("s-3"))]
    city.observe(city.say(orjson.dumps(body)))
    assert (city.refused, city.outcome.rows) == (["malformed"], 2)
    assert LOOKS.encode() not in city.outcome.rejections[0].data


def test_a_gateway_speaks_for_the_cameras_that_name_it_alone() -> None:
    city = City(register("cam-1", gateway="north"), register("cam-2", gateway="south"))
    city.hear(row("s-1", "cam-1"), row("s-2", "cam-2"), entity="cam-2", kind="gw-north")
    assert (city.refused, city.outcome.rows) == (["foreign-camera"], 1)


def test_another_kind_of_message_is_refused() -> None:
    city = City(register())
    city.hear(row("s-1"), kind="readings")
    assert city.refused == ["kind"]


def test_a_row_in_an_erased_window_is_refused_and_one_outside_counts() -> None:
    city = City(register())
    city.do(request(window={"start": at(0), "end": at(5)}))
    city.hear(row("s-1", seconds=0), row("s-2", seconds=4.9), row("s-3", seconds=5), seconds=101)
    assert (city.refused, city.outcome.rows) == (["erased"], 1)


def test_a_sighting_that_was_erased_by_its_id_is_not_taken_again() -> None:
    city = City(register())
    city.do(request(sightings=("s-1",)))
    city.hear(row("s-1"), row("s-2"))
    assert (city.refused, city.outcome.rows) == (["erased"], 1)


def test_too_many_cameras_times_models_are_refused() -> None:
    city = City(register())
    city.hear(*(row(f"s-{n}", model=f"m-{n}") for n in range(201)))
    assert city.refused == ["too-many"]


def test_rows_of_several_days_become_a_block_for_each_earliest_first() -> None:
    city = City(register())
    old = [row(f"s-{n}", seconds=-3 * DAY + n) for n in range(2)]
    # 09:00 is T0: midnight is fifteen hours ahead of it, and nine behind.
    late = [row("s-2", seconds=-9 * HOUR - 1), row("s-3", seconds=-9 * HOUR)]
    city.hear(late[1], old[1], late[0], old[0], row("s-1", seconds=-HOUR))
    assert [city.table(block)["sighting_id"].to_pylist() for block in city.blocks()] == [
        ["s-1", "s-0"],
        ["s-2"],
        ["s-3"],
    ]
    events = [one for one in city.outcome.events if isinstance(one, SightingsObserved)]
    assert [(one.first, one.last) for one in events] == [
        (at(-3 * DAY), at(-3 * DAY + 1)),
        (at(-9 * HOUR - 1), at(-9 * HOUR - 1)),
        (at(-9 * HOUR), at(-9 * HOUR)),
    ]
    assert [keys_in(one.keys).tolist() for one in events] == [
        keys_of(city.table(block)["sighting_id"].combine_chunks()).tolist() for block in city.blocks()
    ]


def test_cameras_times_models_times_days_are_bounded() -> None:
    city = City(*(register(f"cam-{n}", gateway="north") for n in range(10)))
    rows = [row(f"s-{n}", f"cam-{n}", seconds=-day * DAY) for n in range(10) for day in range(21)]
    rows = [{**one, "sighting_id": f"s-{number}"} for number, one in enumerate(rows)]
    assert city.hear(*rows[:200], kind="gw-north") == ["sightings-observed"] * 200
    assert city.hear(*rows, kind="gw-north") == []
    assert city.refused == ["too-many"]


def test_a_full_commit_ends_before_a_message_and_goes_on_with_it() -> None:
    city = City(register())
    many = [city.say(arrow([row(f"s-{m}-{n}", model=f"m-{n}") for n in range(150)])) for m in range(4)]
    first = city.context.observe(city.state, many, city.position, 499)
    assert first.end.sequence == 2
    assert len(first.events) == 300


def test_an_id_hashes_the_same_whatever_stands_beside_it() -> None:
    ids = ["a", "ab", "x" * 80, "12345678", "123456789", ""]
    together = keys_of(pa.array(ids)).tolist()
    assert together == [keys_of(pa.array([one])).tolist()[0] for one in ids]
    assert len(set(together)) == len(ids)
    assert keys_of(pa.array(["zz", *ids]).slice(1)).tolist() == together


def test_keys_stand_in_the_log_and_never_change() -> None:
    assert keys_of(pa.array(["cam-1.20260115T030000.3", "s-1"])).tolist() == [
        15124900149240339952,
        9137169528528654010,
    ]


def test_nothing_that_is_observed_raises() -> None:
    city = City(register())
    odd = [b"", b"null", b"[]", b"[null]", b"[[]]", b'"x"', b"{}", b"\xff" * 64, b'{"specversion":"1.0"}']
    for data in odd:
        city.observe(Observed(city.sequence + 1, "cam-1", "sightings", 0, {}, data), city.say(data))


@pytest.mark.parametrize("column", ["sighting_id", "camera", "model", "attributes"])
def test_a_word_that_many_rows_name_is_not_repeated_in_memory(column: str) -> None:
    city = City(register())
    count = 10_000
    plain = [field.name for field in SIGHTINGS if not field.nullable]
    table = pa.Table.from_pylist([row(f"s-{n}") for n in range(count)], SIGHTINGS).select(plain)
    word: pa.Array = naming(count)
    if column == "attributes":
        table = table.append_column(column, pa.StructArray.from_arrays([word], names=["upper"]))
    else:
        table = table.set_column(table.column_names.index(column), column, word)
    message = city.say(stream(table))
    with allocating() as pool:
        city.observe(message)
    assert pool.max_memory() < 20_000_000
    code = {"sighting_id": "id", "camera": "unknown-camera"}.get(column, column)
    assert city.refused == [code]


@pytest.mark.parametrize("kind", [pa.binary(), pa.string_view(), pa.dictionary(pa.int8(), pa.binary())])
def test_attributes_are_words(kind: pa.DataType) -> None:
    city = City(register())
    attributes = pa.StructArray.from_arrays([pa.array([b"red"]).cast(kind)], names=["upper"])
    table = pa.Table.from_pylist([row("s-1")], SIGHTINGS).drop_columns("attributes")
    city.observe(city.say(stream(table.append_column("attributes", attributes))))
    assert city.refused == ["schema"]


def test_rows_at_which_judging_fails_are_refused_whole_and_the_next_message_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError(LOOKS)

    city = City(register())
    with monkeypatch.context() as broken:
        broken.setattr("actors.sighting.judge._judge_vectors", fails)
        assert city.hear(row("s-1")) == []
    (refusal,) = city.outcome.rejections
    assert (refusal.id, refusal.data) == ("sighting-1-undecodable", b"[]")
    assert "ZeroDivisionError" in refusal.reason
    assert LOOKS not in refusal.reason
    assert city.hear(row("s-1")) == ["sightings-observed"]
