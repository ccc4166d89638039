"""Ends tasks for certain."""

import asyncio
from typing import Any

AGAIN_S = 1.0


async def ended(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks, and return when all are over, whatever they raise.

    A cancellation that meets an answer can be lost: before Python 3.12 `asyncio.wait_for`, which nats-py waits with,
    swallows it. So one that goes on is cancelled again.
    """
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)
