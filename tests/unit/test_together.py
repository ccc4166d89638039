"""Few calls for many who ask."""

import asyncio
from collections.abc import Sequence

from schemas.errors import UnavailableError
from serve.together import Together


class Called:
    """Doubles numbers; `calls` are what came together. A call goes on for as long as `held`."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.held = asyncio.Event()
        self.held.set()
        self.together: Together[int, int] = Together(self.send, "calls")

    async def send(self, asked: Sequence[int]) -> list[int]:
        self.calls.append(list(asked))
        await self.held.wait()
        if 0 in asked:
            raise ValueError("nought")
        return [2 * one for one in asked]


async def begun(called: Called, *asked: int) -> "asyncio.Task[list[int]]":
    task = asyncio.create_task(called.together.ask(asked))
    await asyncio.sleep(0.01)
    return task


async def test_who_asks_in_the_same_moment_is_one_call_and_each_gets_its_own() -> None:
    called = Called()
    told = await asyncio.gather(*(called.together.ask(asked) for asked in ([1, 2], [], [3])))
    assert told == [[2, 4], [], [6]]
    assert called.calls == [[1, 2, 3]]


async def test_who_has_arrived_but_asks_only_some_turns_of_the_loop_later_comes_along() -> None:
    called = Called()

    async def ask(number: int) -> list[int]:
        for _ in range(number):
            await asyncio.sleep(0)
        return await called.together.ask([number])

    assert await asyncio.gather(*map(ask, (1, 2, 3))) == [[2], [4], [6]]
    assert called.calls == [[1, 2, 3]]


async def test_what_is_asked_while_a_call_is_under_way_travels_together_in_the_next() -> None:
    called = Called()
    called.held.clear()
    tasks = [await begun(called, number) for number in (1, 2, 3)]
    assert called.calls == [[1]]
    assert called.together.load == 3
    called.held.set()
    assert await asyncio.gather(*tasks) == [[2], [4], [6]]
    assert called.calls == [[1], [2, 3]]
    assert called.together.load == 0


async def test_no_more_than_some_at_a_time_share_a_call() -> None:
    called = Called()
    together: Together[int, int] = Together(called.send, "calls", most=2)
    assert await asyncio.gather(*(together.ask([number]) for number in range(1, 6))) == [[2], [4], [6], [8], [10]]
    assert called.calls == [[1, 2], [3, 4], [5]]


async def test_another_call_leaves_beside_one_under_way_once_as_many_wait_as_travel_together() -> None:
    called = Called()
    called.held.clear()
    called.together = Together(called.send, "calls", most=2, calls=2)
    tasks = [await begun(called, 1), await begun(called, 2)]
    assert called.calls == [[1]]
    tasks += [await begun(called, number) for number in (3, 4, 5, 6)]
    assert called.calls == [[1], [2, 3]]
    assert called.together.load == 5
    called.held.set()
    assert await asyncio.gather(*tasks) == [[2], [4], [6], [8], [10], [12]]
    assert called.calls == [[1], [2, 3], [4, 5], [6]]
    assert called.together.load == 0


async def test_what_a_call_raises_is_raised_to_those_that_it_was_for_alone() -> None:
    called = Called()
    called.held.clear()
    tasks = [await begun(called, number) for number in (1, 0, 3)]
    called.held.set()
    first, *rest = await asyncio.gather(*tasks, return_exceptions=True)
    assert first == [2]
    assert [str(one) for one in rest] == ["nought", "nought"]
    assert await called.together.ask([4]) == [8]


async def test_who_gives_up_before_the_call_left_is_not_asked_for_and_nobody_else_is_harmed() -> None:
    called = Called()
    called.held.clear()
    under_way, waiting, other = [await begun(called, number) for number in (1, 2, 3)]
    under_way.cancel()
    waiting.cancel()
    called.held.set()
    assert await other == [6]
    assert called.calls == [[1], [3]]


async def test_who_waits_when_it_stops_is_told_whether_the_call_was_under_way_or_not() -> None:
    called = Called()
    called.held.clear()
    tasks = [await begun(called, number) for number in (1, 2, 3)]
    await called.together.stop()
    async with asyncio.timeout(5):
        told = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in told] == [UnavailableError] * 3
    assert called.calls == [[1]]
    assert called.together.load == 0
