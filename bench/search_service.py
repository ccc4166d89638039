"""What the service adds to a search: actor or Serve replica, a router over shards, HTTP with the ledger.

Three parts in one run: (1) the same rows in this process, in a plain named actor and in a Serve replica, asked by the
same router in turns; (2) the same rows divided over 1, 2, 4 and 8 actors; (3) `POST /v1/cases/{case}/searches` on a
whole city by 16 connections, each search written into the ledger (fsync), against `Index.search` in batches of 16 in
this process over equal rows. Rows of (3) are put into the shard's files beforehand, not sent through the log.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import psutil
import ray
from ray import serve as ray_serve

from bench.report import Report, arguments, percentile, run
from bench.search_data import CAMERAS, SPAN, Crowd, crowd, table
from schemas.base import from_micros
from schemas.road import Window
from schemas.settings import Settings
from serve import ingress
from serve.auth import Principal, mint
from serve.node import Child
from serve.search.asking import Question, Replies
from serve.search.place import Place
from serve.search.pools import Pool
from serve.search.protocol import Filters, Query
from serve.search.router import Router
from serve.search.shard import SearchShard
from serve.secret import ensure_secret
from streams import preparing
from streams.blobs import MemoryBlobs
from streams.server import EmbeddedServer
from streams.topology import Topology

MODEL, CONCURRENT, LIMIT = "bench", 16, 10
BATCH = 5_000
EVERYTHING = Filters(Window(start=from_micros(0), end=from_micros(SPAN + 1)))


class Held:
    """One shard with its part of a made-up crowd, in memory: every `shards`-th row from `number` on."""

    def __init__(self, place: Place, rows: int, dimension: int) -> None:
        self._place, self._rows, self._dimension = place, rows, dimension
        self._folder = tempfile.TemporaryDirectory(prefix="bomnae-bench-")
        self._shard: SearchShard | None = None

    async def fill(self) -> int:
        """Make the rows; how many."""
        made = crowd(self._rows, self._dimension, 1)
        mine = np.arange(self._place.number, self._rows, self._place.shards)
        part = Crowd(made.vectors[mine], made.cameras[mine], made.times[mine], made.queries)
        name = f"shard-{self._place.number}"
        shard = SearchShard(Path(self._folder.name) / self._place.name, self._place, MemoryBlobs(), lambda: SPAN)
        await shard.open()
        await asyncio.to_thread(put, shard, part, name)
        shard.ready = True
        self._shard = shard
        return len(mine)

    async def ready(self) -> bool:
        """Whether it is filled."""
        return self._shard is not None

    async def search(self, questions: Sequence[Question]) -> Replies:
        """See `SearchShard.search`."""
        if self._shard is None:
            raise RuntimeError("not filled yet")
        return await self._shard.search(questions)


def put(shard: SearchShard, made: Crowd, name: str) -> None:
    """Put all rows of a crowd into a shard's indexes, sealed."""
    dimension = made.vectors.shape[1]
    pool = Pool(MODEL, dimension, "city")
    for start in range(0, len(made.vectors), BATCH):
        shard.holdings.pools.append(pool, table(made, start, min(len(made.vectors), start + BATCH), name))
    for index in shard.holdings.pools.indexes.values():
        index.seal()


async def _one_by_one(router: Router, queries: np.ndarray, seconds: float) -> list[float]:
    took: list[float] = []
    until, turn = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        began = time.perf_counter()
        await router.search([Query(MODEL, queries[turn % len(queries)])], EVERYTHING, {}, LIMIT, 60)
        took.append(time.perf_counter() - began)
        turn += 1
    return took


async def _together(router: Router, queries: np.ndarray, seconds: float) -> float:
    """Answers a second with `CONCURRENT` askers, each asking again when it is answered."""
    until, count = time.monotonic() + seconds, 0

    async def ask(turn: int) -> None:
        nonlocal count
        while time.monotonic() < until:
            await router.search([Query(MODEL, queries[turn % len(queries)])], EVERYTHING, {}, LIMIT, 60)
            count += 1
            turn += CONCURRENT

    began = time.monotonic()
    await asyncio.gather(*(ask(number) for number in range(CONCURRENT)))
    return count / (time.monotonic() - began)


Call = Callable[..., Awaitable[Any]]


def _actors(shards: int, rows: int, dimension: int) -> tuple[Call, list[Any]]:
    remote = ray.remote(Held)
    actors = {
        Place(shards, number).name: remote.options(num_cpus=0.1, max_concurrency=1000).remote(
            Place(shards, number), rows, dimension
        )
        for number in range(shards)
    }
    filled = [getattr(one, "fill").remote() for one in actors.values()]  # noqa: B009 - Ray's stub hides `remote`
    ray.get(filled)

    async def call(name: str, method: str, *given: Any) -> Any:
        return await getattr(actors[name], method).remote(*given)

    return call, list(actors.values())


async def ways(report: Report, rows: int, dimension: int, seconds: float, rounds: int) -> None:
    """In process, actor, replica: in turns."""
    queries = crowd(rows, dimension, 64).queries
    here = Held(Place(), rows, dimension)
    await here.fill()

    async def local(name: str, method: str, *given: Any) -> Any:
        return await getattr(here, method)(*given)

    actor, actors = _actors(1, rows, dimension)
    deployment = ray_serve.deployment(name="held", max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0.1})
    handle = ray_serve.run(deployment(Held).bind(Place(), rows, dimension), name="held", route_prefix=None)
    await handle.fill.remote()

    async def replica(name: str, method: str, *given: Any) -> Any:
        return await getattr(handle, method).remote(*given)

    routers = {name: Router(call, 1, 1, 1) for name, call in (("here", local), ("actor", actor), ("replica", replica))}
    single: dict[str, list[float]] = {name: [] for name in routers}
    many: dict[str, list[float]] = {name: [] for name in routers}
    for _ in range(rounds):
        for name, router in routers.items():
            single[name].append(percentile(await _one_by_one(router, queries, seconds), 0.5))
            many[name].append(await _together(router, queries, seconds))
    for name in routers:
        report.add(f"{name}_p50_ms", min(single[name]) * 1e3, "ms")
        report.add(f"{name}_16_per_s", max(many[name]), "queries/s")
    report.ratio("replica_over_actor_p50", min(single["replica"]) / min(single["actor"]))
    report.ratio("actor_over_replica_16", max(many["actor"]) / max(many["replica"]))
    ray_serve.delete("held")
    for one in actors:
        ray.kill(one)


async def divided(report: Report, rows: int, dimension: int, seconds: float, rounds: int, most: int) -> None:
    """The same rows over more and more actors."""
    queries = crowd(rows, dimension, 64).queries
    for shards in (one for one in (1, 2, 4, 8) if one <= most):
        call, actors = _actors(shards, rows, dimension)
        router = Router(call, shards, 1, shards)
        single = [percentile(await _one_by_one(router, queries, seconds), 0.5) for _ in range(rounds)]
        many = [await _together(router, queries, seconds) for _ in range(rounds)]
        report.add(f"shards_{shards}_p50_ms", min(single) * 1e3, "ms")
        report.add(f"shards_{shards}_16_per_s", max(many), "queries/s")
        for one in actors:
            ray.kill(one)


async def http(report: Report, rows: int, dimension: int, seconds: float, rounds: int) -> None:
    """A whole city and its ledger against the index in this process, in turns."""
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
        inside, outside, waits = [], [], list[float]()
        batch = np.ascontiguousarray(made.queries[:CONCURRENT])
        for _ in range(rounds):
            inside.append(await asyncio.to_thread(_batch_rate, lambda: index.search(batch, LIMIT), seconds))
            took, lasted = await _posted(client, path, bodies, seconds)
            outside.append(len(took) / lasted)
            waits += took
    report.add("in_process_16_per_s", max(inside), "queries/s")
    report.add("http_16_per_s", max(outside), "queries/s")
    report.add("http_p50_ms", percentile(waits, 0.5) * 1e3, "ms")
    report.add("http_p99_ms", percentile(waits, 0.99) * 1e3, "ms")
    report.ratio("http_of_in_process", max(outside) / max(inside))


def _batch_rate(search: Callable[[], object], seconds: float) -> float:
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
    took: list[float] = []
    began, until = time.monotonic(), time.monotonic() + seconds

    async def ask(turn: int) -> None:
        while time.monotonic() < until:
            asked = time.monotonic()
            (await client.post(path, json=bodies[turn % len(bodies)])).raise_for_status()
            took.append(time.monotonic() - asked)
            turn += CONCURRENT

    await asyncio.gather(*(ask(number) for number in range(CONCURRENT)))
    return took, time.monotonic() - began


async def measure(quick: bool, parts: Sequence[str], rows: int, http_rows: int) -> Report:
    """All parts that are asked for."""
    seconds, rounds = (0.3, 1) if quick else (4.0, 3)
    rows, http_rows, dimension = (4_000, 4_000, 32) if quick else (rows, http_rows, 256)
    report = Report("search_service", goals={"http_of_in_process": "≥ 0.5"})
    if {"ways", "shards"} & {*parts}:
        ray.init(address="local", include_dashboard=False, log_to_driver=False, num_cpus=4)
        try:
            if "ways" in parts:
                await ways(report, rows, dimension, seconds, rounds)
            if "shards" in parts:
                await divided(report, rows, dimension, seconds, rounds, 2 if quick else 8)
        finally:
            ray_serve.shutdown()  # type: ignore[no-untyped-call]
            ray.shutdown()
    if "http" in parts:
        await http(report, http_rows, dimension, seconds, rounds)
    report.notes.append(f"{rows:,} × {dimension} ({http_rows:,} through HTTP), whole window, {CAMERAS} cameras")
    report.notes.append(f"{CONCURRENT} askers, {seconds:g} s a round, best of {rounds} rounds in turns")
    return report


if __name__ == "__main__":
    options = arguments("search_service", __doc__ or "")
    options.add_argument("--parts", nargs="+", default=["ways", "shards", "http"], choices=["ways", "shards", "http"])
    options.add_argument("--rows", type=int, default=200_000, help="of the parts ways and shards")
    options.add_argument("--http-rows", type=int, default=1_000_000)
    given = options.parse_args()
    run(lambda: measure(given.quick, given.parts, given.rows, given.http_rows), given.json)
