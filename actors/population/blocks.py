"""Blocks: the objects that hold the counts of one source and day."""

import hashlib
import io

import polars as pl
import pyarrow as pa

from schemas.errors import InvalidError

COUNTS = pl.Schema({"cell": pl.String(), "hour": pl.UInt8(), "count": pl.Float64()})
"""A row per cell of the 500 m grid and hour (Asia/Seoul) with a count above nought, sorted, each pair once."""
_STORED = pa.schema({"cell": pa.dictionary(pa.int32(), pa.string()), "hour": pa.uint8(), "count": pa.float64()})
# Not compressed: the bytes, and with them the digest, must not change with the version of a compressor.


def name_of(block: str) -> str:
    """Where the object of this digest lies, below the folder of objects."""
    return f"population/{block[:2]}/{block}.arrow"


def packed(counts: pl.DataFrame) -> tuple[str, bytes]:
    """Counts as a block: its SHA-256, and its bytes, an Arrow IPC file; the same for the same counts in any order.

    Raises `InvalidError` for columns other than `COUNTS`, a cell and hour twice, an empty cell, a count of nought, less
    or no number.
    """
    if set(counts.columns) != set(COUNTS):
        raise InvalidError(f"a block has the columns {', '.join(COUNTS)}, not {', '.join(counts.columns)}")
    rows = counts.select(pl.col(name).cast(kind) for name, kind in COUNTS.items()).sort("cell", "hour")
    if rows.select(pl.struct("cell", "hour").is_duplicated().any()).item():
        raise InvalidError("a block names each cell and hour once: add the counts up first")
    good = pl.col("cell").is_not_null() & (pl.col("hour") <= 23) & pl.col("count").is_finite() & (pl.col("count") > 0)
    if not rows.select(good.fill_null(value=False).all()).item():
        raise InvalidError("a block holds counts above nought, of a named cell, in the hours 0 to 23")
    table = pa.table({name: rows[name].to_arrow().cast(_STORED.field(name).type) for name in _STORED.names}, _STORED)
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, _STORED) as writer:
        writer.write_table(table)
    data = sink.getvalue()
    return hashlib.sha256(data).hexdigest(), data


def unpacked(block: str, data: bytes) -> pl.DataFrame:
    """The counts of a block, as `COUNTS`. Raises `InvalidError` for bytes of another digest."""
    if (found := hashlib.sha256(data).hexdigest()) != block:
        raise InvalidError(
            f"the block {block[:12]}… holds other bytes ({found[:12]}…): fetch it again, or tell the day anew"
        )
    return pl.read_ipc(io.BytesIO(data)).select(pl.col(name).cast(kind) for name, kind in COUNTS.items())
