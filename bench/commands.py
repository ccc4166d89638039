"""Durable commands per second with group commit, against raw atomic batches of the same messages."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

from actors.host import wall_clock
from actors.shard import Asked
from bench.city import SENSORS, City, city, sensor_ids
from bench.owner import Owner, owner
from bench.report import Report, arguments, percentile, run
from schemas.base import Command, from_micros
from schemas.facility import CalibrateSensor
from streams.batch import Message, append_batch
from streams.codec import headers_of
from streams.connection import Connection
from streams.log import Record
from streams.subjects import log_stream

WAITING = 4_000
"""Commands that are always under way at saturation: four full batches."""
SHARD, RAW = 0, 1


class _Recorder:
    """Keeps what a shard appends to its log, so that the raw rounds can append the very same."""

    def __init__(self, owned: Owner) -> None:
        self.batches: list[list[Record]] = []
        self._append = owned.shard.store.append
        owned.shard.store.append = self._keep  # type: ignore[method-assign]

    async def _keep(self, records: Sequence[Record], expected: int) -> int:
        self.batches.append(list(records))
        return await self._append(records, expected)


def commands(facility: str, count: int, salt: int) -> list[Command]:
    """Calibrations that each change something: one event per command."""
    at, ids = from_micros(wall_clock()), sensor_ids(facility, SENSORS)
    return [
        CalibrateSensor(
            at=at, by="bench", facility=facility, sensor=ids[k % SENSORS], gain=1.0 + (salt + k // SENSORS) * 1e-6
        )
        for k in range(count)
    ]


async def saturate(owned: Owner, asked: list[Asked]) -> tuple[float, list[float]]:
    """Seconds until all are durable with `WAITING` under way, and the time of each (s)."""
    room, took = asyncio.Semaphore(WAITING), [0.0] * len(asked)

    def settle(number: int, began: float) -> None:
        took[number] = time.monotonic() - began
        room.release()

    start = time.monotonic()
    for number, one in enumerate(asked):
        await room.acquire()
        now = time.monotonic()
        one.done.add_done_callback(lambda _, number=number, now=now: settle(number, now))  # type: ignore[misc]
        owned.shard.submit(one)
    await asyncio.gather(*(one.done for one in asked))
    return time.monotonic() - start, took


async def alone(owned: Owner, asked: list[Asked]) -> list[float]:
    """The time of each (s) when each waits for the one before."""
    took = []
    for one in asked:
        began = time.monotonic()
        owned.shard.submit(one)
        await one.done
        took.append(time.monotonic() - began)
    return took


async def append_raw(connection: Connection, batches: list[list[Record]], expected: int) -> tuple[float, int]:
    """Seconds to append prepared batches one after the other to another log, and its newest sequence."""
    old, new = f".{SHARD}.", f".{RAW}."
    prepared: list[list[Message]] = [
        [(record.subject.replace(old, new, 1), record.data, headers_of(record)) for record in batch]
        for batch in batches
    ]
    start = time.monotonic()
    for messages in prepared:
        expected = await append_batch(connection.nc, log_stream("facility", RAW), messages, expected, 5.0)
    return time.monotonic() - start, expected


async def measure(quick: bool) -> Report:
    """Three rounds of each way in turns, the best of each."""
    count, rounds, singles = (2_000, 1, 20) if quick else (40_000, 3, 300)
    report = Report("commands", goals={"of_raw": "≥ 0.5"})
    ours, raw, took, single = [], [], [], []
    async with AsyncExitStack() as stack:
        made: City = await stack.enter_async_context(city(2))
        connection = await Connection.open(made.access(), "bench")
        stack.push_async_callback(connection.close)
        facility = made.facilities(SHARD)[0]
        owned = await stack.enter_async_context(owner(connection, SHARD, facility, SENSORS))
        recorder, newest = _Recorder(owned), 0
        for number in range(rounds):
            recorder.batches.clear()
            asked = [Asked(one, "", "", wall_clock()) for one in commands(facility, count, 1 + number * count)]
            seconds, times = await saturate(owned, asked)
            ours.append(count / seconds)
            took.append(times)
            seconds, newest = await append_raw(connection, recorder.batches, newest)
            raw.append(count / seconds)
        later = commands(facility, singles, 1 + rounds * count)
        single = await alone(owned, [Asked(one, "", "", wall_clock()) for one in later])
    best = took[ours.index(max(ours))]
    report.add("commands_per_s", max(ours), "commands/s")
    report.add("raw_per_s", max(raw), "events/s")
    report.add("saturated_p50_ms", percentile(best, 0.5) * 1e3, "ms")
    report.add("saturated_p99_ms", percentile(best, 0.99) * 1e3, "ms")
    report.add("single_p50_ms", percentile(single, 0.5) * 1e3, "ms")
    report.add("single_p99_ms", percentile(single, 0.99) * 1e3, "ms")
    report.ratio("of_raw", max(ours) / max(raw))
    report.notes.append(f"{count:,} commands a round, {WAITING:,} under way, best of {rounds}; raw: the same records")
    return report


if __name__ == "__main__":
    given = arguments("commands", __doc__ or "").parse_args()
    run(lambda: measure(given.quick), given.json)
