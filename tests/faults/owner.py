"""An owner of a shard in a process of its own, which commands itself without end: what a test stops, kills, wakes.

`python -m tests.faults.owner`, with the city's settings in the environment. It sets the limit of the sensor `tilt-1` to
1, 2, 3, … and says `acknowledged <n>` for each, `refused <n>` for one without an answer, and `left` once it is fenced.

With `<signal> <n>` behind it, it sends itself that signal in the middle of its nth batch, and says `mid-batch` before.
"""

import asyncio
import os
import signal
import sys

from nats.aio.client import Client

from actors.host import HostConfig, Request, ShardHost, wall_clock
from schemas.base import from_micros
from schemas.errors import BomnaeError
from schemas.facility import ChangeThresholds, Limit
from schemas.settings import Settings
from streams import batch
from streams.subjects import log_subject

SHARD = ("facility", 0)
FACILITY, SENSOR = "bridge-1", "tilt-1"


def limit_of(number: int) -> Request:
    """The command that sets the limit to a number, under a key of its own."""
    now = wall_clock()
    limits = (Limit(condition="high", level="warning", on=float(number), off=0.0),)
    command = ChangeThresholds(at=from_micros(now), by="owner", facility=FACILITY, sensor=SENSOR, limits=limits)
    return Request(SHARD, command, f"limit-{number}", f"{number}", now)


def say(*words: object) -> None:
    """One line for the test."""
    print(*words, flush=True)  # noqa: T201


def end_mid_batch(how: signal.Signals, number: int) -> None:
    """Have the server hold all messages of the nth batch of LOG but its last, and then get the signal."""
    send, begun = batch._send, 0

    async def sending(nc: Client, said: bytes) -> None:
        nonlocal begun
        await send(nc, said)
        begun += log_subject(*SHARD, FACILITY, "").encode() in said
        if begun == number:
            await nc.flush()
            say("mid-batch")
            begun += 1
            os.kill(os.getpid(), how)

    batch._send = sending


async def main() -> None:
    host = ShardHost(HostConfig(Settings(), (SHARD,)), "owner")
    await host.start()
    number = 1
    while not host.left.is_set():
        (answer,) = await host.submit([limit_of(number)])
        if isinstance(answer, BomnaeError):
            say("refused", number, answer)
            await asyncio.sleep(0.05)
        else:
            say("acknowledged", number)
            number += 1
    say("left")
    await host.stop()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        end_mid_batch(signal.Signals[sys.argv[1]], int(sys.argv[2]))
    asyncio.run(main())
