"""100,000 sensors at 1 Hz: the memory of the host, and the time from publishing a reading to its published state."""

import asyncio
import multiprocessing
import time
from bisect import bisect_left
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection as Pipe

import numpy as np
import orjson
import pyarrow as pa
from nats.aio.msg import Msg

from actors.host import ShardKey
from bench.city import City, arrow, city, registration, requests, sensor_ids
from bench.process import HostProcess
from bench.report import Report, arguments, percentile, run
from schemas.base import Command
from streams.connection import Access, connect
from streams.subjects import READINGS, raw

SHARDS = 4
"""The default of `BOMNAE_FACILITY_SHARDS`."""
SNAPSHOT_EVERY_S = 30.0
"""More often than by default, so that the first minute, too, holds the memory that snapshots need."""
SENSORS_EACH = 200
"""Sensors of a facility; each facility sends one message a second, spread evenly over the second."""

Sent = list[tuple[int, int, float]]
"""Shard, INGEST sequence, moment of publishing (monotonic s)."""


def publish(access: Access, places: list[tuple[int, str]], seconds: int, pipe: Pipe) -> None:
    """The publishing process: tells its `Sent` when it is done."""
    pipe.send(asyncio.run(_publish(access, places, seconds)))


async def _publish(access: Access, places: list[tuple[int, str]], seconds: int) -> Sent:
    nc = await connect(access, "sensors")
    inbox, answered = nc.new_inbox(), asyncio.Event()
    given: list[tuple[int, float]] = []
    sent: Sent = []

    async def on_answer(msg: Msg) -> None:
        number, sequence = int(msg.subject.rsplit(".", 1)[1]), int(orjson.loads(msg.data)["seq"])
        sent.append((given[number][0], sequence, given[number][1]))
        answered.set()

    await nc.subscribe(f"{inbox}.*", cb=on_answer)
    known = {name: pa.array(sensor_ids(name, SENSORS_EACH)) for _, name in places}
    sensors, began, base = np.arange(SENSORS_EACH), time.monotonic(), time.time_ns() // 1000
    for second in range(seconds):
        for place, (shard, name) in enumerate(places):
            due = began + second + place / len(places)
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            data = arrow(known[name], sensors, np.full(SENSORS_EACH, second), base + second * 1_000_000)
            given.append((shard, time.monotonic()))
            await nc.publish(raw("facility", name, READINGS), data, reply=f"{inbox}.{len(given) - 1}")
    async with asyncio.timeout(60):
        while len(sent) < len(given):
            answered.clear()
            await answered.wait()
    await nc.close()
    return sent


async def register(host: HostProcess, places: list[tuple[int, str]]) -> float:
    """Seconds until all facilities and sensors are registered."""
    began = time.monotonic()
    for start in range(0, len(places), 20):
        asked = []
        for shard, name in places[start : start + 20]:
            commands: list[Command] = registration(name, sensor_ids(name, SENSORS_EACH))
            asked += requests(shard, commands)
        await host.submit(asked)
    return time.monotonic() - began


def lags(host: HostProcess, sent: Sent) -> list[float]:
    """Of each message: seconds from publishing it to the first published state that holds it."""
    shown: dict[ShardKey, tuple[list[int], list[float]]] = {}
    for one in host.news:
        positions, moments = shown.setdefault(one.shard, ([], []))
        positions.append(one.ingested)
        moments.append(one.at)
    found = []
    for shard, sequence, at in sent:
        positions, moments = shown["facility", shard]
        found.append(moments[bisect_left(positions, sequence)] - at)
    return found


async def measure(sensors: int, seconds: int) -> Report:
    """One run; memory is sampled every second, first and last minute (or fifth of the run) are compared."""
    report = Report("scale", goals={"memory_growth": "≤ 1.1", "lag_p99_s": "≤ 2"})
    facilities = sensors // SENSORS_EACH
    async with AsyncExitStack() as stack:
        made: City = await stack.enter_async_context(city(SHARDS))
        keys = [("facility", shard) for shard in range(SHARDS)]
        host = HostProcess(made.server.folder, keys, SNAPSHOT_EVERY_S)
        stack.callback(host.kill)
        names = {shard: made.facilities(shard, facilities // SHARDS) for shard in range(SHARDS)}
        places = [(shard, names[shard][k]) for k in range(facilities // SHARDS) for shard in range(SHARDS)]
        for key in keys:
            await host.until(key, 0)
        took = await register(host, places)
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=publish, args=(made.access(), places, seconds, there), daemon=True)
        process.start()
        there.close()
        stack.callback(process.terminate)
        memory, busy = [], host.processor_s()
        done = asyncio.create_task(asyncio.to_thread(here.recv))
        while not done.done():
            await asyncio.wait([done], timeout=1.0)
            memory.append(host.memory())
        sent: Sent = await done
        busy = host.processor_s() - busy
        each = len(places) // SHARDS * SENSORS_EACH * seconds
        for key in keys:
            await host.until(key, each)
        waited = lags(host, sent)
    part = min(60, max(1, len(memory) // 5))
    first, last = float(np.mean(memory[:part])), float(np.mean(memory[-part:]))
    report.add("sensors", len(places) * SENSORS_EACH, "sensors")
    report.add("readings", len(places) * SENSORS_EACH * seconds, "readings")
    report.add("registered_per_s", len(places) * (SENSORS_EACH + 1) / took, "commands/s")
    report.add("memory_first_mb", first / 1e6, "MB")
    report.add("memory_last_mb", last / 1e6, "MB")
    report.add("lag_p50_s", percentile(waited, 0.5), "s")
    report.add("lag_p99_s", percentile(waited, 0.99), "s")
    report.add("host_cores", busy / seconds, "cores")
    report.ratio("memory_growth", last / first)
    report.notes.append(f"{seconds} s, {SHARDS} shards in one host process, {len(places)} messages a second,")
    report.notes.append(f"a snapshot of each shard every {SNAPSHOT_EVERY_S:g} s;")
    report.notes.append(
        "lag: from publishing a message to the first published state that holds it, all readings counted"
    )
    return report


if __name__ == "__main__":
    parser = arguments("scale", __doc__ or "")
    parser.add_argument("--seconds", type=int, default=300, help="how long to send (default: 300)")
    given = parser.parse_args()
    run(lambda: measure(1_600, 5) if given.quick else measure(100_000, given.seconds), given.json)
