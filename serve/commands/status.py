"""`bomnae status`: what runs of an instance, how big its streams are, and how far its shards have come."""

from datetime import datetime
from typing import Any

import aiohttp
import psutil
from rich.table import Table

from schemas.base import from_micros
from schemas.errors import SetupError, UnavailableError
from schemas.settings import Settings
from serve.address import recall
from serve.commands.instance import connected, shards_of
from serve.commands.terminal import out
from streams.api import request
from streams.connection import Connection
from streams.log import Commit
from streams.subjects import ingest_stream

_HTTP_S = 5.0


async def status_of(settings: Settings) -> dict[str, Any]:
    """Everything that `show` prints, as plain data; `ready` when NATS and the API answer and all shards are served."""
    found: dict[str, Any] = {"data": str(settings.data), "api": await _api(settings)}
    try:
        async with connected(settings, "status") as connection:
            found["nats"] = {"url": connection.nc.connected_url.netloc if connection.nc.connected_url else ""}
            found["streams"] = await _streams(connection)
            counts = await shards_of(connection, settings)
            keys = [(name, number) for name, count in counts.items() for number in range(count)]
            found["shards"] = [await _shard(connection, *key) for key in keys]
    except (UnavailableError, SetupError) as error:
        found |= {"nats": {"error": str(error)}, "streams": [], "shards": []}
    found["free_bytes"] = psutil.disk_usage(str(settings.data)).free if settings.data.exists() else None
    found["ready"] = "error" not in found["nats"] and found["api"]["status"] == "ready"
    return found


async def _api(settings: Settings) -> dict[str, Any]:
    """What `/readyz` says: `ready`, `not-ready` with the parts, or `down`."""
    url = recall(settings)
    try:
        timeout = aiohttp.ClientTimeout(total=_HTTP_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{url}/readyz") as response:
            if response.status == 200:
                return {"url": url, "status": "ready"}
            said = await response.json(content_type=None)
            return {"url": url, "status": "not-ready", "parts": said.get("parts", {})}
    except (aiohttp.ClientError, TimeoutError, ValueError, AttributeError) as error:
        return {"url": url, "status": "down", "error": str(error) or type(error).__name__}


async def _streams(connection: Connection) -> list[dict[str, Any]]:
    answer = await request(connection.nc, "$JS.API.STREAM.LIST", {"offset": 0})
    streams = answer["streams"]
    while len(streams) < answer["total"]:
        answer = await request(connection.nc, "$JS.API.STREAM.LIST", {"offset": len(streams)})
        streams += answer["streams"]
    return [
        {
            "name": one["config"]["name"],
            "messages": one["state"]["messages"],
            "bytes": one["state"]["bytes"],
            "max_bytes": one["config"]["max_bytes"],
            "last": one["state"]["last_seq"],
        }
        for one in sorted(streams, key=lambda one: str(one["config"]["name"]))
    ]


async def _shard(connection: Connection, context: str, number: int) -> dict[str, Any]:
    """The newest commit of a shard; `input` is how far it has folded its context's INGEST."""
    store = connection.store(context, number)
    found: dict[str, Any] = {"shard": f"{context} {number}", "log": store.name, "sequence": 0}
    async for record in store.read(max(0, await store.last_sequence() - 1)):
        commit, moment = Commit.from_json(record.data), from_micros(record.stored_at)
        found |= {"sequence": record.sequence, "epoch": commit.epoch, "commit": commit.number}
        found |= {"input": commit.end.sequence, "stream": ingest_stream(context), "stored_at": moment.isoformat()}
    return found


def show(found: dict[str, Any]) -> None:
    """Print it for people."""
    api, nats = found["api"], found["nats"]
    out.print(f"data   {found['data']}", markup=False)
    out.print(f"NATS   {nats.get('url') or nats['error']}", markup=False)
    out.print(f"API    {api['url']}: {api['status']}", markup=False)
    for part, why in api.get("parts", {}).items():
        out.print(f"       {part}: {why}", markup=False)
    if found["streams"]:
        streams = Table("stream", "messages", "MB", "limit MB", "full")
        for one in found["streams"]:
            size, limit = one["bytes"] / 1e6, one["max_bytes"] / 1e6
            share = f"{100 * size / limit:.1f} %" if limit > 0 else "–"
            streams.add_row(one["name"], f"{one['messages']:,}", f"{size:,.1f}", f"{limit:,.0f}", share)
        out.print(streams)
    if found["shards"]:
        shards = Table("shard", "log sequence", "commits", "epoch", "input folded up to", "newest commit")
        for one in found["shards"]:
            figures = (one["sequence"], one.get("commit", 0), one.get("epoch", 0), one.get("input", 0))
            at = f"{datetime.fromisoformat(one['stored_at']):%Y-%m-%d %H:%M:%S}Z" if "stored_at" in one else "–"
            shards.add_row(one["shard"], *(f"{figure:,}" for figure in figures), at)
        out.print(shards)
