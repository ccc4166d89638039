"""From a reading that trips an alarm to the alarm at a NATS subscriber, idle and at half the ingest ceiling."""

import asyncio
import time
from contextlib import AsyncExitStack

import nats
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg

from bench.city import ROWS, SENSORS, City, city, registration, requests, sensor_ids
from bench.load import Job, publisher
from bench.process import HostProcess
from bench.report import Report, arguments, percentile, run
from schemas.base import from_micros
from streams import credentials
from streams.connection import connect
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


async def trip(nc: Client, listener: Listener, facility: str, sensors: list[str], pause_s: float) -> list[float]:
    """Seconds from publishing a reading of 55 (a warning) to the alarm, for one sensor after the other."""
    took = []
    for sensor in sensors:
        reading = {"sensor": sensor, "time": from_micros(time.time_ns() // 1000), "value": 55.0, "sequence": 1}
        data = orjson.dumps(reading)
        began = time.monotonic()
        await nc.publish(raw("facility", facility, READINGS), data)
        async with asyncio.timeout(30):
            while sensor not in listener.heard:
                listener.came.clear()
                await listener.came.wait()
        took.append(listener.heard[sensor] - began)
        await asyncio.sleep(pause_s)
    return took


async def measure(quick: bool) -> Report:
    """Idle first, then with another facility of the same shard at half of what the machine can publish and fold."""
    trips, messages, seconds = (5, 20, 1) if quick else (300, 600, 15)
    report = Report("feed", goals={"idle_p99_ms": "< 50"})
    async with AsyncExitStack() as stack:
        made: City = await stack.enter_async_context(city(1))
        load = stack.enter_context(publisher(made.access()))
        host = HostProcess(made.server.folder, [SHARD])
        stack.callback(host.kill)
        watched, busy = made.facilities(0, 2)
        sensors = sensor_ids(watched, 2 * trips)
        await host.until(SHARD, 0)
        for facility, ids in ((watched, sensors), (busy, sensor_ids(busy, SENSORS))):
            await host.submit(requests(0, registration(facility, ids)))
        listener, device = Listener(), await connect(made.access(), "bench-device")
        stack.push_async_callback(device.close)
        app = await nats.connect(made.server.url, **credentials.add(made.server.folder, "app", "bench").options())
        stack.push_async_callback(app.close)
        await app.subscribe(feed_subject("pub", "facility", watched, "alarm-raised"), cb=listener.hear)
        await app.flush()
        idle = await trip(device, listener, watched, sensors[:trips], 0.02)

        await load.prepare(Job(busy, SENSORS, messages))
        load.go()
        sent = await load.sent()
        folded = await host.until(SHARD, trips + messages * ROWS)
        rate = messages / (max(folded.at, sent.ended) - sent.began)
        job = Job(busy, SENSORS, int(rate / 2 * seconds), messages * ROWS, rate=rate / 2)
        await load.prepare(job)
        load.go()
        loaded = asyncio.create_task(trip(device, listener, watched, sensors[trips:], max(0.001, seconds / trips / 2)))
        await load.sent()
        late = not loaded.done()
        busy_times = await loaded
    for name, times in (("idle", idle), ("half_load", busy_times)):
        report.add(f"{name}_p50_ms", percentile(times, 0.5) * 1e3, "ms")
        report.add(f"{name}_p99_ms", percentile(times, 0.99) * 1e3, "ms")
    report.add("load_readings_per_s", rate / 2 * ROWS, "readings/s")
    report.notes.append(f"{trips} alarms each, heard by a core subscription of an app over the accounts' import")
    if late:
        report.notes.append("the load ended before the last alarms: those were measured without it")
    return report


if __name__ == "__main__":
    given = arguments("feed", __doc__ or "").parse_args()
    run(lambda: measure(given.quick), given.json)
