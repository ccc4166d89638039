"""`python -m serve.prepare`: the streams on outside servers, before a city's first start and after a change of limits.

Run it where the credentials are kept (`BOMNAE_DATA`), with `BOMNAE_NATS_URLS`, `BOMNAE_REPLICAS` and the numbers of
shards of the city. One machine needs it not: `bomnae up` does the same.
"""

import asyncio
import sys

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError

from schemas.errors import BomnaeError, SetupError
from schemas.settings import Settings
from streams import credentials
from streams.officers import ensure_consumers
from streams.permissions import Kind
from streams.topology import Topology, ensure_streams


async def prepare(settings: Settings) -> Topology:
    """Create the streams, the apps' copy of FEED and the officers' consumers, or bring them up to date; safe to repeat.

    Raises `SetupError`, with what to do, where a setting or the credentials are missing, nobody answers or the server
    refuses.
    """
    if not settings.nats_urls:
        raise SetupError("set BOMNAE_NATS_URLS to the servers that shall hold the streams")
    topology = Topology.of(settings)
    operator = await _connected(settings, "operator")
    try:
        apps = await _connected(settings, "feed-admin")
        try:
            await ensure_streams(operator, topology, apps)
            await ensure_consumers(operator, credentials.entries(settings.data))
        finally:
            await apps.close()
    finally:
        await operator.close()
    return topology


async def _connected(settings: Settings, kind: Kind) -> Client:
    try:
        own = credentials.local(settings.data, kind)
    except FileNotFoundError:
        raise SetupError(
            f"{settings.data} keeps no credentials: name the folder that `bomnae credentials add` wrote to"
        ) from None
    try:
        return await nats.connect(list(settings.nats_urls), max_reconnect_attempts=1, **own.options())
    except (OSError, NatsError) as error:
        raise SetupError(f"{', '.join(settings.nats_urls)} does not let {own.user} in: {error!r}") from error


def main() -> int:
    """Run; the exit code."""
    try:
        topology = asyncio.run(prepare(Settings()))
    except BomnaeError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command speaks
        return 2
    print(f"{len(topology.streams())} streams are ready")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
