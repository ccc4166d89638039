"""Snapshots of a shard: columnar, checksummed, listed in an index that moves only after reading back.

A snapshot is the state *after* the commit record at `sequence`. Restart is the newest snapshot plus the tail of the
log, so its time depends on the tail, not on the history. Kept: the newest two, hourly for a day, daily for the
retention.
"""

import hashlib
import io
from collections.abc import Container
from dataclasses import asdict, dataclass

import orjson
import pyarrow as pa

from streams.blobs import Blobs

SCHEMA_VERSION = 1
HOUR, DAY = 3_600_000_000, 86_400_000_000


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """One entry of the index; `clock` is the storage time (µs UTC) of the commit record it stands at."""

    sequence: int
    clock: int
    digest: str
    fold_version: int
    schema_version: int
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The tables that a context dumped, with the generic part of the shard in `shard`."""

    info: SnapshotInfo
    tables: dict[str, pa.Table]


class Snapshots:
    """The snapshots of one shard. Saving is safe to repeat; a crash in between leaves the older index standing."""

    def __init__(self, blobs: Blobs, context: str, shard: int, retention_days: int = 30) -> None:
        self._blobs, self._prefix, self._retention = blobs, f"{context}/{shard}", retention_days * DAY

    async def index(self) -> list[SnapshotInfo]:
        """All snapshots that can be loaded, oldest first."""
        data = await self._blobs.get(f"{self._prefix}/index.json")
        return [SnapshotInfo(**fields) for fields in orjson.loads(data)] if data else []

    async def save(self, sequence: int, clock: int, digest: str, fold_version: int, data: bytes) -> None:
        """Write what `pack` made, read back, compare, and only then list it.

        Raises `OSError` when the bytes read back differ.
        """
        checksum = hashlib.sha256(data).hexdigest()
        name = f"{self._prefix}/{sequence}.arrow"
        await self._blobs.put(name, data)
        stored = await self._blobs.get(name)
        if stored is None or hashlib.sha256(stored).hexdigest() != checksum:
            raise OSError(f"snapshot {name} reads back differently from what was written")
        info = SnapshotInfo(sequence, clock, digest, fold_version, SCHEMA_VERSION, checksum, len(data))
        entries = sorted(
            {entry.sequence: entry for entry in [*await self.index(), info]}.values(),
            key=lambda e: e.sequence,
        )
        kept = thin(entries, clock, self._retention)
        await self._blobs.put(f"{self._prefix}/index.json", orjson.dumps([asdict(entry) for entry in kept]))
        for entry in entries:
            if entry not in kept:
                await self._blobs.delete(f"{self._prefix}/{entry.sequence}.arrow")

    async def newest(
        self, not_after: int | None = None, fold_versions: Container[int] | None = None, upto: int | None = None
    ) -> Snapshot | None:
        """The newest that loads intact, at or before a moment (µs UTC) and a sequence, of one of the fold versions.

        One of another schema version is passed over like a damaged one: the log leads to the same state.
        """
        for info in reversed(await self.index()):
            too_late = (not_after is not None and info.clock > not_after) or (upto is not None and info.sequence > upto)
            readable = info.schema_version == SCHEMA_VERSION and (
                fold_versions is None or info.fold_version in fold_versions
            )
            if too_late or not readable:
                continue
            data = await self._blobs.get(f"{self._prefix}/{info.sequence}.arrow")
            if data is not None and hashlib.sha256(data).hexdigest() == info.sha256:
                return Snapshot(info, unpack(data))
        return None

    async def cut(self, sequence: int) -> int:
        """Forget those behind a sequence, of a log that was put back to it; how many. Safe to repeat."""
        entries = await self.index()
        kept = [entry for entry in entries if entry.sequence <= sequence]
        if len(kept) < len(entries):
            await self._blobs.put(f"{self._prefix}/index.json", orjson.dumps([asdict(entry) for entry in kept]))
        for entry in entries[len(kept) :]:
            await self._blobs.delete(f"{self._prefix}/{entry.sequence}.arrow")
        return len(entries) - len(kept)


def thin(entries: list[SnapshotInfo], now: int, retention: int) -> list[SnapshotInfo]:
    """What is kept: the newest two, the first of each hour of the last day, the first of each day of the retention."""
    kept: dict[tuple[str, int], SnapshotInfo] = {}
    for entry in entries:
        age = now - entry.clock
        if age <= DAY:
            kept.setdefault(("hour", entry.clock // HOUR), entry)
        elif age <= retention:
            kept.setdefault(("day", entry.clock // DAY), entry)
    wanted = {entry.sequence for entry in kept.values()} | {entry.sequence for entry in entries[-2:]}
    return [entry for entry in entries if entry.sequence in wanted]


def pack(tables: dict[str, pa.Table]) -> bytes:
    """Several tables as one Arrow IPC file of (name, bytes of an IPC stream)."""
    payloads = []
    # Facts of sensors and columns that never moved repeat themselves: a city of 100,000 sensors is 50 times smaller.
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    for table in tables.values():
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
            writer.write_table(table)
        payloads.append(sink.getvalue())
    outer = pa.table({"name": pa.array(list(tables), pa.string()), "data": pa.array(payloads, pa.large_binary())})
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, outer.schema) as writer:
        writer.write_table(outer)
    return sink.getvalue()


def unpack(data: bytes) -> dict[str, pa.Table]:
    """Inverse of `pack`."""
    outer = pa.ipc.open_file(data).read_all()
    return {
        name: pa.ipc.open_stream(payload).read_all()
        for name, payload in zip(outer["name"].to_pylist(), outer["data"].to_pylist(), strict=True)
    }
