"""Kill -9 of the process that owns a shard → first right answer of its successor, with few and many readings behind it.

The process runs a `ShardHost` without Ray. The time holds everything: a new Python process, loading the snapshot and
the tail, the claim, the published state. An answer is right when every reading sent has been counted, and only once.
"""

import asyncio
from contextlib import AsyncExitStack

import pyarrow.compute as pc

from bench.city import ROWS, SENSORS, City, city, registration, requests, sensor_ids
from bench.load import Job, Publisher, publisher
from bench.process import HostProcess
from bench.report import Report, arguments, run
from streams.connection import Connection

FEW, MANY = 0, 1
"""Shards."""


async def send(load: Publisher, facility: str, first: int, messages: int) -> None:
    """Publish messages number `first` and following, in parts that fit into memory."""
    for start in range(first, first + messages, 400):
        await load.prepare(Job(facility, SENSORS, min(400, first + messages - start), start * ROWS))
        load.go()
        await load.sent()


async def fill(host: HostProcess, made: City, load: Publisher, shard: int, messages: int) -> None:
    """Register the sensors of a shard and fold readings; snapshots are saved as by default."""
    facility, key = made.facilities(shard)[0], ("facility", shard)
    await host.until(key, 0)
    await host.submit(requests(shard, registration(facility, sensor_ids(facility, SENSORS))))
    await send(load, facility, 0, messages)
    await host.until(key, messages * ROWS)
    await asyncio.sleep(5.0)  # those that are on their way land


async def snapshot_lag(connection: Connection, shard: int, sensors: int) -> int:
    """Readings that the newest snapshot of a shard does not hold."""
    newest = await (await connection.snapshots("facility", shard)).newest()
    return sensors if newest is None else sensors - int(pc.sum(newest.tables["sensors"]["count"]).as_py())


async def measure(quick: bool) -> Report:
    """Rounds in turns, the best of each."""
    messages, rounds = ({FEW: 4, MANY: 20}, 1) if quick else ({FEW: 200, MANY: 2_000}, 5)
    report = Report("recovery", goals={"ten_million_over_one_million": "≤ 1.3"})
    took: dict[int, list[float]] = {FEW: [], MANY: []}
    loading: dict[int, list[float]] = {FEW: [], MANY: []}
    tails: dict[int, int] = {}
    async with AsyncExitStack() as stack:
        made: City = await stack.enter_async_context(city(2))
        load = stack.enter_context(publisher(made.access()))
        connection = await Connection.open(made.access(), "bench")
        stack.push_async_callback(connection.close)
        hosts = {shard: HostProcess(made.server.folder, [("facility", shard)]) for shard in messages}
        stack.callback(lambda: [host.kill() for host in hosts.values()])
        for shard, count in messages.items():
            await fill(hosts[shard], made, load, shard, count)
            tails[shard] = await snapshot_lag(connection, shard, count * ROWS)
        for _ in range(rounds):
            for shard, count in messages.items():
                killed = hosts[shard].kill()
                hosts[shard] = HostProcess(made.server.folder, [("facility", shard)])
                answer = await hosts[shard].until(("facility", shard), count * ROWS)
                took[shard].append(answer.at - killed)
                loading[shard].append(answer.loading_s)
    for shard, name in ((FEW, "one_million"), (MANY, "ten_million")):
        report.add(f"{name}_s", min(took[shard]), "s")
        report.add(f"{name}_loading_s", min(loading[shard]), "s")
        report.add(f"{name}_tail", tails[shard], "readings")
    report.ratio("ten_million_over_one_million", min(took[MANY]) / min(took[FEW]))
    report.notes.append(
        f"{messages[FEW] * ROWS:,} and {messages[MANY] * ROWS:,} readings, best of {rounds} kills each;"
    )
    report.notes.append("snapshots as by default, so the tail behind the newest one is what it happened to be;")
    report.notes.append("loading: from the new owner's start to the answer, without the start of its Python process")
    return report


if __name__ == "__main__":
    given = arguments("recovery", __doc__ or "").parse_args()
    run(lambda: measure(given.quick), given.json)
