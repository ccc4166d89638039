"""One connection to the city's NATS, and everything of a shard that hangs on it."""

import asyncio
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import UnexpectedEOF
from nats.protocol import parser

from schemas.errors import SetupError, StorageFullError, UnavailableError
from schemas.settings import Settings
from streams import credentials, erasing, feed, instance, rejected
from streams.api import REQUEST_TIMEOUT_S, JetStreamApiError
from streams.batch import FULL
from streams.blobs import Blobs, FileBlobs, NatsBlobs
from streams.ingest import IngestSource, NoInput
from streams.jetstream import JetStreamIngest, JetStreamStore
from streams.log import Batch, Position
from streams.objects import Objects
from streams.permissions import inbox
from streams.rejected import Rejection
from streams.snapshots import Snapshots
from streams.subjects import COMMANDED, ingest_stream
from streams.topology import SNAPSHOTS

logger = logging.getLogger(__name__)

_RECONNECT_S = 0.2

# A token of a subject holds any bytes but these four, and a gateway may publish on any entity's subject. nats-py's own
# patterns end it at a vertical tab or form feed too, and give the connection up.
_TOKEN = rb"([^ \t\r\n]+)[ \t]+"
parser.MSG_RE = re.compile(rb"\AMSG[ \t]+" + _TOKEN + _TOKEN + rb"(" + _TOKEN + rb")?(\d+)\r\n")
parser.HMSG_RE = re.compile(rb"\AHMSG[ \t]+" + _TOKEN + _TOKEN + rb"(" + _TOKEN + rb")?(\d+)[ \t]+(\d+)\r\n")


@dataclass(frozen=True, slots=True)
class Access:
    """Where the city's NATS and objects are, and who connects. `snapshot_url` empty: snapshots lie in NATS too."""

    urls: tuple[str, ...]
    user: str
    password: str
    inbox: str = "_INBOX"
    snapshot_url: str = ""
    snapshot_days: int = 90
    objects_url: str = ""


def access_of(settings: Settings) -> Access:
    """How a process of this instance reaches NATS: the outside servers that are set, or the embedded one.

    Secrets are read from their files here and now, so that none travels through Ray. Raises `SetupError` where the
    instance has no server yet.
    """
    kept = (settings.snapshot_url, settings.snapshot_days, objects_url(settings))
    if settings.nats_urls:
        file = settings.nats_password_file
        secret = instance.read(file, "put the password there, or correct BOMNAE_NATS_PASSWORD_FILE") if file else b""
        return Access(settings.nats_urls, settings.nats_user, secret.decode().strip(), inbox(settings.nats_user), *kept)
    found = instance.load(settings.data)
    if found is None:
        raise SetupError(f"{settings.data} holds no instance: start one with `bomnae up`, or set BOMNAE_NATS_URLS")
    own = credentials.local(settings.data, "host")
    return Access((f"nats://{settings.host}:{found.ports.nats}",), own.user, own.password, inbox(own.user), *kept)


def objects_url(settings: Settings) -> str:
    """Where the erasable objects of an instance lie."""
    return settings.objects_url or (settings.data.absolute() / "objects").as_uri()


async def connect(access: Access, name: str) -> Client:
    """Connect, and connect again for ever. Raises `OSError` or a NATS error when the first attempt fails."""

    async def report(error: Exception) -> None:
        logger.warning("%s: NATS: %s", name, error or type(error).__name__)

    nc = _Client()
    await nc.connect(
        servers=list(access.urls),
        user=access.user,
        password=access.password,
        inbox_prefix=access.inbox,
        name=name,
        error_cb=report,
        allow_reconnect=True,
        max_reconnect_attempts=-1,
        reconnect_time_wait=_RECONNECT_S,  # type: ignore[arg-type]  # fractions are well
        ping_interval=5,
        max_outstanding_pings=3,
        connect_timeout=5,
        disconnected_cb=nc.lose,
    )
    return nc


class _Client(Client):
    """What a city needs beyond nats-py.

    Whoever waits for an answer when the connection is lost hears of it at once: no answer will come any more. And no
    message ends the connection, whatever bytes its sender put into the subject.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: set[asyncio.Task[Msg]] = set()

    async def request(self, *args: Any, **options: Any) -> Msg:
        """See `Client.request`. Raises `UnexpectedEOF` as well: whether the request arrived is unknown then."""
        waiting = asyncio.ensure_future(super().request(*args, **options))
        self._waiting.add(waiting)
        waiting.add_done_callback(self._waiting.discard)
        try:
            return await waiting
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise UnexpectedEOF from None

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        # Private in nats-py, whose reading ends with the first exception, and nothing starts it again.
        return Msg(
            _client=self,
            subject=subject.decode(errors="replace"),
            reply=reply.decode(errors="replace"),
            data=data,
            headers=headers,
            _sid=sid,
        )

    async def lose(self) -> None:
        """End the waiting of all."""
        for waiting in list(self._waiting):
            waiting.cancel()


class Connection:
    """The stores, sources and sinks of shards over one connection. Also the `Sinks` of a shard."""

    def __init__(self, nc: Client, access: Access) -> None:
        self.nc, self._access = nc, access
        self._objects: Objects | None = None

    @classmethod
    async def open(cls, access: Access, name: str) -> "Connection":
        """Connect under a name that operators see."""
        return cls(await connect(access, name), access)

    @property
    def reconnects(self) -> int:
        """How often it had to connect again."""
        return int(self.nc.stats["reconnects"])

    async def close(self) -> None:
        """Flush and disconnect; where the server is away, disconnect."""
        try:
            # In a task of its own, as `wait_for` runs it: the library takes a cancellation inside for its own.
            await asyncio.wait_for(self.nc.drain(), 5)  # noqa: TID251
        except (TimeoutError, NatsError, OSError):
            await self.nc.close()
        except asyncio.CancelledError:
            # nats-py, closed while it connects again, meets the cancellation of its own task.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise

    def store(self, context: str, shard: int) -> JetStreamStore:
        """The log of a shard."""
        return JetStreamStore(self.nc, context, shard)

    def ingest(self, context: str, shard: int) -> IngestSource:
        """The input of a shard."""
        if context in COMMANDED:
            return NoInput()
        return JetStreamIngest(self.nc, context, shard)

    async def snapshots(self, context: str, shard: int) -> Snapshots:
        """The snapshots of a shard."""
        blobs: Blobs
        if self._access.snapshot_url:
            blobs = FileBlobs(self._access.snapshot_url)
        else:
            blobs = NatsBlobs(await self.nc.jetstream().object_store(SNAPSHOTS))
        return Snapshots(blobs, context, shard, self._access.snapshot_days)

    def objects(self) -> Objects:
        """The erasable objects of the city. Raises `SetupError` where none of its folders is known."""
        if self._objects is None:
            if not self._access.objects_url:
                raise SetupError("this connection was opened without the place of the erasable objects")
            self._objects = Objects(FileBlobs(self._access.objects_url))
        return self._objects

    async def observe(self, subject: str, headers: Mapping[str, str], data: bytes) -> int:
        """Publish input on a `city.raw` subject and return its INGEST sequence; durable then.

        Raises `StorageFullError`, another `JetStreamApiError`, or `UnavailableError` when no answer comes: publishing
        it again is harmless, readings count once.
        """
        try:
            reply = await self.nc.request(subject, data, timeout=REQUEST_TIMEOUT_S, headers=dict(headers))
        except TimeoutError as error:
            why = f"NATS did not answer for {REQUEST_TIMEOUT_S:.0f} s: it is busy, or its disk is full"
            raise UnavailableError(f"{why}; whether {subject} is stored is unknown, send it again", 2) from error
        except (NatsError, OSError) as error:
            raise UnavailableError(f"NATS does not take {subject}: {error!r}", retry_after_s=2) from error
        answer = orjson.loads(reply.data)
        if refusal := answer.get("error"):
            if refusal.get("err_code") in FULL:
                raise StorageFullError(ingest_stream(subject.split(".")[2]))
            raise JetStreamApiError(subject, int(refusal.get("err_code", 0)), str(refusal.get("description", "")))
        return int(answer["seq"])

    async def reject(self, context: str, rejections: Sequence[Rejection]) -> None:
        """See `actors.shard.Sinks`."""
        await rejected.reject(self.nc, context, rejections)

    async def feed(self, batch: Batch) -> None:
        """See `actors.shard.Sinks`."""
        await feed.publish(self.nc, feed.messages(batch))

    async def keep(self, context: str, shard: int, objects: Sequence[tuple[str, bytes]]) -> None:
        """See `actors.shard.Sinks`."""
        await self.objects().keep(f"{context}-{shard}", objects)

    async def sweep(self, context: str, shard: int, held: Collection[str]) -> None:
        """See `actors.shard.Sinks`."""
        await self.objects().sweep(f"{context}-{shard}", held)

    async def forget(self, context: str, shard: int, position: Position) -> None:
        """See `actors.shard.Sinks`."""
        await erasing.erase(self.nc, context, shard, position.sequence)
