"""A `ShardHost` in a process of its own, which can be killed. Without Ray: the owner is measured, not its wrapper."""

import asyncio
import logging
import multiprocessing
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import psutil
import pyarrow.compute as pc

from actors.host import HostConfig, Request, ShardHost, ShardKey
from schemas.settings import Settings


@dataclass(frozen=True, slots=True)
class News:
    """A state as the host published it: when (monotonic s), what is folded, how many readings the sensors counted.

    `loading_s`: time since this process began to own its shards.
    """

    at: float
    shard: ShardKey
    ingested: int
    counted: int
    loading_s: float


class HostProcess:
    """Starts at once; `news` grows as the host publishes. Not for several threads."""

    def __init__(self, folder: Path, shards: Sequence[ShardKey], snapshot_every_s: float = 300.0) -> None:
        context = multiprocessing.get_context("spawn")
        self._calls, calls = context.Pipe()
        self._told, told = context.Pipe(duplex=False)
        settings = Settings(data=folder, snapshot_every_s=snapshot_every_s)
        config = HostConfig(settings, tuple(shards))
        self._process = context.Process(target=_serve, args=(config, calls, told), name="host", daemon=True)
        self.started = time.monotonic()
        self._process.start()
        calls.close()
        told.close()
        self.news: deque[News] = deque()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                self.news.append(self._told.recv())
            except (EOFError, OSError):
                return

    async def until(self, shard: ShardKey, counted: int, timeout_s: float = 120.0) -> News:
        """The first state published by this process in which the shard's sensors have counted that many readings."""
        async with asyncio.timeout(timeout_s):
            while True:
                for one in list(self.news):
                    if one.shard == shard and one.counted == counted:
                        return one
                await asyncio.sleep(0.005)

    async def submit(self, requests: Sequence[Request]) -> None:
        """Have commands decided. Raises `RuntimeError` where one is refused."""
        self._calls.send(requests)
        refused: list[str] = await asyncio.to_thread(self._calls.recv)
        if refused:
            raise RuntimeError(f"{len(refused)} commands were refused: {refused[0]}")

    def memory(self) -> int:
        """Resident bytes."""
        return int(psutil.Process(self._process.pid).memory_info().rss)

    def processor_s(self) -> float:
        """Seconds of processor time that it has used."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def kill(self) -> float:
        """Kill -9, and the moment of it (monotonic s)."""
        at = time.monotonic()
        self._process.kill()
        self._process.join()
        return at


def _serve(config: HostConfig, calls: Pipe, told: Pipe) -> None:
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(_work(config, calls, told))


async def _work(config: HostConfig, calls: Pipe, told: Pipe) -> None:
    host = ShardHost(config, "bench-host")
    began = time.monotonic()
    await host.start()
    answering = asyncio.create_task(_answer(host, calls))
    known: dict[ShardKey, int] = dict.fromkeys(config.shards, -1)
    while not answering.done():
        for key, one in (await host.changed(known, 5.0)).items():
            known[key] = one.position
            counted = pc.sum(one.tables["sensors"]["count"]).as_py() or 0
            now = time.monotonic()
            told.send(News(now, key, one.ingested, counted, now - began))
    answering.result()


async def _answer(host: ShardHost, calls: Pipe) -> None:
    while True:
        requests: list[Request] = await asyncio.to_thread(calls.recv)
        answers = await host.submit(requests)
        calls.send([str(one) for one in answers if isinstance(one, Exception)])
