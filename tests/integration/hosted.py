"""A whole city in one process, without Ray: real nats-server, real shard owners, the real API under uvicorn."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import uvicorn

from actors.host import HostConfig, Request, ShardHost, ShardKey
from actors.journal import Entry
from schemas.errors import BomnaeError, UnavailableError
from schemas.settings import Settings
from serve.app import create_app, verifier_of
from serve.city import City
from serve.search.router import Router
from serve.secret import ensure_secret
from serve.views import Views
from streams import credentials
from streams.server import EmbeddedServer
from streams.topology import RETENTION, Topology, ensure_streams

SHARDS = {"facility": 2, "road": 2, "sighting": 2, "person": 1, "population": 1, "catalogue": 1}


def settings_for(folder: Path) -> Settings:
    """Few shards, snapshots each second, and a port that is set once the API listens."""
    counts = {f"{context}_shards": count for context, count in SHARDS.items()}
    return Settings(data=folder, http_port=0, snapshot_every_s=1, **counts)


class _Views(Views):
    """Follows a host in this process instead of an actor."""

    def __init__(self, hosts: Mapping[str, tuple[ShardKey, ...]], host: ShardHost) -> None:
        super().__init__(hosts, "")
        self._host = host

    async def _watch(self, name: str) -> None:
        while True:
            known = dict.fromkeys(self._host.shards, -1)
            known |= {key: one.position for key, one in self._published.items()}
            for key, published in (await self._host.changed(known, 5)).items():
                self._published[key] = published
                self._views.pop(key[0], None)
            self._changed.set()
            self._changed = asyncio.Event()


async def _nobody(name: str, *_: object) -> None:
    raise UnavailableError(f"there is no {name} here")


class _City(City):
    def __init__(self, settings: Settings, host: ShardHost) -> None:
        super().__init__(settings)
        self._host = host
        self._views = _Views(self._hosts, host)
        # No search shard runs here, and nobody shall start Ray to look for one.
        self._router = Router(_nobody, settings.search_shards, settings.search_copies, settings.shards("sighting"))

    async def _ask(self, requests: Sequence[Request]) -> list[Entry]:
        entries = []
        for answer in await self._host.submit(requests):
            if isinstance(answer, BomnaeError):
                raise answer
            entries.append(answer)
        return entries


async def create(settings: Settings, server: EmbeddedServer, max_mb: int = 64) -> None:
    """Make the streams, each with this limit."""
    operator = await nats.connect(server.url, **credentials.local(settings.data, "operator").options())
    apps = await nats.connect(server.url, **credentials.local(settings.data, "feed-admin").options())
    try:
        await ensure_streams(operator, Topology(SHARDS, max_mb=dict.fromkeys(RETENTION, max_mb)), apps)
    finally:
        await operator.close()
        await apps.close()


@asynccontextmanager
async def running(
    settings: Settings, server: EmbeddedServer | None = None, max_mb: int = 64
) -> AsyncIterator[Settings]:
    """The city, until the block ends; the settings with the port that the API listens on."""
    with server or EmbeddedServer(settings.data) as embedded:
        await create(settings, embedded, max_mb)
        ensure_secret(settings)
        keys = tuple((name, number) for name, count in SHARDS.items() for number in range(count))
        host = ShardHost(HostConfig(settings, keys))
        await host.start()
        city = _City(settings, host)
        await city.start()
        api = uvicorn.Server(
            uvicorn.Config(create_app(city, verifier_of(settings)), port=0, log_level="warning", lifespan="off")
        )
        api.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        task = asyncio.create_task(api._serve())
        try:
            async with asyncio.timeout(20):
                while not api.started or city.ready():
                    await asyncio.sleep(0.02)
            port = api.servers[0].sockets[0].getsockname()[1]
            yield settings.model_copy(update={"http_port": port})
        finally:
            api.should_exit = True
            await task
            await city.stop()
            await host.stop()
