"""Snapshots' tables as rows."""

from typing import Any

import pyarrow as pa


def rows(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a table, with times as µs since the epoch: exact, and far faster than a datetime each."""
    times = pa.types.is_timestamp
    columns = [(cells.cast(pa.int64()) if times(cells.type) else cells).to_pylist() for cells in table.columns]
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]
