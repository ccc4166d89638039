"""Hearing that a log has grown: a nudge for those who follow it, never a source of facts."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription


async def nudge(nc: Client, events: Mapping[str, asyncio.Event]) -> list[Subscription]:
    """Set the event of a subject whenever something is published there, for as long as the connection lives.

    A nudge is lost while the connection is away: whoever waits for one looks at the log from time to time too.
    """
    return [await nc.subscribe(subject, cb=_setting(event)) for subject, event in events.items()]


def _setting(event: asyncio.Event) -> Callable[[Msg], Awaitable[None]]:
    async def heard(msg: Msg) -> None:
        event.set()

    return heard
