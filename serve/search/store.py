"""Sealed segments on disk: a folder each, memory-mapped when opened, and one manifest that says which of them count.

A segment's folder is written under another name, synced and renamed, then the manifest is replaced: after a crash at
any moment the old or the new state is there, and what the manifest does not name is removed when the store is opened.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from schemas.errors import BomnaeError
from serve.search.quantise import Bytes, Encoded, Model
from serve.search.segment import Segment
from serve.search.segment_digest import column_table, digest
from serve.search.segment_rows import ATTRIBUTES, Rows, Vocabularies

VERSION = 2
MANIFEST = "manifest.json"
FILES = ("columns.arrow", "half.npy", "codes.faiss", "bits.faiss")
_UNREADABLE = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, EOFError, MemoryError),
    *(FileNotFoundError, pa.ArrowException),
)
"""What damaged bytes raise in the libraries that read them. Another `OSError` says nothing about what is on disk."""


@dataclass
class DamagedStoreError(BomnaeError):
    """What is on disk is not what was written. Remove the folder and rebuild it from the log."""

    folder: str
    reason: str

    def __str__(self) -> str:
        return f"{self.folder}: {self.reason}; remove it and rebuild the index from the log"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever damaged bytes raise inside of it is a `DamagedStoreError`."""
    try:
        yield
    except (*_UNREADABLE, OSError) as error:
        # Arrow raises an OSError without a number for a file that it does not understand.
        if isinstance(error, _UNREADABLE) or error.errno is None:
            raise DamagedStoreError(str(path), f"it cannot be read ({type(error).__name__}: {error})") from error
        raise


class Rewritten(NamedTuple):
    """What removing rows did to a segment: its digest before and after, which is empty where nothing of it is left."""

    before: str
    after: str
    rows: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What the manifest says."""

    segments: tuple[Segment, ...] = ()
    receipts: Mapping[str, tuple[Rewritten, ...]] = field(default_factory=dict)


class Store:
    """The sealed segments of one index in one folder. Not for two writers at once."""

    def __init__(self, folder: Path, model: Model) -> None:
        self.folder, self.model = folder, model
        self._entries: dict[str, dict[str, Any]] = {}
        """What the manifest says of each segment, by name."""
        folder.mkdir(parents=True, exist_ok=True)

    def open(self, texts: Vocabularies) -> Kept:
        """Map all segments and remove leftovers. Raises `DamagedStoreError`, also for another model.

        What lies in the middle of a file is not looked at: `verify` does.
        """
        with reading(self.folder):
            return self._open(texts)

    def _open(self, texts: Vocabularies) -> Kept:
        path = self.folder / MANIFEST
        if not path.exists():
            if any(self.folder.glob("segment-*")):
                raise DamagedStoreError(str(path), "it is not there, and segments are")
            # From the first segment on there is one, so that one that was lost is noticed.
            self.commit((), {})
        said: dict[str, Any] = orjson.loads(path.read_bytes())
        wanted = (VERSION, self.model.name, self.model.dimension)
        if (said["version"], said["model"], said["dimension"]) != wanted:
            raise DamagedStoreError(str(self.folder), f"it holds version {said['version']} of {said['model']}")
        self._entries = {one["name"]: one for one in said.get("segments", [])}
        for found in self.folder.iterdir():
            if found.is_dir() and found.name not in self._entries:
                shutil.rmtree(found)
        segments = tuple(self._map(one, texts) for one in self._entries.values())
        receipts = said.get("receipts", {}).items()
        return Kept(segments, {name: tuple(Rewritten(*one) for one in done) for name, done in receipts})

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
        files = {one: {"bytes": (home / one).stat().st_size, "sha256": _sha256(home / one)} for one in FILES}
        said = {"name": name, "rows": len(segment), "error": segment.rows.vectors.error, "files": files}
        self._entries[name] = said
        return self._map(said, texts)

    def commit(self, segments: Sequence[Segment], receipts: Mapping[str, Sequence[Rewritten]]) -> None:
        """From now on these segments count, and what the manifest does not name any longer is unlinked."""
        said = {
            "version": VERSION,
            "model": self.model.name,
            "dimension": self.model.dimension,
            "receipts": {name: [list(one) for one in done] for name, done in receipts.items()},
            "segments": [self._entries[segment.name] for segment in segments],
        }
        draft = self.folder / f"{MANIFEST}.draft"
        draft.write_bytes(orjson.dumps(said, option=orjson.OPT_INDENT_2))
        _sync(draft)
        draft.replace(self.folder / MANIFEST)
        _sync(self.folder)
        self._entries = {segment.name: self._entries[segment.name] for segment in segments}
        for found in self.folder.iterdir():
            if found.is_dir() and found.name not in self._entries:
                shutil.rmtree(found)

    def verify(self, segments: Iterable[Segment]) -> None:
        """Read everything and compare digests. Raises `DamagedStoreError`. Takes seconds per million rows."""
        for segment in segments:
            for name in FILES:
                path, said = self.folder / segment.name / name, self._entries.get(segment.name)
                try:
                    good = said is None or _sha256(path) == said["files"][name]["sha256"]
                except FileNotFoundError:
                    good = segment.name not in self._entries  # rewritten meanwhile
                if not good:
                    raise DamagedStoreError(str(path), "its digest is not the one of what was written")

    def _map(self, said: dict[str, Any], texts: Vocabularies) -> Segment:
        home = self.folder / said["name"]
        for name in FILES:
            path, size = home / name, said["files"][name]["bytes"]
            if not path.exists() or path.stat().st_size != size:
                raise DamagedStoreError(str(path), f"{size} bytes were written")
        for name in (FILES[0], FILES[3]):  # read by every first search: let the system begin
            _wanted(home / name)
        with pa.memory_map(str(home / FILES[0])) as source:
            table = pa.ipc.open_file(source).read_all().combine_chunks()
        table.validate()
        # As a plain array: taking rows of a memmap makes another each time, which takes as long as the rows.
        half: npt.NDArray[np.float16] = np.asarray(np.load(home / FILES[1], mmap_mode="r"))
        by_code = faiss.read_index(str(home / FILES[2]), faiss.IO_FLAG_MMAP_IFC)
        by_bit = faiss.read_index_binary(str(home / FILES[3]), faiss.IO_FLAG_MMAP_IFC)
        shapes = table.num_rows, half.shape, (by_code.ntotal, by_code.d), (by_bit.ntotal, by_bit.d)
        rows, dimension = said["rows"], self.model.dimension
        if shapes != (rows, (rows, dimension), (rows, dimension), (rows, self.model.bits)):
            raise DamagedStoreError(str(home), f"{rows} rows of {dimension} dimensions were written")
        column = {name: table[name].chunk(0) for name in table.column_names}
        values = [known.encode(column[name]) for name, known in zip(ATTRIBUTES, texts.attributes, strict=True)]
        nothing: Bytes = np.empty((0, 0), np.uint8)  # `over` puts the views of the indexes here
        mapped = Rows(
            column["sighting_id"],
            texts.camera.encode(column["camera"]),
            column["time"].to_numpy(),
            column["quality"].to_numpy(),
            np.stack(values, axis=1).astype(np.int16),
            Encoded(half, nothing, nothing, said["error"]),
        )
        return Segment.over(mapped, half, by_code, by_bit, said["error"], said["name"])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
