"""Readings per second from publishing to folded, durable state; against the same bytes published and pulled only."""

import asyncio
import time
from contextlib import AsyncExitStack

from bench.city import ROWS, SENSORS, City, city
from bench.load import Job, Publisher, publisher
from bench.owner import Owner, owner
from bench.report import Report, arguments, run
from streams.connection import Connection
from streams.pull import PullReader
from streams.subjects import ingest_filter, ingest_stream

FOLDED, PULLED, SINGLE = range(3)
"""One partition for each way, so that none reads what another sent."""


async def pull(connection: Connection, after: int, job: Job, load: Publisher) -> float:
    """The ceiling: seconds from the first publish until all messages have arrived, with nothing done to them."""
    wake, arrived = asyncio.Event(), 0
    reader = PullReader(connection.nc, ingest_stream("facility"), ingest_filter("facility", PULLED), wake)
    await load.prepare(job)
    await reader.open(after)
    load.go()
    while arrived < job.messages:
        wake.clear()
        taken = len(reader.take(200))
        arrived += taken
        if not taken:
            await wake.wait()
    ended = time.monotonic()
    sent = await load.sent()
    await reader.close()
    return ended - sent.began


async def fold(owned: Owner, job: Job, load: Publisher) -> tuple[float, int]:
    """Seconds from the first publish until the state that holds all readings is committed; and the newest sequence."""
    await load.prepare(job)
    load.go()
    sent = await load.sent()
    return await owned.reached(sent.sequence) - sent.began, sent.sequence


async def measure(quick: bool) -> Report:
    """Three rounds of each way in turns, the best of each."""
    messages, singles, rounds = (20, 200, 1) if quick else (1_000, 20_000, 3)
    report = Report(
        "ingest", goals={"of_ceiling": "≥ 0.5", "over_per_message": "≥ 30", "readings_per_s": "aim: 2,000,000"}
    )
    rates: dict[int, list[float]] = {FOLDED: [], PULLED: [], SINGLE: []}
    async with AsyncExitStack() as stack:
        made: City = await stack.enter_async_context(city(3))
        load = stack.enter_context(publisher(made.access()))
        connection = await Connection.open(made.access(), "bench")
        stack.push_async_callback(connection.close)
        places = [made.facilities(shard)[0] for shard in range(3)]
        folding = await stack.enter_async_context(owner(connection, FOLDED, places[FOLDED], SENSORS))
        single = await stack.enter_async_context(owner(connection, SINGLE, places[SINGLE], SENSORS))
        newest = 0
        for number in range(rounds):
            first = number * messages * ROWS
            seconds = await pull(connection, newest, Job(places[PULLED], SENSORS, messages, first), load)
            rates[PULLED].append(messages * ROWS / seconds)
            seconds, _ = await fold(folding, Job(places[FOLDED], SENSORS, messages, first), load)
            rates[FOLDED].append(messages * ROWS / seconds)
            job = Job(places[SINGLE], SENSORS, singles, number * singles, rows=1, single=True)
            seconds, newest = await fold(single, job, load)
            rates[SINGLE].append(singles / seconds)
        counted = int(folding.shard.state.domain.columns.count[:SENSORS].sum())
        if counted != rounds * messages * ROWS:
            raise RuntimeError(f"{counted} readings counted, {rounds * messages * ROWS} were sent")
    report.add("readings_per_s", max(rates[FOLDED]), "readings/s")
    report.add("ceiling_readings_per_s", max(rates[PULLED]), "readings/s")
    report.add("per_message_readings_per_s", max(rates[SINGLE]), "readings/s")
    report.ratio("of_ceiling", max(rates[FOLDED]) / max(rates[PULLED]))
    report.ratio("over_per_message", max(rates[FOLDED]) / max(rates[SINGLE]))
    report.notes.append(f"{messages:,} messages of {ROWS:,} readings over {SENSORS} sensors a round, best of {rounds}")
    return report


if __name__ == "__main__":
    given = arguments("ingest", __doc__ or "").parse_args()
    run(lambda: measure(given.quick), given.json)
