"""Durable commands per second with group commit, against raw atomic batches of the same messages."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import orjson

from actors.commit import Asked
from actors.host import wall_clock
from bench.city import SENSORS, City, city, sensor_ids
from bench.owner import Owner, owner
from bench.report import Report, arguments, percentile, run
from schemas.base import Command, from_micros
from schemas.facility import CalibrateSensor
from streams.batch import BATCH_COMMIT, BATCH_ID, BATCH_SEQUENCE, Message, append_batch
from streams.codec import log_head_of
from streams.connection import Connection
from streams.log import Record
from streams.subjects import log_stream

WAITING = 4_000
"""Commands that are always under way at saturation: four full batches."""
SHARD, RAW, OWN = range(3)


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
    room, took, durable = asyncio.Semaphore(WAITING), [0.0] * len(asked), asyncio.Event()
    left = len(asked)

    def settle(number: int, began: float) -> None:
        nonlocal left
        took[number], left = time.monotonic() - began, left - 1
        room.release()
        if not left:
            durable.set()

    start = time.monotonic()
    for number, one in enumerate(asked):
        await room.acquire()
        now = time.monotonic()
        one.done.add_done_callback(lambda _, number=number, now=now: settle(number, now))  # type: ignore[misc]
        owned.shard.submit(one)
    await durable.wait()
    seconds = time.monotonic() - start
    for one in asked:
        one.done.result()  # raises what refused it
    return seconds, took


async def alone(owned: Owner, asked: list[Asked]) -> list[float]:
    """The time of each (s) when each waits for the one before."""
    took = []
    for one in asked:
        began = time.monotonic()
        owned.shard.submit(one)
        await one.done
        took.append(time.monotonic() - began)
    return took


def prepared(batches: list[list[Record]], shard: int) -> list[list[Message]]:
    """The same messages for the log of another shard."""
    old, new = f".{SHARD}.", f".{shard}."
    return [[Message(r.subject.replace(old, new, 1), r.data, log_head_of(r)) for r in batch] for batch in batches]


async def append_raw(connection: Connection, batches: list[list[Record]]) -> float:
    """Seconds to append them one after the other with what nats-py offers: `publish`, and `request` for the last."""
    nc, began = connection.nc, 0.0
    ready = [[(m.subject, m.data, m.headers) for m in batch] for batch in prepared(batches, RAW)]
    began = time.monotonic()
    for number, messages in enumerate(ready):
        name = f"raw-{number}-{began}"
        for index, (subject, data, headers) in enumerate(messages[:-1], 1):
            await nc.publish(subject, data, headers={**headers, BATCH_ID: name, BATCH_SEQUENCE: str(index)})
        subject, data, headers = messages[-1]
        last = {**headers, BATCH_ID: name, BATCH_SEQUENCE: str(len(messages)), BATCH_COMMIT: "1"}
        answer = orjson.loads((await nc.request(subject, data, timeout=5.0, headers=last)).data)
        if "error" in answer:
            raise RuntimeError(str(answer["error"]))
    return time.monotonic() - began


async def append_own(connection: Connection, batches: list[list[Record]]) -> float:
    """Seconds to append them one after the other with the project's own encoder."""
    ready = prepared(batches, OWN)
    began = time.monotonic()
    for messages in ready:
        await append_batch(connection.nc, log_stream("facility", OWN), messages, None, 5.0)
    return time.monotonic() - began


async def measure(quick: bool) -> Report:
    """Three rounds of each way in turns, the best of each."""
    count, rounds, singles = (2_000, 1, 20) if quick else (40_000, 3, 300)
    report = Report("commands", goals={"of_raw": "≥ 0.5"})
    ours, raw, own, took, single = [], [], [], [], []
    async with AsyncExitStack() as stack:
        made: City = await stack.enter_async_context(city(3))
        connection = await Connection.open(made.access(), "bench")
        stack.push_async_callback(connection.close)
        facility = made.facilities(SHARD)[0]
        owned = await stack.enter_async_context(owner(connection, SHARD, facility, SENSORS))
        recorder = _Recorder(owned)
        for number in range(rounds):
            recorder.batches.clear()
            asked = [Asked(one, "", "", wall_clock()) for one in commands(facility, count, 1 + number * count)]
            seconds, times = await saturate(owned, asked)
            ours.append(count / seconds)
            took.append(times)
            raw.append(count / await append_raw(connection, recorder.batches))
            own.append(count / await append_own(connection, recorder.batches))
        later = commands(facility, singles, 1 + rounds * count)
        single = await alone(owned, [Asked(one, "", "", wall_clock()) for one in later])
    best = took[ours.index(max(ours))]
    report.add("commands_per_s", max(ours), "commands/s")
    report.add("raw_per_s", max(raw), "events/s")
    report.add("own_encoder_raw_per_s", max(own), "events/s")
    report.add("saturated_p50_ms", percentile(best, 0.5) * 1e3, "ms")
    report.add("saturated_p99_ms", percentile(best, 0.99) * 1e3, "ms")
    report.add("single_p50_ms", percentile(single, 0.5) * 1e3, "ms")
    report.add("single_p99_ms", percentile(single, 0.99) * 1e3, "ms")
    report.ratio("of_raw", max(ours) / max(raw))
    report.ratio("of_own_encoder_raw", max(ours) / max(own))
    report.notes.append(f"{count:,} commands a round, {WAITING:,} under way, best of {rounds}; raw: the same records")
    report.notes.append(
        "through nats-py; own encoder: through streams.batch. Ours publishes each event on FEED as well"
    )
    return report


if __name__ == "__main__":
    given = arguments("commands", __doc__ or "").parse_args()
    run(lambda: measure(given.quick), given.json)
