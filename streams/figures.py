"""How nats-server stands: the sizes of its streams, asked over the connection, and what its monitoring port tells."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from nats.aio.client import Client

from streams import instance
from streams.api import request


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """One stream; `max_bytes` is -1 where it has no limit."""

    name: str
    messages: int
    bytes: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class ServerFigures:
    """The embedded server since its start."""

    connections: int
    slow_consumers: int


async def streams_of(nc: Client) -> list[StreamFigures]:
    """All streams of the city by name. Raises `UnavailableError` without a server."""
    found: list[StreamFigures] = []
    while True:
        page = await request(nc, "$JS.API.STREAM.LIST", {"offset": len(found)})
        for one in page.get("streams") or ():
            config, state = one["config"], one["state"]
            found.append(StreamFigures(config["name"], state["messages"], state["bytes"], config["max_bytes"]))
        if not page.get("streams") or len(found) >= page["total"]:
            return sorted(found, key=lambda figures: figures.name)


async def server_of(folder: Path) -> ServerFigures | None:
    """The embedded server of a data folder; None where there is none, or it does not answer."""
    if (known := instance.load(folder)) is None:
        return None
    try:
        _, told = await asyncio.to_thread(instance.monitor, known.ports.monitor, "/varz")
    except OSError:
        return None
    return ServerFigures(told["connections"], told["slow_consumers"])
