"""Blocks: the erasable objects that hold the rows of one camera, model, message and day (UTC)."""

import hashlib

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from actors.sighting.rows import F4, Rows
from schemas.sighting import SIGHTINGS


def name_of(block: str) -> str:
    """Where the object of this digest lies, below the folder of objects."""
    return f"blocks/{block[:2]}/{block}.arrow"


def packed(table: pa.Table) -> tuple[str, bytes]:
    """Rows as a block: its SHA-256, and its bytes, an uncompressed Arrow IPC file; the same for the same rows."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, SIGHTINGS) as writer:
        writer.write_table(table.combine_chunks())
    data = sink.getvalue().to_pybytes()
    return hashlib.sha256(data).hexdigest(), data


def block_of(
    rows: Rows, which: NDArray[np.intp], camera: str, model: str, embeddings: F4, pictures: pa.BinaryArray
) -> tuple[str, bytes]:
    """Some rows of one camera and one model as a block.

    `embeddings` are theirs, of unit length, in the same order; `pictures` those of all rows.
    """
    count, dimensions = embeddings.shape
    taken = pa.array(which)
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * np.int32(dimensions))
    columns = [
        rows.ids.take(taken),
        pa.repeat(pa.scalar(camera, pa.string()), count),
        pa.array(rows.time[which]).cast(SIGHTINGS.field("time").type),
        pa.repeat(pa.scalar(model, pa.string()), count),
        pa.ListArray.from_arrays(offsets, pa.array(embeddings.reshape(-1))).cast(SIGHTINGS.field("embedding").type),
        pa.array(rows.quality[which]),
        rows.box.take(taken),
        rows.attributes.take(taken),
        pictures.take(taken),
    ]
    return packed(pa.Table.from_arrays(columns, schema=SIGHTINGS))
