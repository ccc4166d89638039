"""A published state as bytes that other processes map: one put per state, and no copy per reader."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Mapped:
    """A published state; `tables` refers to what `packed` gave, in Ray's object store."""

    position: int
    clock: int
    ingested: int
    tables: Any


def packed(tables: Mapping[str, pa.Table]) -> dict[str, pa.Buffer]:
    """Each table as an Arrow stream.

    Ray takes tables as they are, too, but takes them apart column by column in Python: 8 to 12 ms for the tables of a
    shard, where this takes 1 (measured with 208 sensors, and with 600 candidates).
    """
    return {name: _stream(table) for name, table in tables.items()}


def unpacked(streams: Mapping[str, pa.Buffer]) -> dict[str, pa.Table]:
    """Inverse of `packed`; the tables read the buffers where they lie."""
    return {name: pa.ipc.open_stream(stream).read_all() for name, stream in streams.items()}


def _stream(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()
