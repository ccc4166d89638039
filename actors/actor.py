"""The host of shards as a Ray actor: reachable by name, restarted by Ray, fenced by the log."""

import asyncio
from collections.abc import Sequence

import ray

from actors.exporting import RayMeters
from actors.host import HostConfig, Request, ShardHost, ShardKey
from actors.journal import Entry
from actors.mapping import Mapped, packed
from actors.meters import METRICS
from schemas.errors import BomnaeError
from streams import logs

WATCH_S = 5.0
"""How long a `watch` call waits for news."""
MEASURE_S = 2.0
"""Time between two looks at the gauges; Ray shows them to Prometheus at its own pace."""


class ShardActor:
    """Wraps a `ShardHost`. Calls carry batches; reading the state costs no call per query.

    `max_task_retries` is 0: a command whose actor died is answered as unavailable, and its key makes a repeat safe.
    """

    def __init__(self, config: HostConfig, name: str) -> None:
        logs.configure(config.settings.log_level)
        self._host = ShardHost(config, name, meters=RayMeters(METRICS))
        self._mapped: dict[ShardKey, Mapped] = {}
        self._started = asyncio.ensure_future(self._host.start())
        self._measuring = asyncio.ensure_future(self._measure())

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
        """What was published of the known shards beyond these positions (-1: none yet); waits `WATCH_S` at most."""
        await self._started
        self._leave_if_fenced()
        news = await self._host.changed(known, WATCH_S)
        for key, one in news.items():
            mapped = self._mapped.get(key)
            if mapped is None or mapped.position < one.position:
                # One `put` per published state, however many replicas watch.
                self._mapped[key] = Mapped(one.position, one.clock, one.ingested, ray.put(packed(one.tables)))
        return {key: self._mapped[key] for key in news}

    async def stop(self) -> None:
        """Leave all shards; the actor stays until it is killed."""
        await self._host.stop()

    async def _measure(self) -> None:
        while True:
            self._host.measure()
            await asyncio.sleep(MEASURE_S)

    def _leave_if_fenced(self) -> None:
        """Exit for good when everything here has a newer owner.

        A crash would not do: Ray would restart it, and it and its successor would claim in turns.
        """
        if self._host.left.is_set():
            ray.actor.exit_actor()  # type: ignore[no-untyped-call]
