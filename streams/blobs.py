"""Named bytes: where snapshots and erasable objects lie.

One protocol, three homes: memory, a `pyarrow.fs` path, the NATS object store.
"""

import asyncio
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError as NoSuchKeyError
from nats.js.errors import ObjectNotFoundError
from nats.js.object_store import ObjectStore
from pyarrow import fs

from schemas.errors import UnavailableError


class Blobs(Protocol):
    """Bytes by name. `put` replaces; names hold `/` but no `..`."""

    async def put(self, name: str, data: bytes) -> None:
        """Store durably, replacing what was there."""
        ...

    async def put_all(self, objects: Sequence[tuple[str, bytes]]) -> list[Exception | None]:
        """`put` each, of one name in no certain order; what kept it from being stored, None for one that is."""
        ...

    async def get(self, name: str) -> bytes | None:
        """The bytes, or None where there are none."""
        ...

    async def delete(self, name: str) -> None:
        """Forget; safe to repeat."""
        ...


class ListedBlobs(Blobs, Protocol):
    """Blobs whose names can be asked for."""

    async def names(self, prefix: str) -> list[str]:
        """The names of all blobs below a folder, sorted."""
        ...


async def _each_put(blobs: Blobs, objects: Sequence[tuple[str, bytes]]) -> list[Exception | None]:
    put = (blobs.put(name, data) for name, data in objects)
    return _failures(await asyncio.gather(*put, return_exceptions=True))


def _failures(outcomes: Sequence[BaseException | None]) -> list[Exception | None]:
    """The same, but for what is no failure of an object: somebody ends the process, or gives up."""
    for one in outcomes:
        if one is not None and not isinstance(one, Exception):
            raise one
    return [one if isinstance(one, Exception) else None for one in outcomes]


class MemoryBlobs:
    """`ListedBlobs` in a dictionary."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    async def put(self, name: str, data: bytes) -> None:
        """See `Blobs`."""
        self.blobs[name] = data

    async def put_all(self, objects: Sequence[tuple[str, bytes]]) -> list[Exception | None]:
        """See `Blobs`."""
        return await _each_put(self, objects)

    async def get(self, name: str) -> bytes | None:
        """See `Blobs`."""
        return self.blobs.get(name)

    async def delete(self, name: str) -> None:
        """See `Blobs`."""
        self.blobs.pop(name, None)

    async def names(self, prefix: str) -> list[str]:
        """See `ListedBlobs`."""
        return sorted(name for name in self.blobs if name.startswith(f"{prefix}/"))


class FileBlobs:
    """`Blobs` below any `pyarrow.fs` location: a folder, or an object store in production. Works in threads."""

    def __init__(self, uri: str) -> None:
        self._fs, self._root = fs.FileSystem.from_uri(uri)
        self._local = isinstance(self._fs, fs.LocalFileSystem)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    async def put(self, name: str, data: bytes) -> None:
        """See `Blobs`. In a folder written beside and moved into place, so that a reader never meets half of it."""
        (failed,) = await self.put_all([(name, data)])
        if failed is not None:
            raise failed

    async def put_all(self, objects: Sequence[tuple[str, bytes]]) -> list[Exception | None]:
        """See `Blobs`.

        In a folder one after the other, in one thread: eight small ones took half of the CPU that as many threads took,
        and no longer; eight of a megabyte took half as long again. An object store gets them at once.
        """
        paths = [(self._path(name), data) for name, data in objects]
        if self._local:
            return await asyncio.to_thread(self._put_here, paths)
        put = (asyncio.to_thread(self._put_away, path, data) for path, data in paths)
        return _failures(await asyncio.gather(*put, return_exceptions=True))

    async def get(self, name: str) -> bytes | None:
        """See `Blobs`."""
        return await asyncio.to_thread(self._get, self._path(name))

    async def delete(self, name: str) -> None:
        """See `Blobs`."""
        await asyncio.to_thread(self._delete, self._path(name))

    async def names(self, prefix: str) -> list[str]:
        """See `ListedBlobs`. Also those of which a writer that died left a half: `get` has none, `delete` ends it."""
        return list(await self.written(prefix))

    async def written(self, prefix: str) -> dict[str, int]:
        """When each blob below a folder was last written, in µs UTC by the clock of its disk; the names as `names`."""
        return await asyncio.to_thread(self._written, self._path(prefix))

    def _put_here(self, objects: Sequence[tuple[str, bytes]]) -> list[Exception | None]:
        told: list[Exception | None] = []
        folders: dict[str, OSError | None] = {}
        for path, data in objects:
            folder = path.rsplit("/", 1)[0]
            try:
                if folder not in folders:
                    # What lies here may be of persons: nobody else looks into the root, whatever the umask.
                    Path(self._root).mkdir(mode=0o700, parents=True, exist_ok=True)
                    Path(folder).mkdir(parents=True, exist_ok=True)
                    folders[folder] = None
                while not _replaced(f"{path}.part", path, data):
                    pass
                told.append(None)
            except OSError as error:
                told.append(error)
        for folder in folders:
            try:
                _sync(folder)
            except OSError as error:
                folders[folder] = error
        return [failed or folders[path.rsplit("/", 1)[0]] for (path, _), failed in zip(objects, told, strict=True)]

    def _put_away(self, path: str, data: bytes) -> None:
        self._fs.create_dir(path.rsplit("/", 1)[0], recursive=True)
        # An object store shows an object whole or not at all, and several may put the same name at once.
        with self._fs.open_output_stream(path) as out:
            out.write(data)

    def _get(self, path: str) -> bytes | None:
        try:
            with self._fs.open_input_stream(path) as source:
                data: bytes = source.read()
        except FileNotFoundError:
            return None
        return data

    def _delete(self, path: str) -> None:
        # A writer that died may have left the half of it.
        there = [info.path for info in self._fs.get_file_info([path, f"{path}.part"]) if info.type == fs.FileType.File]
        for one in there:
            self._fs.delete_file(one)
        if there and self._local:
            _sync(path.rsplit("/", 1)[0])

    def _written(self, path: str) -> dict[str, int]:
        below = fs.FileSelector(path, allow_not_found=True, recursive=True)
        found = [info for info in self._fs.get_file_info(below) if info.type == fs.FileType.File]
        times: dict[str, int] = {}
        for info in sorted(found, key=lambda one: (one.path.removesuffix(".part"), one.mtime_ns)):
            times[info.path.removeprefix(f"{self._root}/").removesuffix(".part")] = info.mtime_ns // 1_000
        return times


def _replaced(part: str, path: str, data: bytes) -> bool:
    """Write beside and move into place; False where another writer of the same name moved its part meanwhile.

    Writers of one name take turns: the part has a name that `delete` knows, so it is one file for all of them.
    """
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if not os.path.samestat(os.fstat(descriptor), Path(part).stat()):
            return False
        os.ftruncate(descriptor, 0)
        with os.fdopen(descriptor, "wb", closefd=False) as out:
            out.write(data)
        os.fsync(descriptor)
        os.replace(part, path)  # noqa: PTH105 - so many of them come that making paths would be felt
    except FileNotFoundError:
        return False
    finally:
        os.close(descriptor)
    return True


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class NatsBlobs:
    """`Blobs` in a NATS object store bucket. Every call raises `UnavailableError` where the server does not answer."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, name: str, data: bytes) -> None:
        """See `Blobs`."""
        with _answered():
            await self._store.put(name, data)

    async def put_all(self, objects: Sequence[tuple[str, bytes]]) -> list[Exception | None]:
        """See `Blobs`."""
        return await _each_put(self, objects)

    async def get(self, name: str) -> bytes | None:
        """See `Blobs`."""
        try:
            with _answered():
                return (await self._store.get(name)).data
        except (ObjectNotFoundError, NoSuchKeyError):
            return None

    async def delete(self, name: str) -> None:
        """See `Blobs`."""
        try:
            with _answered():
                await self._store.delete(name)
        except (ObjectNotFoundError, NoSuchKeyError):
            return


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except (ObjectNotFoundError, NoSuchKeyError):
        raise
    except NatsError as error:
        raise UnavailableError(f"the object store does not answer: {error!r}") from error
