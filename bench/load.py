"""Publishes readings from a process of its own: pipelined, every message acknowledged by the stream."""

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe

import numpy as np
import orjson
import pyarrow as pa
from nats.aio.client import Client
from nats.aio.msg import Msg

from bench.city import ROWS, STEP, arrow, base_time, sensor_ids
from schemas.base import from_micros
from streams.connection import Access, connect
from streams.subjects import READINGS, raw

IN_FLIGHT = 64
"""Messages that wait for their acknowledgement at most."""


@dataclass(frozen=True, slots=True)
class Job:
    """Messages for one facility: readings number `first` … `first + messages × rows`, in turns over its sensors.

    `single` sends each reading as one JSON message (then `rows` is 1). `rate`: messages per second, 0 for no limit.
    """

    facility: str
    sensors: int
    messages: int
    first: int = 0
    rows: int = ROWS
    single: bool = False
    rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Sent:
    """When the first message was given to the socket and the last was acknowledged (monotonic s), and its sequence."""

    began: float
    ended: float
    sequence: int
    bytes: int


class Publisher:
    """The publishing process; one job at a time."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    async def prepare(self, job: Job) -> None:
        """Build the messages; returns when all are in memory."""
        self._pipe.send(job)
        await asyncio.to_thread(self._pipe.recv)

    def go(self) -> None:
        """Publish what was prepared, without waiting for it."""
        self._pipe.send("go")

    async def sent(self) -> Sent:
        """Wait until everything is acknowledged."""
        done: Sent = await asyncio.to_thread(self._pipe.recv)
        return done


@contextmanager
def publisher(access: Access) -> Iterator[Publisher]:
    """Start the process; it ends with the context."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(access, there), name="publisher", daemon=True)
    process.start()
    there.close()
    try:
        yield Publisher(here)
    finally:
        process.terminate()
        process.join()
        here.close()


def payloads(job: Job) -> list[bytes]:
    """The messages of a job."""
    ids, base = sensor_ids(job.facility, job.sensors), base_time()
    numbers = np.arange(job.first, job.first + job.messages * job.rows)
    if job.single:
        return [
            orjson.dumps(
                {
                    "sensor": ids[number % job.sensors],
                    "time": from_micros(base + number // job.sensors * STEP),
                    "value": 1.0,
                    "sequence": number // job.sensors,
                }
            )
            for number in numbers.tolist()
        ]
    known = pa.array(ids)
    parts = numbers.reshape(job.messages, job.rows)
    return [arrow(known, part % job.sensors, part // job.sensors, base) for part in parts]


async def pipelined(nc: Client, subject: str, messages: list[bytes], rate: float = 0.0) -> Sent:
    """Publish all, at most `IN_FLIGHT` unacknowledged. Raises `RuntimeError` when the stream refuses one."""
    inbox, room = nc.new_inbox(), asyncio.Semaphore(IN_FLIGHT)
    answers: list[int] = []
    refused: list[str] = []
    done = asyncio.Event()

    async def on_answer(msg: Msg) -> None:
        answer = orjson.loads(msg.data) if msg.data else {"error": "nobody listens"}
        if "error" in answer:
            refused.append(str(answer["error"]))
        answers.append(int(answer.get("seq", 0)))
        room.release()
        if len(answers) == len(messages):
            done.set()

    subscription = await nc.subscribe(inbox, cb=on_answer)
    began = time.monotonic()
    for number, data in enumerate(messages):
        if rate and (early := began + number / rate - time.monotonic()) > 0:
            await asyncio.sleep(early)
        await room.acquire()
        await nc.publish(subject, data, reply=inbox)
    await asyncio.wait_for(done.wait(), 60)
    await subscription.unsubscribe()
    if refused:
        raise RuntimeError(f"{len(refused)} messages were refused: {refused[0]}")
    return Sent(began, time.monotonic(), max(answers), sum(map(len, messages)))


def _serve(access: Access, pipe: Pipe) -> None:
    asyncio.run(_work(access, pipe))


async def _work(access: Access, pipe: Pipe) -> None:
    nc = await connect(access, "publisher")
    while True:
        job: Job = await asyncio.to_thread(pipe.recv)
        messages = payloads(job)
        pipe.send("ready")
        await asyncio.to_thread(pipe.recv)
        pipe.send(await pipelined(nc, raw("facility", job.facility, READINGS), messages, job.rate))
