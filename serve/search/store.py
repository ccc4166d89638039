"""Sealed segments on disk: a folder each, memory-mapped when opened, and one manifest that says which of them count.

A segment's folder is written under another name, synced and renamed, then the manifest is replaced: after a crash at
any moment the old or the new state is there, and what the manifest does not name is removed when the store is opened.
"""

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from schemas.errors import BomnaeError
from serve.search.plan import NO_BOUND, Retention
from serve.search.quantise import Bytes, Encoded, Model
from serve.search.segment import Segment
from serve.search.segment_digest import column_table, digest
from serve.search.segment_rows import ATTRIBUTES, Rows, Vocabularies

VERSION = 1
MANIFEST = "manifest.json"
FILES = ("columns.arrow", "half.npy", "codes.faiss", "bits.faiss")


@dataclass
class DamagedStoreError(BomnaeError):
    """What is on disk is not what was written. Remove the folder and rebuild it from the log."""

    folder: str
    reason: str

    def __str__(self) -> str:
        return f"{self.folder}: {self.reason}; remove it and rebuild the index from the log"


@dataclass(frozen=True, slots=True)
class Kept:
    """What the manifest says."""

    segments: tuple[Segment, ...] = ()
    retention: Retention = NO_BOUND


class Store:
    """The sealed segments of one index in one folder. Not for two writers at once."""

    def __init__(self, folder: Path, model: Model) -> None:
        self.folder, self.model = folder, model
        folder.mkdir(parents=True, exist_ok=True)

    def open(self, texts: Vocabularies) -> Kept:
        """Map all segments and remove leftovers. Raises `DamagedStoreError`, also for another model."""
        path = self.folder / MANIFEST
        said: dict[str, Any] = orjson.loads(path.read_bytes()) if path.exists() else {}
        wanted = (VERSION, self.model.name, self.model.dimension)
        if said and (said["version"], said["model"], said["dimension"]) != wanted:
            raise DamagedStoreError(str(self.folder), f"it holds version {said['version']} of {said['model']}")
        listed = {one["name"]: one for one in said.get("segments", [])}
        for found in self.folder.iterdir():
            if found.is_dir() and found.name not in listed:
                shutil.rmtree(found)
        segments = tuple(self._map(one, texts) for one in listed.values())
        kept = said.get("retention", {})
        retention = Retention(**kept) if kept else NO_BOUND
        return Kept(segments, retention)

    def write(self, segment: Segment, texts: Vocabularies) -> Segment:
        """Store a segment that no manifest names yet; the same one, mapped and named by its digest."""
        name = f"segment-{digest(segment, texts)[:24]}"
        draft, home = self.folder / f"{name}.draft", self.folder / name
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)
        draft.mkdir()
        table = column_table(segment, texts)
        with pa.OSFile(str(draft / FILES[0]), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        np.save(draft / FILES[1], segment.rows.vectors.half)
        faiss.write_index(segment.by_code, str(draft / FILES[2]))
        faiss.write_index_binary(segment.by_bit, str(draft / FILES[3]))
        for path in draft.iterdir():
            _sync(path)
        _sync(draft)
        draft.rename(home)
        _sync(self.folder)
        return self._map(self._entry(Segment.over(**_parts(segment), name=name), texts), texts)

    def commit(self, segments: Sequence[Segment], retention: Retention, texts: Vocabularies) -> None:
        """From now on these segments count, and what the manifest does not name any longer is unlinked."""
        said = {
            "version": VERSION,
            "model": self.model.name,
            "dimension": self.model.dimension,
            "retention": {"before": retention.before, "cameras": dict(retention.cameras)},
            "segments": [self._entry(segment, texts) for segment in segments],
        }
        draft = self.folder / f"{MANIFEST}.draft"
        draft.write_bytes(orjson.dumps(said, option=orjson.OPT_INDENT_2))
        _sync(draft)
        draft.replace(self.folder / MANIFEST)
        _sync(self.folder)
        names = {segment.name for segment in segments}
        for found in self.folder.iterdir():
            if found.is_dir() and found.name not in names:
                shutil.rmtree(found)

    def verify(self, segments: Iterable[Segment], texts: Vocabularies) -> None:
        """Read everything and compare digests. Raises `DamagedStoreError`. Takes seconds per million rows."""
        for segment in segments:
            if segment.name != f"segment-{digest(segment, texts)[:24]}":
                raise DamagedStoreError(str(self.folder / segment.name), "its digest is not the one in its name")

    def _entry(self, segment: Segment, texts: Vocabularies) -> dict[str, Any]:
        home = self.folder / segment.name
        return {
            "name": segment.name,
            "rows": len(segment),
            "error": segment.rows.vectors.error,
            "bytes": {name: (home / name).stat().st_size for name in FILES},
        }

    def _map(self, said: dict[str, Any], texts: Vocabularies) -> Segment:
        home = self.folder / said["name"]
        for name, size in said["bytes"].items():
            path = home / name
            if not path.exists() or path.stat().st_size != size:
                raise DamagedStoreError(str(path), f"{size} bytes were written")
        for name in (FILES[0], FILES[3]):  # read by every first search: let the system begin
            _wanted(home / name)
        with pa.memory_map(str(home / FILES[0])) as source:
            table = pa.ipc.open_file(source).read_all().combine_chunks()
        half: npt.NDArray[np.float16] = np.load(home / FILES[1], mmap_mode="r")
        by_code = faiss.read_index(str(home / FILES[2]), faiss.IO_FLAG_MMAP_IFC)
        by_bit = faiss.read_index_binary(str(home / FILES[3]), faiss.IO_FLAG_MMAP_IFC)
        column = {name: table[name].chunk(0) for name in table.column_names}
        values = [known.encode(column[name]) for name, known in zip(ATTRIBUTES, texts.attributes, strict=True)]
        nothing: Bytes = np.empty((0, 0), np.uint8)  # `over` puts the views of the indexes here
        rows = Rows(
            column["sighting_id"],
            texts.camera.encode(column["camera"]),
            column["time"].to_numpy(),
            column["quality"].to_numpy(),
            np.stack(values, axis=1).astype(np.int16),
            Encoded(half, nothing, nothing, said["error"]),
        )
        return Segment.over(rows, half, by_code, by_bit, said["error"], said["name"])


def _parts(segment: Segment) -> dict[str, Any]:
    half, _, _, error = segment.rows.vectors
    return {"rows": segment.rows, "half": half, "by_code": segment.by_code, "by_bit": segment.by_bit, "error": error}


def _wanted(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_WILLNEED)
    finally:
        os.close(handle)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
