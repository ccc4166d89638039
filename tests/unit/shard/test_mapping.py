import pyarrow as pa

from actors.mapping import packed, unpacked
from schemas.tables import PUBLISHED


def test_tables_come_out_of_the_object_store_as_they_went_in() -> None:
    whole = pa.table({"sensor": ["a", "b", None], "value": [1.5, None, 2.5], "tags": [["x"], [], None]})
    tables = {"whole": whole, "part": whole.slice(1, 1), **{name: one.empty_table() for name, one in _SCHEMAS.items()}}
    again = unpacked(packed(tables))
    assert again == tables
    assert {name: one.schema for name, one in again.items()} == {name: one.schema for name, one in tables.items()}


_SCHEMAS = {f"{context} {name}": schema for context, found in PUBLISHED.items() for name, schema in found.items()}


def test_a_table_is_read_where_its_bytes_lie() -> None:
    streams = packed({"whole": pa.table({"value": list(range(1_000))})})
    before = pa.total_allocated_bytes()
    table = unpacked(streams)["whole"]
    assert table.num_rows == 1_000
    assert pa.total_allocated_bytes() - before < 1_000
