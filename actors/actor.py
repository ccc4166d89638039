"""The host of shards as a Ray actor: reachable by name, restarted by Ray, fenced by the log."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.metrics import Gauge

from actors.host import HostConfig, Request, ShardHost, ShardKey
from actors.journal import Entry
from schemas.errors import BomnaeError

WATCH_S = 5.0
"""How long a `watch` call waits for news."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """A published state whose tables lie in Ray's object store: readers map them, nothing is copied per reader."""

    position: int
    clock: int
    ingested: int
    tables: Any


class ShardActor:
    """Wraps a `ShardHost`. Calls carry batches; reading the state costs no call per query.

    `max_task_retries` is 0: a command whose actor died is answered as unavailable, and its key makes a repeat safe.
    """

    def __init__(self, config: HostConfig, name: str) -> None:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
        self._host = ShardHost(config, name)
        self._mapped: dict[ShardKey, Mapped] = {}
        self._started = asyncio.ensure_future(self._host.start())
        tags = ("context", "shard")
        self._position = Gauge("bomnae_log_position", "Newest committed sequence of a shard's log.", tag_keys=tags)
        self._ingested = Gauge("bomnae_ingest_position", "Newest folded sequence of INGEST.", tag_keys=tags)

    async def ready(self) -> dict[ShardKey, str]:
        """The shards that are not owned yet or failed, with the reason; empty when all are well."""
        await self._started
        self._leave_if_fenced()
        waiting = {key: "not published yet" for key in self._host.shards if key not in self._host.published}
        return {**waiting, **self._host.failures}

    async def submit(self, requests: Sequence[Request]) -> list[Entry | BomnaeError]:
        """See `ShardHost.submit`."""
        await self._started
        return await self._host.submit(requests)

    async def watch(self, known: dict[ShardKey, int]) -> dict[ShardKey, Mapped]:
        """What was published beyond the known positions; waits `WATCH_S` at most."""
        await self._started
        self._leave_if_fenced()
        news = await self._host.changed(known, WATCH_S)
        for key, one in news.items():
            mapped = self._mapped.get(key)
            if mapped is None or mapped.position < one.position:
                # One `put` per published state, however many replicas watch.
                self._mapped[key] = Mapped(one.position, one.clock, one.ingested, ray.put(one.tables))
                tags = {"context": key[0], "shard": str(key[1])}
                self._position.set(one.position, tags)
                self._ingested.set(one.ingested, tags)
        return {key: self._mapped[key] for key in news}

    async def stop(self) -> None:
        """Leave all shards; the actor stays until it is killed."""
        await self._host.stop()

    def _leave_if_fenced(self) -> None:
        """Exit for good when everything here has a newer owner.

        A crash would not do: Ray would restart it, and it and its successor would claim in turns.
        """
        if self._host.left.is_set():
            ray.actor.exit_actor()  # type: ignore[no-untyped-call]
