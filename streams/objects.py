"""Erasable objects: blocks of sightings and queries of cases, each a file that can be deleted.

`blocks/<first two hex>/<sha256>.arrow`, `cases/<case>/<sha256>.bin`, and `pending/<writer>/<token>.json`: what a writer
meant to store last. A writer that dies before the log refers to its objects leaves that note, and its successor sweeps.
"""

import asyncio
import secrets
from collections.abc import Collection, Sequence

import orjson

from streams.blobs import FileBlobs

_AT_ONCE = 8


class Objects:
    """The erasable objects of a city below one `pyarrow.fs` location."""

    def __init__(self, blobs: FileBlobs) -> None:
        self.blobs = blobs
        self._token = secrets.token_hex(6)

    async def keep(self, writer: str, objects: Sequence[tuple[str, bytes]]) -> None:
        """Store objects by name, durably; the note of the writer first. Safe to repeat.

        One after the other per writer: the note names the objects of the last call alone, so those of the call before
        must be referred to, or given up, by then.
        """
        await self.blobs.put(self._note(writer), orjson.dumps([name for name, _ in objects]))
        for start in range(0, len(objects), _AT_ONCE):
            await asyncio.gather(*(self.blobs.put(name, data) for name, data in objects[start : start + _AT_ONCE]))

    async def sweep(self, writer: str, held: Collection[str]) -> list[str]:
        """Erase what this writer's predecessors noted and nobody holds, then their notes; the names erased."""
        erased: list[str] = []
        for note in await self.blobs.names(f"pending/{writer}"):
            names: list[str] = orjson.loads(await self.blobs.get(note) or b"[]")
            for name in names:
                if name not in held:
                    await self.blobs.delete(name)
                    erased.append(name)
            await self.blobs.delete(note)
        return erased

    def _note(self, writer: str) -> str:
        return f"pending/{writer}/{self._token}.json"
