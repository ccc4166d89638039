"""From a reading that trips an alarm to the alarm at a NATS subscriber, idle and at half the ingest ceiling."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

import nats
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg

from bench.city import ROWS, SENSORS, City, city, registration, requests, sensor_ids
from bench.ingest import PULLED, pull
from bench.load import Job, publisher
from bench.process import HostProcess
from bench.report import Report, arguments, percentile, run
from schemas.base import from_micros
from streams import credentials
from streams.connection import Connection
from streams.subjects import READINGS, feed_subject, raw

SHARD = ("facility", 0)


class Listener:
    """When each sensor's newest alarm came (monotonic s)."""

    def __init__(self) -> None:
        self.heard: dict[str, float] = {}
        self.came = asyncio.Event()

    async def hear(self, msg: Msg) -> None:
        """Note an alarm."""
        self.heard[orjson.loads(msg.data)["sensor"]] = time.monotonic()
        self.came.set()


async def trip(
    nc: Client, listener: Listener, facility: str, sensors: list[str], pause_s: float, over: Callable[[], bool]
) -> list[float]:
    """Seconds from publishing a reading of 55 (a warning) to the alarm, for one sensor after the other until `over`."""
    took: list[float] = []
    for sensor in sensors:
        if over():
            break
        reading = {"sensor": sensor, "time": from_micros(time.time_ns() // 1000), "value": 55.0, "sequence": 1}
        data = orjson.dumps(reading)
        began = time.monotonic()
        await nc.publish(raw("facility", facility, READINGS), data)
        async with asyncio.timeout(30):
            while sensor not in listener.heard:
                listener.came.clear()
                await listener.came.wait()
        if not over():  # an alarm that came when the load was over does not tell how long one takes under it
            took.append(listener.heard[sensor] - began)
        await asyncio.sleep(pause_s)
    return took


async def measure(quick: bool) -> Report:
    """Idle and under load in turns, the best round of each."""
    trips, messages, seconds, rounds = (10, 20, 1, 1) if quick else (300, 600, 8, 3)
    report = Report("feed", goals={"idle_p99_ms": "< 50"})
    took: dict[str, list[list[float]]] = {"idle": [], "half_load": []}
    async with AsyncExitStack() as stack:
        made: City = await stack.enter_async_context(city(PULLED + 1))
        load = stack.enter_context(publisher(made.access()))
        host = HostProcess(made.server.folder, [SHARD])
        stack.callback(host.kill)
        watched, busy = made.facilities(SHARD[1], 2)
        sensors = sensor_ids(watched, 2 * trips * rounds)
        await host.until(SHARD, 0)
        for facility, ids in ((watched, sensors), (busy, sensor_ids(busy, SENSORS))):
            await host.submit(requests(SHARD[1], registration(facility, ids)))
        listener, connection = Listener(), await Connection.open(made.access(), "bench")
        stack.push_async_callback(connection.close)
        app = await nats.connect(made.server.url, **credentials.add(made.server.folder, "app", "bench").options())
        stack.push_async_callback(app.close)
        await app.subscribe(feed_subject("pub", "facility", watched, "alarm-raised"), cb=listener.hear)
        await app.flush()
        ceiling = messages / await pull(connection, 0, Job(made.facilities(PULLED)[0], SENSORS, messages), load)
        for number in range(rounds):
            idle, loaded = (sensors[at * trips : (at + 1) * trips] for at in (2 * number, 2 * number + 1))
            took["idle"].append(await trip(connection.nc, listener, watched, idle, 0.02, lambda: False))
            count = int(ceiling / 2 * seconds)
            await load.prepare(Job(busy, SENSORS, count, number * count * ROWS, rate=ceiling / 2))
            load.go()
            sent = asyncio.create_task(load.sent())
            pause = seconds / trips / 2
            times = await trip(connection.nc, listener, watched, loaded, pause, sent.done)
            took["half_load"].append(times)
            await sent
    for name, runs in took.items():
        best = min(runs, key=lambda times: percentile(times, 0.99))
        report.add(f"{name}_p50_ms", percentile(best, 0.5) * 1e3, "ms")
        report.add(f"{name}_p99_ms", percentile(best, 0.99) * 1e3, f"ms, {len(best)} alarms")
    report.add("load_readings_per_s", ceiling / 2 * ROWS, "readings/s")
    report.notes.append("heard by a core subscription of an app over the accounts' import; half load: half of what can")
    report.notes.append(
        f"be published and pulled with nothing done, measured just before; best of {rounds} rounds each"
    )
    return report


if __name__ == "__main__":
    given = arguments("feed", __doc__ or "").parse_args()
    run(lambda: measure(given.quick), given.json)
