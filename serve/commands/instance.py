"""How commands reach an instance: its NATS, started for the moment where none runs and the command can do without."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from schemas.errors import SetupError, UnavailableError
from schemas.settings import CONTEXTS, Settings
from streams import credentials, instance
from streams.api import JetStreamApiError, request
from streams.connection import Access, Connection, access_of
from streams.permissions import inbox
from streams.server import EmbeddedServer
from streams.subjects import WITHOUT_INPUT, ingest_stream, log_stream

CONNECT_S = 10.0


@asynccontextmanager
async def connected(settings: Settings, name: str, start: bool = False) -> AsyncIterator[Connection]:
    """A connection to the instance's NATS, under a name that operators see; as its operator where it is embedded.

    With `start` the embedded server is started for as long as this lasts, where none runs. Raises `SetupError` where
    there is no instance, `UnavailableError` where NATS does not answer.
    """
    async with AsyncExitStack() as stack:
        access = _as_operator(settings, access_of(settings))
        if not settings.nats_urls and instance.running_pid(settings.data.absolute()) is None:
            if not start:
                raise UnavailableError(f"no city runs on {settings.data}: start it with `bomnae up`")
            server = EmbeddedServer(settings.data, host=settings.host)
            await asyncio.to_thread(server.start)
            stack.push_async_callback(asyncio.to_thread, server.stop)
            access = replace(access, urls=(server.url,))
        try:
            async with asyncio.timeout(CONNECT_S):
                connection = await Connection.open(access, name)
        except TimeoutError:
            raise UnavailableError(f"NATS does not answer at {', '.join(access.urls)}") from None
        stack.push_async_callback(connection.close)
        yield connection


def _as_operator(settings: Settings, access: Access) -> Access:
    if settings.nats_urls:
        return access
    own = credentials.local(settings.data, "operator")
    return replace(access, user=own.user, password=own.password, inbox=inbox(own.user))


async def shards_of(connection: Connection, settings: Settings) -> dict[str, int]:
    """Shards by context as the city was created with, whatever the settings say now.

    Raises `SetupError` for an instance whose streams were never made.
    """
    found: dict[str, int] = {}
    for context in CONTEXTS:
        count = await _said(connection, ingest_stream(context)) if context not in WITHOUT_INPUT else 0
        # The log says it where there is no input, as of a catalogue from before its rows came by NATS.
        if count := count or await _said(connection, log_stream(context, 0)):
            found[context] = count
        elif not found:  # else a city from before this context: the next start makes its streams
            raise SetupError(f"{settings.data} holds no city yet: there is no stream {ingest_stream(context)}")
    return found


async def _said(connection: Connection, stream: str) -> int:
    """How many shards its context has, as a stream says; 0 where it does not, or is not there."""
    try:
        config = (await request(connection.nc, f"$JS.API.STREAM.INFO.{stream}"))["config"]
    except JetStreamApiError:
        return 0
    return int(config.get("metadata", {}).get("shards", 0))
