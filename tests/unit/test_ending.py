"""Tasks end, also those that swallow a cancellation."""

import asyncio

from streams.ending import ended


async def deaf(times: int) -> None:
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if not times:
                raise
            times -= 1


async def failing() -> None:
    try:
        await asyncio.sleep(60)
    finally:
        raise ValueError("on its way out")


async def test_a_task_that_swallows_a_cancellation_is_cancelled_again() -> None:
    tasks = [asyncio.create_task(one) for one in (deaf(0), deaf(1), failing())]
    await asyncio.sleep(0)
    await ended(*tasks)
    assert [task.cancelled() for task in tasks] == [True, True, False]


async def test_to_end_nothing_or_what_is_over_takes_no_time() -> None:
    over = asyncio.create_task(asyncio.sleep(0))
    await over
    async with asyncio.timeout(0.5):
        await ended()
        await ended(over)
