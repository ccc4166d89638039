"""The city behind the routes on a running node: shard actors for writes, mapped tables for reads, NATS for streams."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from typing import Any

import aiohttp
import orjson
import polars as pl
import ray
from ray import serve as ray_serve
from ray.serve.exceptions import RayServeException

from actors.archiving.actor import NAME as ARCHIVE
from actors.archiving.archivist import Hot, url_of
from actors.context import Published
from actors.directory import find, placement
from actors.host import CONTEXTS, Request, ShardKey
from actors.journal import UNANSWERED, Entry
from actors.replay import load
from schemas.base import Command, micros
from schemas.errors import BomnaeError, GoneError, LogGapError, UnavailableError
from schemas.settings import Settings
from serve.backend import Answer, Feed, FeedItem, HistoryItem, Piece, Position, View, part_of
from serve.nats_metrics import NatsMetrics
from serve.pictures.cards import cards
from serve.pictures.encoder import Taken
from serve.render import frame_of
from serve.search.actor import Calls
from serve.search.protocol import Encoded, Photograph, Query, Search
from serve.search.router import Router
from serve.together import Together
from serve.views import Views
from streams import live, rejected
from streams.archive import Archive
from streams.connection import Connection, access_of
from streams.log import Record, sealed_alone
from streams.rejected import Rejected
from streams.subjects import COMMANDED, ingest_stream, log_subject, partition
from streams.tending import FULL_BYTES, free_bytes

_WRITE_S = 10.0
_FULL = "the disk of the log is full: nothing new is stored until its operator makes room, then repeat this"
ENCODER = "encoder"
"""Name of the application that turns pictures into embeddings."""


class City:
    """A `serve.backend.Backend` over Ray and NATS. `start` before the first request, `stop` after the last."""

    def __init__(self, settings: Settings, contexts: Collection[str] = CONTEXTS) -> None:
        """`contexts` are those whose state is followed."""
        self._settings = settings
        self._hosts = placement({name: settings.shards(name) for name in CONTEXTS}, settings.shard_hosts)
        self._host_of = {key: name for name, keys in self._hosts.items() for key in keys}
        # A shard each, not a host: one that cannot commit keeps no other's commands waiting.
        self._asking = {key: Together(partial(self._send, key), f"ask {key}") for key in self._host_of}
        # Of a kind each: a search does not wait for a dataset. Whose objects were kept together go on together, too.
        self._keeping: defaultdict[str, Together[tuple[str, bytes], Exception | None]] = defaultdict(
            lambda: Together(self._keep, "keep")
        )
        self._views = Views(self._hosts, settings.ray_namespace, contexts)
        self._connection: Connection | None = None
        self._calls = Calls(settings.ray_namespace)
        self._router = Router(
            self._calls,
            settings.search_shards,
            settings.search_copies,
            settings.shards("sighting"),
            cards(settings),
            self._calls.layouts,
            self._encode,
            self._cameras,
        )
        self._archive = Archive(url_of(settings))
        self._nats = NatsMetrics(settings.data)
        self._past: dict[tuple[ShardKey, int], Published] = {}

    async def start(self) -> None:
        """Connect and begin to follow the shards."""
        self._connection = await Connection.open(access_of(self._settings), "api")
        self._views.start()
        await self._router.start()

    async def stop(self) -> None:
        """Stop following and disconnect."""
        await self._router.stop()
        await asyncio.gather(*(one.stop() for one in self._asking.values()))
        await asyncio.gather(*(one.stop() for one in self._keeping.values()))
        await self._views.stop()
        if self._connection is not None:
            await self._connection.close()

    @property
    def _log(self) -> Connection:
        if self._connection is None or not self._connection.nc.is_connected:
            raise UnavailableError("NATS is away: try again in a moment", retry_after_s=2)
        return self._connection

    @property
    def reconnects(self) -> int:
        """How often the connection to NATS had to be made again."""
        return self._connection.reconnects if self._connection is not None else 0

    def now(self) -> datetime:
        """See `Backend`."""
        return datetime.now(UTC)

    def shards(self, context: str) -> int:
        """See `Backend`."""
        return self._settings.shards(context)

    def view(self, context: str) -> View:
        """See `Backend`."""
        return self._views.view(context)

    async def wait_for(self, position: Position, timeout_s: float) -> None:
        """See `Backend`."""
        await self._views.wait_for(position, timeout_s)

    async def facts(self, tables: Sequence[str]) -> Mapping[str, pl.LazyFrame]:
        """See `Backend`."""
        hot: dict[str, Hot] = {table: await self._calls(ARCHIVE, "hot", table) for table in tables}
        scans = {table: await asyncio.to_thread(self._archive.scan, table, one.version) for table, one in hot.items()}
        return {table: pl.concat([scans[table], frame_of(one.rows).lazy()]) for table, one in hot.items()}

    @property
    def search(self) -> Search:
        """See `Backend`."""
        return self._router

    async def people(self, picture: bytes) -> bytes:
        """See `Backend`."""
        data: bytes = await self._of_encoder("people", picture)
        return data

    def _cameras(self) -> list[str]:
        names: list[str] = self._views.view("sighting").tables["cameras"]["camera"].to_pylist()
        return names

    async def _encode(self, photo: bytes) -> Photograph:
        taken: Taken = await self._of_encoder("query", photo)
        people = (
            Encoded(Query(one.model, one.embedding), one.quality, one.box, one.kind == "face") for one in taken.people
        )
        return Photograph(tuple(people), taken.picture)

    async def _of_encoder(self, method: str, picture: bytes) -> Any:
        try:
            return await getattr(ray_serve.get_app_handle(ENCODER), method).remote(picture)
        except RayServeException as error:
            why = "no encoder runs here: search with an embedding, send sightings that are encoded elsewhere"
            raise UnavailableError(why, retry_after_s=60) from error
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, BomnaeError):
                raise error.cause from None
            raise UnavailableError("the encoder failed", retry_after_s=5) from error
        except ray.exceptions.RayError as error:
            raise UnavailableError("the encoder does not answer", retry_after_s=5) from error

    async def put_object(self, name: str, data: bytes) -> None:
        """See `Backend`."""
        (failed,) = await self._keeping[name.partition("/")[0]].ask([(name, data)])
        if isinstance(failed, OSError):
            raise _away(failed) from failed
        if failed is not None:
            raise failed

    async def _keep(self, objects: Sequence[tuple[str, bytes]]) -> list[Exception | None]:
        self._check_room()
        blobs = self._log.objects().blobs
        try:
            async with asyncio.timeout(_WRITE_S):
                return await blobs.put_all(objects)
        except TimeoutError as error:
            raise _away(error) from error

    async def get_object(self, name: str) -> bytes | None:
        """See `Backend`."""
        try:
            return await self._log.objects().blobs.get(name)
        except OSError as error:
            raise _away(error) from error

    async def delete_object(self, name: str) -> None:
        """See `Backend`."""
        try:
            await self._log.objects().blobs.delete(name)
        except OSError as error:
            raise _away(error) from error

    def ready(self) -> dict[str, str]:
        """See `Backend`."""
        missing = self._views.missing()
        if self._connection is None or not self._connection.nc.is_connected:
            missing["nats"] = "not connected"
        if self._disk_is_full():
            missing["disk"] = _FULL
        return missing

    def _disk_is_full(self) -> bool:
        """Whether the embedded server has no room: it would take what is sent, and answer nobody. One system call."""
        return not self._settings.nats_urls and free_bytes(self._settings.data) < FULL_BYTES

    def _check_room(self) -> None:
        """Raises `UnavailableError` at once where a write would only time out."""
        if self._disk_is_full():
            raise UnavailableError(_FULL, retry_after_s=10)

    async def submit(
        self, commands: Sequence[Command], key: str | None, request_digest: str | None, trace: str = ""
    ) -> Answer:
        """See `Backend`.

        A key is first claimed in one shard that depends on the key alone, so that another request under the same key
        is refused wherever its entities live.
        """
        self._check_room()
        at, digest = micros(self.now()), request_digest or ""
        if key is not None:
            await self.claim(key, digest)
        requests = [
            Request(self._shard(command), command, part_of(key, command), digest, at, trace=trace)
            for command in commands
        ]
        entries = await self._ask(requests)
        last: dict[ShardKey, int] = {}
        for one, entry in zip(requests, entries, strict=True):
            last[one.shard] = max(last.get(one.shard, 0), entry.sequence)
        events = [event for entry in entries for event in orjson.loads(entry.events)]
        pieces = tuple(Piece(context, number, sequence) for (context, number), sequence in last.items())
        return Answer(pieces, events, any(entry.repeated for entry in entries))

    async def claim(self, key: str, request_digest: str, answer: str = "") -> str:
        """See `Backend`."""
        self._check_room()
        home = ("facility", partition(key, self.shards("facility")))
        (entry,) = await self._ask([Request(home, None, f"{key}#", request_digest, micros(self.now()), answer)])
        return "" if entry.events == UNANSWERED else entry.events

    def _shard(self, command: Command) -> ShardKey:
        return command.context, partition(command.entity, self.shards(command.context))

    async def _ask(self, requests: Sequence[Request]) -> list[Entry]:
        """One call per shard, for what others ask meanwhile too: it becomes one commit there.

        Raises the first error, or `UnavailableError` after `_WRITE_S`.
        """
        by_shard: dict[ShardKey, list[int]] = {}
        for index, one in enumerate(requests):
            by_shard.setdefault(one.shard, []).append(index)
        answers: dict[int, Entry | BomnaeError] = {}

        async def ask(shard: ShardKey, indexes: list[int]) -> None:
            found = await self._asking[shard].ask([requests[i] for i in indexes])
            answers.update(zip(indexes, found, strict=True))

        try:
            async with asyncio.timeout(_WRITE_S):
                await asyncio.gather(*(ask(shard, indexes) for shard, indexes in by_shard.items()))
        except (TimeoutError, ray.exceptions.RayError) as error:
            why = "the shard's owner did not answer: whether the write landed is unknown, repeat it with the same key"
            raise UnavailableError(why, retry_after_s=2) from error
        entries: list[Entry] = []
        for index in range(len(requests)):
            answer = answers[index]
            if isinstance(answer, BomnaeError):
                raise answer
            entries.append(answer)
        return entries

    async def _send(self, shard: ShardKey, requests: Sequence[Request]) -> list[Entry | BomnaeError]:
        async with asyncio.timeout(_WRITE_S):
            owner = find(self._host_of[shard], self._settings.ray_namespace)
            answers: list[Entry | BomnaeError] = await owner.submit.remote(requests)
            return answers

    async def ingest(self, subject: str, headers: Mapping[str, str], data: bytes) -> tuple[str, int]:
        """See `Backend`."""
        self._check_room()
        return ingest_stream(subject.split(".")[2]), await self._log.observe(subject, headers, data)

    async def history(self, context: str, entity: str, after: int, limit: int) -> list[HistoryItem]:
        """See `Backend`."""
        shard = partition(entity, self.shards(context))
        store = self._log.store(context, shard)
        found: list[Record] = []
        while len(found) < limit:
            wanted = limit - len(found)
            some = await _some(store.read(after, log_subject(context, shard, entity, "*")), wanted)
            found += await sealed_alone(store, some)
            if len(some) < wanted:
                break
            after = some[-1].sequence
        return [HistoryItem.of(record) for record in found]

    async def view_at(self, context: str, as_of: datetime, entity: str | None) -> View:
        """See `Backend`. Replays in a thread of its own, so that live requests go on."""
        count = self.shards(context)
        numbers = range(count) if entity is None else [partition(entity, count)]
        try:
            past = await asyncio.gather(*(asyncio.to_thread(self._replay, (context, n), as_of) for n in numbers))
        except LogGapError as error:
            raise GoneError(f"the state at {as_of.isoformat()} lies before what is kept") from error
        return View.of(context, past)

    def _replay(self, key: ShardKey, as_of: datetime) -> Published:
        return asyncio.run(self._at(key, as_of))

    async def _at(self, key: ShardKey, as_of: datetime) -> Published:
        context = CONTEXTS[key[0]]()
        connection = await Connection.open(access_of(self._settings), "as-of")
        try:
            store, ingest = connection.store(*key), connection.ingest(*key)
            state = await load(context, store, ingest, await connection.snapshots(*key), micros(as_of))
        finally:
            await connection.close()
        tables = context.tables(state.domain)
        return Published(*key, state.sequence, state.stored_at, tables, state.position.sequence)

    async def feed(self, subjects: Sequence[str], last: int | None) -> Feed:
        """See `Backend`."""
        after, said = await live.listen(self._log.nc, subjects, last)
        return Feed(after, _items(said))

    async def rejected(self, entity: str | None, reason: str, after: int, limit: int) -> list[Rejected]:
        """See `Backend`."""
        return await rejected.listing(self._log.nc, after, limit, entity or "*", reason)

    async def resubmit(self, sequence: int) -> tuple[bool, Position]:
        """See `Backend`."""
        again = await rejected.resubmit(self._log.nc, sequence)
        if again.context in COMMANDED:  # no owner reads it, so nobody can wait for it
            return again.now, ()
        shard = partition(again.entity, self.shards(again.context))
        return again.now, (Piece(again.context, shard, again.sequence, True),)

    async def metrics(self) -> bytes:
        """See `Backend`. Ray's agent on this node knows its own processes, nats-server is none of them."""
        return await self._nats.text(self._connection) + await _of_ray()


def _away(error: OSError) -> UnavailableError:
    return UnavailableError(f"the store of objects does not answer ({type(error).__name__})", retry_after_s=5)


async def _of_ray() -> bytes:
    here = ray.get_runtime_context().get_node_id()
    (node,) = [
        node
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["NodeID"] == here
    ]
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    try:
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            return await response.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise UnavailableError("the node's metrics agent does not answer") from error


async def _some(records: AsyncIterator[Record], most: int) -> list[Record]:
    """The first records of a reader, which is closed."""
    found: list[Record] = []
    async with aclosing(records):  # type: ignore[type-var]
        async for record in records:
            found.append(record)
            if len(found) == most:
                break
    return found


async def _items(messages: AsyncGenerator[live.Said, None]) -> AsyncGenerator[FeedItem, None]:
    async with aclosing(messages):
        async for msg in messages:
            yield FeedItem(msg.sequence, msg.subject, msg.headers, msg.data)
