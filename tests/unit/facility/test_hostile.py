"""Whatever a sender invents: its message is refused with a reason or counts, and the shard goes on."""

from struct import pack
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from actors.facility.parse_arrow import KEPT_BYTES, KEPT_DICTIONARIES
from actors.facility.rows import Rows
from schemas.tables import MAX_READINGS
from tests.unit.facility.scenario import HIGH, City, arrow, at, ipc

ROWS = [("tilt-1", 1.0, 5.0, 0, 1, 0), ("tilt-7", 1.0, 5.0, 1, 1, 0)]
"""One reading that counts, and one of a sensor that nobody knows."""
ENDS = pa.array([1, 2], pa.int32())
PLAIN = [
    pa.nulls(2),
    pa.array([1, None], pa.int8()),
    pa.array([1.5, 2.5], pa.float16()),
    pa.array(["a", "b"], pa.large_string()),
    pa.array(["a", "b" * 20], pa.string_view()),
    pa.array([b"a", None], pa.binary_view()),
    pa.array([b"", b""], pa.binary(0)),
    pa.array([1, 2], pa.decimal256(40)),
    pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
    pa.array([1, 2], pa.timestamp("ns", "Asia/Seoul")),
    pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"a" * 16, b"b" * 16], pa.binary(16))),
]
AROUND = [
    lambda one: pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), one),
    lambda one: pa.ListViewArray.from_arrays(pa.array([1, 0], pa.int32()), pa.array([1, 1], pa.int32()), one),
    lambda one: pa.FixedSizeListArray.from_arrays(one, 1),
    lambda one: pa.MapArray.from_arrays(pa.array([0, 1, 2], pa.int32()), pa.array(["a", "b"]), one),
    lambda one: pa.StructArray.from_arrays([one, one], ["a", "b"]),
    lambda one: pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [one, one]),
    lambda one: pa.UnionArray.from_dense(pa.array([0, 0], pa.int8()), pa.array([1, 0], pa.int32()), [one]),
    lambda one: pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.int8()), one),
    lambda one: pa.RunEndEncodedArray.from_arrays(ENDS, one),
]
recipes = st.tuples(st.sampled_from(PLAIN), st.lists(st.sampled_from(AROUND), max_size=3))


def cooked(plain: pa.Array, around: list[Any]) -> pa.Array:
    for wrap in around:
        plain = wrap(plain)
    return plain


@settings(max_examples=300)
@given(recipe=recipes, name=st.sampled_from(["note", "sensor", "time", "value", "sequence", "boot", "quality", "unit"]))
def test_no_column_of_any_type_stops_a_shard(recipe: tuple[pa.Array, list[Any]], name: str) -> None:
    table = pa.ipc.open_stream(arrow(ROWS)).read_all()
    try:
        column = cooked(*recipe)
        place = table.schema.get_field_index(name)
        table = table.append_column(name, column) if place < 0 else table.set_column(place, name, column)
        data = ipc(table)
    except (pa.ArrowException, TypeError):
        assume(False)
    city = City().bridge(HIGH)
    city.send(city.message(data, arrived=1))
    refused = city.reasons()
    city.send(city.message(arrow([("tilt-1", 1.0, 5.0, 9, 1, 0)]), arrived=1))
    assert city.row()["sequence"] == 9
    if name == "note":  # Arrow writes a few columns that it then cannot read
        assert (city.row()["count"], refused) in [(2, ["unknown"]), (1, ["undecodable"])]


@pytest.mark.parametrize("column", PLAIN, ids=[str(column.type) for column in PLAIN])
def test_columns_that_no_reading_has_are_ignored_and_not_kept_with_the_refused_rows(column: pa.Array) -> None:
    city = City().bridge(HIGH)
    table = pa.ipc.open_stream(arrow(ROWS)).read_all()
    city.send(city.message(ipc(table.append_column("note", column)), arrived=1))
    assert city.row()["count"] == 1
    (refusal,) = city.outcome.rejections
    kept = pa.ipc.open_stream(refusal.data).read_all()
    assert kept.schema == table.schema
    assert kept.column("sensor").to_pylist() == ["tilt-7"]


def test_rows_that_cannot_be_parted_from_their_message_are_kept_with_the_whole_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(_rows: object) -> tuple[bytes, str]:
        raise pa.ArrowNotImplementedError("no kernel for this")

    city = City().bridge(HIGH)
    made = Rows.__init__
    monkeypatch.setattr(Rows, "__init__", lambda self, *cells: made(self, *cells[:-1], fails))
    data = arrow(ROWS)
    city.send(city.message(data, arrived=1, content_type="application/x"))
    (refusal,) = city.outcome.rejections
    assert (refusal.id, refusal.data, refusal.content_type) == ("facility-1-unknown", data, "application/x")
    assert city.row()["count"] == 1


def test_a_process_without_memory_judges_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def starved(*_: object) -> None:
        raise pa.ArrowMemoryError("malloc failed")

    city = City().bridge(HIGH)
    monkeypatch.setattr("actors.facility.parse.from_arrow", starved)
    with pytest.raises(MemoryError):
        city.send(city.message(arrow(ROWS), arrived=1))


def divided(sequence: int, name: str) -> bytes:
    """A reading of `tilt-001` or `tilt-002`: a dictionary of one name whose body is the same, divided otherwise."""
    data = arrow([("tilt-001tilt-002", 1.0, 5.0, sequence, 1, 0)])
    # The text is 16 bytes long behind two offsets, of which the second is made to end the name after 8.
    body, buffers = pack("<ii", 0, 16) + b"tilt-001tilt-002", pack("<qqqq", 0, 8, 8, 16)
    data = data.replace(body, pack("<ii", 0, 8) + b"tilt-001tilt-002")
    return data if name == "tilt-001" else data.replace(buffers, pack("<qqqq", 0, 16, 16, 8), 1)


def test_dictionaries_of_the_same_bytes_and_other_names_are_told_apart() -> None:
    for name in ("tilt-001", "tilt-002"):
        assert pa.ipc.open_stream(divided(0, name)).read_all()["sensor"].to_pylist() == [name]
    city = City().bridge(sensor="tilt-001").bridge(sensor="tilt-002")
    city.send(city.message(divided(0, "tilt-001"), arrived=1))
    other = City()
    other.state = other.context.load(city.context.dump(city.state))
    other.sequence, other.position = city.sequence, city.position
    for one in (city, other):
        one.send(one.message(divided(1, "tilt-002"), arrived=1))
        assert (one.row("tilt-001")["count"], one.row("tilt-002")["count"]) == (1, 1)
    assert city.digest == other.digest


def of_dictionary(names: list[str], place: int = 0, **more: pa.Array) -> bytes:
    sensor = pa.DictionaryArray.from_arrays(pa.array([place], pa.int32()), pa.array(names))
    columns = {"sensor": sensor, "time": pa.array([at(1)], pa.timestamp("us", "UTC")), "value": [1.0], "sequence": [0]}
    return ipc(pa.table({**columns, **more}))


def test_a_dictionary_may_have_as_many_entries_as_a_message_rows_and_no_more() -> None:
    city = City().bridge(HIGH)
    names = ["tilt-1", *[""] * MAX_READINGS]
    city.send(city.message(of_dictionary(names), arrived=1))
    assert city.reasons() == ["dictionary"]
    unit = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), pa.array(names))
    city.send(city.message(of_dictionary(["tilt-1"], unit=unit), arrived=1))
    assert city.reasons() == ["dictionary"]
    assert "'unit'" in city.outcome.rejections[0].reason
    city.send(city.message(of_dictionary(names[:-1]), arrived=1))
    assert (city.reasons(), city.row()["count"]) == ([], 1)
    old = City().bridge(HIGH)
    old.state.version = 1
    old.send(old.message(of_dictionary(names), arrived=1))
    assert (old.reasons(), old.row()["count"]) == ([], 1)


def test_what_dictionaries_mean_is_kept_in_bounded_memory() -> None:
    city = City().bridge(HIGH)
    for number in range(50):
        city.send(city.message(of_dictionary([str(number), *[""] * (MAX_READINGS - 1)]), arrived=1))
    kept = city.state.columns.codes
    assert 0 < sum(codes.nbytes for codes in kept.values()) <= KEPT_BYTES
    for number in range(300):
        city.send(city.message(of_dictionary([str(number)]), arrived=1))
    assert len(kept) == KEPT_DICTIONARIES
