"""All streams of a city on its servers, made or brought up to date by its operator and the keeper of the feed."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError

from schemas.errors import SetupError
from streams import credentials
from streams.officers import ensure_consumers
from streams.permissions import Kind
from streams.topology import Topology, ensure_streams


async def prepare(urls: Sequence[str], folder: Path, topology: Topology) -> None:
    """Make the streams, the apps' copy of FEED and the officers' consumers, or bring them up to date; safe to repeat.

    `folder` keeps the credentials. Raises `SetupError`, with what to do, where they are missing, nobody answers or the
    server refuses.
    """
    async with AsyncExitStack() as stack:
        operator, apps = [await _connected(urls, folder, kind, stack) for kind in ("operator", "feed-admin")]
        await ensure_streams(operator, topology, apps)
        await ensure_consumers(operator, credentials.entries(folder))


async def _connected(urls: Sequence[str], folder: Path, kind: Kind, stack: AsyncExitStack) -> Client:
    own = credentials.local(folder, kind)
    try:
        client = await nats.connect(list(urls), max_reconnect_attempts=1, **own.options())
    except (OSError, NatsError) as error:
        raise SetupError(f"{', '.join(urls)} does not let {own.user} in: {error!r}") from error
    stack.push_async_callback(client.close)
    return client
