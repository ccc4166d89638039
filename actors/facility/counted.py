"""The readings that counted, for the archive: in the fold alone it is known which those are, and with what value."""

import numpy as np
import pyarrow as pa

from actors.facility.batch import Batch
from actors.facility.columns import B1, F8, I8
from actors.facility.state import Shard
from schemas.archive import READINGS

_TOLD = [
    READINGS.field(name)
    for name in ("facility", "sensor", "time", "value", "quality", "arrived", "boot", "sequence", "synthetic")
]


def readings(shard: Shard, batch: Batch, row: I8, value: F8, quality: B1) -> pa.Table:
    """Some rows of a batch, with the values and qualities that the fold gave them, in stream order."""
    order = np.argsort(row, kind="stable")
    row, columns = row[order], shard.columns
    used, at = np.unique(batch.sensor[row], return_inverse=True)
    sensors = used.tolist()
    synthetic = [
        columns.facts[one].synthetic or shard.facilities[columns.facility[one]].facts.synthetic for one in sensors
    ]
    said = [
        pa.array([columns.facility[one] for one in sensors], pa.string()).take(pa.array(at)),
        pa.array([columns.ids[one] for one in sensors], pa.string()).take(pa.array(at)),
        pa.array(batch.time[row]).cast(READINGS.field("time").type),
        pa.array(value[order]),
        pa.array(quality[order].astype(np.int8)),
        pa.array(batch.arrived[row]).cast(READINGS.field("arrived").type),
        pa.array(batch.boot[row]),
        pa.array(batch.sequence[row]),
        pa.array(np.array(synthetic, np.bool_)[at]),
    ]
    return pa.Table.from_arrays(said, schema=pa.schema(_TOLD))


def take(shard: Shard) -> pa.Table | None:
    """Those since the last call; the first begins to keep them."""
    kept, shard.counted = shard.counted, []
    return pa.concat_tables(kept) if kept else None
