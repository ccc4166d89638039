"""Named bytes: where snapshots lie. One protocol, three homes: memory, a `pyarrow.fs` path, the NATS object store."""

from collections.abc import Iterator
from contextlib import contextmanager
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

    async def get(self, name: str) -> bytes | None:
        """The bytes, or None where there are none."""
        ...

    async def delete(self, name: str) -> None:
        """Forget; safe to repeat."""
        ...


class MemoryBlobs:
    """`Blobs` in a dictionary."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    async def put(self, name: str, data: bytes) -> None:
        """See `Blobs`."""
        self.blobs[name] = data

    async def get(self, name: str) -> bytes | None:
        """See `Blobs`."""
        return self.blobs.get(name)

    async def delete(self, name: str) -> None:
        """See `Blobs`."""
        self.blobs.pop(name, None)


class FileBlobs:
    """`Blobs` below any `pyarrow.fs` location: a folder, or an object store in production."""

    def __init__(self, uri: str) -> None:
        self._fs, self._root = fs.FileSystem.from_uri(uri)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    async def put(self, name: str, data: bytes) -> None:
        """See `Blobs`. Written beside and moved into place, so that a reader never meets half of it."""
        path = self._path(name)
        self._fs.create_dir(path.rsplit("/", 1)[0], recursive=True)
        with self._fs.open_output_stream(f"{path}.part") as out:
            out.write(data)
        self._fs.move(f"{path}.part", path)

    async def get(self, name: str) -> bytes | None:
        """See `Blobs`."""
        if self._fs.get_file_info(self._path(name)).type != fs.FileType.File:
            return None
        with self._fs.open_input_stream(self._path(name)) as source:
            data: bytes = source.read()
        return data

    async def delete(self, name: str) -> None:
        """See `Blobs`."""
        if self._fs.get_file_info(self._path(name)).type == fs.FileType.File:
            self._fs.delete_file(self._path(name))


class NatsBlobs:
    """`Blobs` in a NATS object store bucket. Every call raises `UnavailableError` where the server does not answer."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, name: str, data: bytes) -> None:
        """See `Blobs`."""
        with _answered():
            await self._store.put(name, data)

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
