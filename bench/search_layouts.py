"""What the service adds to a search, without HTTP: actor or Serve replica, and a router over shards.

Two parts: (1) the same rows in this process, in a plain named actor and in a Serve replica, asked by the same router in
turns; (2) the same rows divided over 1, 2, 4 and 8 actors.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray import serve as ray_serve

from bench.report import Report, percentile
from bench.search_data import SPAN, Crowd, crowd, table
from bench.search_rows import BATCH, EVERYTHING
from serve.search.asking import Question, Replies
from serve.search.place import Place
from serve.search.pools import Pool
from serve.search.protocol import Query
from serve.search.router import Router
from serve.search.shard import SearchShard
from streams.blobs import MemoryBlobs

MODEL, CONCURRENT, LIMIT = "bench", 16, 10


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


async def layouts(report: Report, rows: int, dimension: int, seconds: float, rounds: int, most: int) -> None:
    """Both parts, in a Ray of their own."""
    ray.init(address="local", include_dashboard=False, log_to_driver=False, num_cpus=4)
    try:
        await ways(report, rows, dimension, seconds, rounds)
        await divided(report, rows, dimension, seconds, rounds, most)
    finally:
        ray_serve.shutdown()  # type: ignore[no-untyped-call]
        ray.shutdown()
