"""Cameras on the network: their JPEG snapshots, taken politely, turned to sightings by whoever calls, and published.

What turns pictures into `schemas.sighting.SIGHTINGS` is handed in: this module knows HTTP and subjects, no networks.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
import pyarrow as pa

from schemas.errors import BomnaeError, InvalidError, UnavailableError
from streams import codec, subjects
from streams.connectors.feeder import to_stream

logger = logging.getLogger(__name__)

Turn = Callable[[str, bytes, datetime], Awaitable[pa.Table]]
"""Camera, picture and its time to a table of sightings. Raises `InvalidError` for a picture that cannot be read."""
Publish = Callable[[str, Mapping[str, str], bytes], Awaitable[object]]
"""Subject, headers, payload, as `Connection.observe`. Publishing again is harmless: ids count once."""

MESSAGE_BYTES = 600_000
"""Of one message, below the least limit that NATS servers come with (1 MiB)."""
_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Source:
    """One camera's snapshot: `url` (http or https), and how often it is asked, in seconds."""

    camera: str
    url: str
    every_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Manners:
    """How cameras are asked. After a failure the pause doubles from `every_s` up to `longest_pause_s`."""

    timeout_s: float = 5.0
    bytes: int = 16_000_000
    longest_pause_s: float = 300.0


class Snapshots:
    """Takes the snapshots of one camera, one after another: never two at once. `run` until `stop`."""

    def __init__(self, session: aiohttp.ClientSession, source: Source, manners: Manners | None = None) -> None:
        self._session, self.source, self._manners = session, source, manners or Manners()
        self._validators: dict[str, str] = {}
        self._seen = b""
        self.failures = 0
        self.taken = 0

    async def fetch(self) -> bytes | None:
        """The picture; None where it is the one that was fetched before, by the camera's word or by its bytes.

        Redirects are not followed and nothing is decompressed: both would reach beyond what the operator named.
        Raises `UnavailableError` when the camera does not answer in time or with anything but a picture's bytes,
        `InvalidError` where the picture is too large.
        """
        headers = {"Accept": "image/jpeg, image/png, image/webp", "Accept-Encoding": "identity", **self._validators}
        try:
            async with (
                asyncio.timeout(self._manners.timeout_s),
                self._session.get(self.source.url, headers=headers, allow_redirects=False) as response,
            ):
                if response.status == 304 and self._validators:
                    return None
                if response.status != 200 or response.headers.get("Content-Encoding", "identity") != "identity":
                    raise UnavailableError(f"camera {self.source.camera} answers {response.status}")
                data = await self._body(response)
                told = response.headers
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise UnavailableError(f"camera {self.source.camera} does not answer: {reason}") from error
        # Only now: a picture that broke off must be asked for again.
        pairs = (("ETag", "If-None-Match"), ("Last-Modified", "If-Modified-Since"))
        self._validators = {asked: told[name] for name, asked in pairs if name in told}
        digest = hashlib.sha256(data).digest()
        if digest == self._seen:
            return None
        self._seen = digest
        return data

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        most = self._manners.bytes
        if (response.content_length or 0) > most:
            raise InvalidError(f"camera {self.source.camera} sends more than {most:,} bytes")
        data = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK):
            data += chunk
            if len(data) > most:
                raise InvalidError(f"camera {self.source.camera} sends more than {most:,} bytes")
        return bytes(data)

    def pause_s(self, took_s: float) -> float:
        """Seconds until the next attempt: what is left of the interval, or the longer the more have failed."""
        if not self.failures:
            return max(0.0, self.source.every_s - took_s)
        return min(self._manners.longest_pause_s, self.source.every_s * 2.0 ** min(self.failures, 30))

    async def run(self, turn: Turn, publish: Publish, stop: asyncio.Event) -> None:
        """Fetch, turn, publish and wait until `stop`. A snapshot that fails anywhere is lost; the next is taken later.

        A picture's time is the moment at which it began to be asked for, for a camera's own clock is not trusted.
        """
        while not stop.is_set():
            at, began = datetime.now(UTC), asyncio.get_running_loop().time()
            try:
                if (data := await self.fetch()) is not None:
                    await send(await turn(self.source.camera, data, at), self.source.camera, publish)
                    self.taken += 1
                if self.failures:
                    logger.info("camera %s is back", self.source.camera)
                self.failures = 0
            except BomnaeError as error:
                self.failures += 1
                self._seen, self._validators = b"", {}
                log = logger.warning if self.failures == 1 else logger.debug
                log("%s", error)
            pause = self.pause_s(asyncio.get_running_loop().time() - began)
            try:
                async with asyncio.timeout(pause):
                    await stop.wait()
            except TimeoutError:
                continue


async def watch(snapshots: list[Snapshots], turn: Turn, publish: Publish, stop: asyncio.Event) -> None:
    """All cameras side by side, until `stop`. An error that nobody raises on purpose ends all of them."""
    async with asyncio.TaskGroup() as group:
        for one in snapshots:
            group.create_task(one.run(turn, publish, stop))


async def send(sightings: pa.Table, camera: str, publish: Publish) -> int:
    """Publish sightings of one camera, in as many messages as they need; the number of messages."""
    subject, sent = subjects.raw("sighting", camera, subjects.SIGHTINGS), 0
    for part in messages(sightings):
        await publish(subject, {codec.CONTENT_TYPE: codec.ARROW}, part)
        sent += 1
    return sent


def messages(sightings: pa.Table, most: int = MESSAGE_BYTES) -> Iterator[bytes]:
    """Arrow IPC streams of at most `most` bytes, rows in order; a single row may be larger. None without rows."""
    if not sightings.num_rows:
        return
    data = to_stream(sightings.combine_chunks().to_batches()[0])
    if len(data) <= most or sightings.num_rows == 1:
        yield data
        return
    half = sightings.num_rows // 2
    yield from messages(sightings.slice(0, half), most)
    yield from messages(sightings.slice(half), most)
