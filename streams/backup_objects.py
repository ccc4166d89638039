"""The objects of a backup: files below its folder `objects`, named and digested in the manifest."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import SetupError
from streams import instance
from streams.blobs import ListedBlobs

FOLDER = "objects"
_KINDS = ("blocks", "cases", "datasets", "population")
"""Notes of writers and plans of erasures are not in it: they end with whoever wrote them."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One object of a backup."""

    name: str
    size: int
    sha256: str


async def save(blobs: ListedBlobs, folder: Path, progress: Callable[[str, int, int], None]) -> tuple[Kept, ...]:
    """Copy all objects; what is erased meanwhile is not copied."""
    names = [name for kind in _KINDS for name in await blobs.names(kind)]
    kept: list[Kept] = []
    for done, name in enumerate(names, 1):
        if (data := await blobs.get(name)) is not None:
            await asyncio.to_thread(_write, folder / FOLDER / name, data)
            kept.append(Kept(name, len(data), hashlib.sha256(data).hexdigest()))
        progress(FOLDER, done, len(names))
    return tuple(kept)


async def load(blobs: ListedBlobs, folder: Path, kept: tuple[Kept, ...]) -> None:
    """Bring all objects back; harmless where some are there already. On failure they are taken away again."""
    try:
        for one in kept:
            await blobs.put(one.name, await asyncio.to_thread((folder / FOLDER / one.name).read_bytes))
    except BaseException:
        await remove(blobs, kept)
        raise


async def remove(blobs: ListedBlobs, kept: tuple[Kept, ...]) -> None:
    """Take the objects of a backup away again."""
    for one in kept:
        await blobs.delete(one.name)


def check(folder: Path, kept: tuple[Kept, ...]) -> None:
    """Raises `SetupError` where an object is missing or damaged, or its name leads out of the folder."""
    root = (folder / FOLDER).resolve()
    for one in kept:
        path = (root / one.name).resolve()
        if not path.is_relative_to(root):
            raise SetupError(f"{one.name} leads out of the backup: use another backup")
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != one.sha256:
            raise SetupError(f"{path} is missing or damaged: use another backup")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    instance.write_atomically(path, data)
