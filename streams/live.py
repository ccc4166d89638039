"""The feed as it happens, for one listener: from now on, or again from a message that it has seen."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from nats.aio.client import Client
from nats.aio.msg import Msg

from schemas.errors import GoneError
from streams.api import request
from streams.pull import PullReader, stream_position
from streams.subjects import FEED

_BATCH = 100


@dataclass(frozen=True, slots=True)
class Said:
    """One message of FEED; `sequence` is FEED's, 0 where it was heard without the stream."""

    subject: str
    headers: dict[str, str]
    data: bytes
    sequence: int = 0


async def hear(nc: Client, subject: str, act: Callable[[Said], None]) -> Callable[[], Awaitable[None]]:
    """Have `act` called for what is said on a subject from now on, in place when this returns; call the answer to stop.

    What is said while the connection is away is not heard.
    """

    async def on_message(msg: Msg) -> None:
        act(Said(msg.subject, dict(msg.headers or {}), msg.data))

    subscription = await nc.subscribe(subject, cb=on_message)
    await nc.flush()
    return subscription.unsubscribe


async def listen(nc: Client, subjects: Sequence[str], last: int | None) -> tuple[int, AsyncGenerator[Said, None]]:
    """Open a reader of FEED on subjects; behind the stream sequence `last`, or from now on.

    Gives the sequence behind which it reads, and what is said there. Memory is bounded: the server keeps what a slow
    listener has not asked for. Raises `GoneError` where what follows `last` is no longer kept, or FEED has not come
    that far (it was made anew), `UnavailableError` without a server. The caller closes the generator.
    """
    state = (await request(nc, f"$JS.API.STREAM.INFO.{FEED}"))["state"]
    first, newest = state["first_seq"], state["last_seq"]
    after = newest if last is None else last
    if not first - 1 <= after <= newest:
        kept = f"the feed is kept from {first} to {newest}, and does not go on behind {after}"
        raise GoneError(f"{kept}: read the state again, then listen from now")
    wake = asyncio.Event()
    reader = PullReader(nc, FEED, subjects, wake, _BATCH)
    await reader.open(after)
    return after, _messages(reader, wake)


async def _messages(reader: PullReader, wake: asyncio.Event) -> AsyncGenerator[Said, None]:
    try:
        while True:
            wake.clear()
            for msg in reader.take(_BATCH):
                yield Said(msg.subject, dict(msg.headers or {}), msg.data, stream_position(msg)[0])
            if not reader.messages:
                await wake.wait()
    finally:
        await reader.close()
