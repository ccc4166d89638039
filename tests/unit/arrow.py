"""Arrow input that costs more than it weighs, and what Arrow allocates for it."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

_POOLS: list[pa.MemoryPool] = []
"""Kept for ever: what was allocated from one may outlive its test, and needs it to be freed."""
LONG = "x" * 4_000


def naming(count: int, *, null: bool = False) -> pa.DictionaryArray:
    """So many rows that name one long word of a dictionary, the first of them null if asked."""
    mask = np.zeros(count, bool)
    mask[0] = null
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int8), mask=mask), pa.array([LONG]))


def stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@contextmanager
def allocating() -> Iterator[pa.MemoryPool]:
    """What Arrow allocates meanwhile: `max_memory()` is the most that was in use at once."""
    usual = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(usual)
    _POOLS.append(pool)
    pa.set_memory_pool(pool)
    try:
        yield pool
    finally:
        pa.set_memory_pool(usual)
