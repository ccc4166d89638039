"""A search through HTTP: `POST /v1/cases/{case}/searches` on a whole city, against the index in this process.

16 connections, each search written into the ledger (fsync), in turns with `Index.search` in batches of 16 over equal
rows. The rows are put into the shard's files beforehand, not sent through the log.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mean
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
import numpy as np
import orjson
import psutil
from threadpoolctl import threadpool_limits

from bench.cores import kept
from bench.report import Report, percentile
from bench.search_data import SPAN, crowd
from bench.search_layouts import CONCURRENT, LIMIT, MODEL, put
from bench.search_rows import EVERYTHING
from schemas.settings import Settings
from serve import ingress
from serve.auth import Principal, mint
from serve.node import Child
from serve.search.place import Place
from serve.search.shard import SearchShard
from serve.secret import ensure_secret
from streams import preparing
from streams.blobs import MemoryBlobs
from streams.server import EmbeddedServer
from streams.topology import Topology


async def through_http(report: Report, rows: int, dimension: int, seconds: float, rounds: int) -> float:
    """A whole city and its ledger against the index in this process, in turns: the rate there over the rate here."""
    made = crowd(rows, dimension, 64)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bb", ignore_cleanup_errors=True)))
        (port,) = ingress.free_ports(1)
        settings = Settings(
            data=folder / "data",
            http_port=port,
            facility_shards=1,
            road_shards=1,
            sighting_shards=1,
        )
        # Times of the crowd lie in 1970: of cameras that the log does not name, whose retention nobody knows.
        shard = SearchShard(settings.data / "search" / Place().name, Place(), MemoryBlobs(), lambda: SPAN)
        await shard.open()
        await asyncio.to_thread(put, shard, made, "sighting")
        (index,) = shard.holdings.pools.indexes.values()
        server = stack.enter_context(EmbeddedServer(settings.data))
        topology = Topology.of(settings).fitted(psutil.disk_usage(str(folder)).free)
        await preparing.prepare((server.url,), settings.data, topology)
        ensure_secret(settings)
        env = {
            **os.environ,
            **ingress.environment(settings),
            "BOMNAE_DATA": str(settings.data),
            "BOMNAE_HTTP_PORT": str(port),
            "BOMNAE_FACILITY_SHARDS": "1",
            "BOMNAE_ROAD_SHARDS": "1",
            "BOMNAE_SIGHTING_SHARDS": "1",
            "BOMNAE_ENCODER_REPLICAS": "0",
            "BOMNAE_CLIENT_RATE": "1000000",
            "BOMNAE_CLIENT_BURST": "1000000",
            "RAY_TMPDIR": str(folder),
        }
        child = stack.enter_context(Child("serve.cluster", env, folder / "cluster.log"))
        await asyncio.to_thread(child.ready, SimpleNamespace(asked=False))  # type: ignore[arg-type]
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60))
        secret = settings.secret_file.read_bytes().strip()
        officer = Principal("bench", frozenset({"police"}))
        token = mint(secret, officer, datetime.now(UTC), timedelta(hours=2))
        client.headers["authorization"] = f"Bearer {token}"
        path = await _case(client)
        said = {"model": MODEL, "limit": LIMIT, "window": EVERYTHING.window.model_dump(mode="json")}
        bodies = [{"embedding": one.tolist(), **said} for one in made.queries]
        await _until_searchable(client, path, bodies[0])
        inside, outside, cores, waits = [], [], [], list[float]()
        batch = np.ascontiguousarray(made.queries[:CONCURRENT])
        for _ in range(rounds):
            inside.append(await asyncio.to_thread(_batch_rate, lambda: index.search(batch, LIMIT), seconds))
            took, lasted = await _posted(client, path, bodies, seconds)
            outside.append(len(took) / lasted)
            waits += took
            cores.append(await asyncio.to_thread(kept))
    size = f"{rows / 1e6:g}m"
    report.add(f"in_process_16_{size}_per_s", max(inside), f"queries/s, {rows:,} rows")
    report.add(f"http_16_{size}_per_s", max(outside), "queries/s")
    report.add(
        f"core_beside_busy_{size}", mean(cores), "of its speed alone: HTTP takes all cores, the index in process one"
    )
    report.add(f"http_{size}_p50_ms", percentile(waits, 0.5) * 1e3, "ms")
    report.add(f"http_{size}_p99_ms", percentile(waits, 0.99) * 1e3, "ms")
    report.add(f"http_of_in_process_{size}", max(outside) / max(inside), "ratio")
    return max(outside) / max(inside)


def _batch_rate(search: Callable[[], object], seconds: float) -> float:
    """With one thread, as a shard has: here and there it is faster than two that wait for each other."""
    with threadpool_limits(1):
        until, count, began = time.monotonic() + seconds, 0, time.monotonic()
        while time.monotonic() < until:
            search()
            count += CONCURRENT
        return count / (time.monotonic() - began)


async def _case(client: httpx.AsyncClient) -> str:
    expires = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    facts = {"kind": "minor", "authority": "bench", "legal_ground": "bench", "reason": "bench", "officer": "bench"}
    opened = await client.post("/v1/cases", json={**facts, "expires_at": expires})
    opened.raise_for_status()
    path = opened.headers["location"]
    after = {"min_position": opened.json()["position"]}
    (await client.post(f"{path}/authorise", json={"sole": True}, params=after)).raise_for_status()
    return f"{path}/searches"


async def _until_searchable(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    async with asyncio.timeout(120):
        while (answer := await client.post(path, json=body)).status_code != 201:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.2)
    if len(answer.json()["candidates"]) != LIMIT:
        raise RuntimeError(f"the rows are not searched: {answer.text[:300]}")


async def _posted(
    client: httpx.AsyncClient, path: str, bodies: Sequence[dict[str, Any]], seconds: float
) -> tuple[list[float], float]:
    """How long each answer took. By aiohttp's client, which leaves more of the machine to the city."""
    took: list[float] = []
    headers = {"authorization": client.headers["authorization"], "content-type": "application/json"}
    said = [orjson.dumps(body) for body in bodies]
    async with aiohttp.ClientSession(str(client.base_url), headers=headers) as session:
        began, until = time.monotonic(), time.monotonic() + seconds

        async def ask(turn: int) -> None:
            while time.monotonic() < until:
                asked = time.monotonic()
                async with session.post(path, data=said[turn % len(said)]) as answer:
                    answer.raise_for_status()
                    await answer.read()
                took.append(time.monotonic() - asked)
                turn += CONCURRENT

        await asyncio.gather(*(ask(number) for number in range(CONCURRENT)))
        return took, time.monotonic() - began
