"""Blocks: the erasable objects that hold sightings, read and written by their digest."""

import hashlib

import pyarrow as pa
import pyarrow.compute as pc

from actors.sighting.blocks import name_of, packed
from schemas.base import micros
from schemas.sighting import ErasureRequested
from streams.blobs import Blobs

__all__ = ["fetch", "name_of", "packed", "row_of", "without"]


async def fetch(blobs: Blobs, block: str) -> pa.Table | None:
    """The rows of a block; None where it is not there, or is not what its digest says."""
    data = await blobs.get(name_of(block))
    if data is None or hashlib.sha256(data).hexdigest() != block:
        return None
    return pa.ipc.open_file(pa.BufferReader(data)).read_all()


def without(table: pa.Table, asked: ErasureRequested) -> pa.Table:
    """The rows that an erasure leaves: those outside its window, or not named by it."""
    if asked.window is not None:
        time = table["time"].cast(pa.int64())
        inside = pc.and_(pc.greater_equal(time, micros(asked.window.start)), pc.less(time, micros(asked.window.end)))
        return table.filter(pc.invert(inside))
    return table.filter(pc.invert(pc.is_in(table["sighting_id"], value_set=pa.array(asked.sightings, pa.string()))))


def row_of(table: pa.Table, sighting: str) -> dict[str, object] | None:
    """One row as Python values; None where it is not in this block."""
    rows: list[dict[str, object]] = table.filter(pc.equal(table["sighting_id"], sighting)).slice(0, 1).to_pylist()
    return rows[0] if rows else None
