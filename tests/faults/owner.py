"""An owner of a shard in a process of its own, which commands itself without end: what a test stops, kills, wakes.

`python -m tests.faults.owner`, with the city's settings in the environment. It sets the limit of the sensor `tilt-1` to
1, 2, 3, … and says `acknowledged <n>` for each, `refused <n>` for one without an answer, and `left` once it is fenced.
"""

import asyncio

from actors.host import HostConfig, Request, ShardHost, wall_clock
from schemas.base import from_micros
from schemas.errors import BomnaeError
from schemas.facility import ChangeThresholds, Limit
from schemas.settings import Settings

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
    asyncio.run(main())
