"""`python -m serve.prepare`: the streams on outside servers, before a city's first start and after a change of limits.

Run it where the credentials are kept (`BOMNAE_DATA`), with `BOMNAE_NATS_URLS`, `BOMNAE_REPLICAS` and the numbers of
shards of the city. One machine needs it not: `bomnae up` does the same.
"""

import asyncio
import sys

from schemas.errors import BomnaeError, SetupError
from schemas.settings import Settings
from streams import preparing
from streams.topology import Topology


async def prepare(settings: Settings) -> Topology:
    """Create the streams, the apps' copy of FEED and the officers' consumers, or bring them up to date; safe to repeat.

    Raises `SetupError`, with what to do, where a setting or the credentials are missing, nobody answers or the server
    refuses.
    """
    if not settings.nats_urls:
        raise SetupError("set BOMNAE_NATS_URLS to the servers that shall hold the streams")
    topology = Topology.of(settings)
    await preparing.prepare(settings.nats_urls, settings.data, topology)
    return topology


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
