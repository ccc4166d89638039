"""The newest published state of every shard, mapped from Ray's object store: a read costs no actor call."""

import asyncio
import logging
from collections.abc import Collection, Mapping

import ray

from actors.context import Published
from actors.directory import find
from actors.host import ShardKey
from actors.mapping import Mapped, unpacked
from schemas.errors import BomnaeError, UnavailableError
from schemas.settings import CONTEXTS
from serve.backend import Position, View
from streams.ending import ended

logger = logging.getLogger(__name__)
_AGAIN_S = 0.3


class Views:
    """Keeps one outstanding call per host, which returns when something was published of these contexts."""

    def __init__(
        self, hosts: Mapping[str, tuple[ShardKey, ...]], namespace: str, contexts: Collection[str] = CONTEXTS
    ) -> None:
        watched = {name: tuple(key for key in keys if key[0] in contexts) for name, keys in hosts.items()}
        self._hosts, self._namespace = {name: keys for name, keys in watched.items() if keys}, namespace
        self._published: dict[ShardKey, Published] = {}
        self._views: dict[str, View] = {}
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._away: dict[str, str] = {}

    def start(self) -> None:
        """Begin to watch all hosts."""
        self._tasks = [asyncio.create_task(self._watch(name), name=f"watch {name}") for name in self._hosts]

    async def stop(self) -> None:
        """Stop watching."""
        await ended(*self._tasks)

    def missing(self) -> dict[str, str]:
        """What keeps this replica from answering: shards never seen, hosts that do not answer."""
        unseen = {
            f"{context}-{number}": "has not published its state yet"
            for keys in self._hosts.values()
            for context, number in keys
            if (context, number) not in self._published
        }
        return unseen | self._away

    def view(self, context: str) -> View:
        """See `Backend.view`."""
        if context not in self._views:
            shards = [key for keys in self._hosts.values() for key in keys if key[0] == context]
            if not all(key in self._published for key in shards):
                raise UnavailableError("the city's state is still being loaded", retry_after_s=2)
            self._views[context] = View.of(context, [self._published[key] for key in shards])
        return self._views[context]

    async def wait_for(self, position: Position, timeout_s: float) -> None:
        """See `Backend.wait_for`."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self._holds(position):
                    changed = self._changed
                    await changed.wait()
        except TimeoutError:
            raise UnavailableError(f"the position is not readable within {timeout_s} s: try again") from None

    def _holds(self, position: Position) -> bool:
        for piece in position:
            one = self._published.get((piece.context, piece.shard))
            if one is None or (one.ingested if piece.ingest else one.position) < piece.sequence:
                return False
        return True

    async def _watch(self, name: str) -> None:
        while True:
            seen = self._published
            known = {key: seen[key].position if key in seen else -1 for key in self._hosts[name]}
            try:
                news: dict[ShardKey, Mapped] = await find(name, self._namespace).watch.remote(known)
                for key, mapped in news.items():
                    await self._take(key, mapped)
                self._away.pop(name, None)
            except (BomnaeError, ray.exceptions.RayError) as error:
                self._away[name] = "its host does not answer; what is shown may be old"
                logger.warning("%s: %s", name, type(error).__name__)
                await asyncio.sleep(_AGAIN_S)

    async def _take(self, key: ShardKey, mapped: Mapped) -> None:
        tables = unpacked(await mapped.tables)
        self._published[key] = Published(*key, mapped.position, mapped.clock, tables, mapped.ingested)
        self._views.pop(key[0], None)
        self._changed.set()
        self._changed = asyncio.Event()
