"""Following a log: every batch once and in order, also when the log or the taker fails in between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from schemas.errors import UnavailableError
from schemas.sighting import CameraSilent
from streams.follow import Follower, Take
from streams.log import Batch
from streams.memory import MemoryStore
from tests.unit.search.logs import commit

AT = datetime(2026, 11, 23, tzinfo=UTC)


def silent(camera: str) -> CameraSilent:
    return CameraSilent(camera=camera, at=AT, since=AT)


class Taker:
    """Keeps what it was given; fails as often as told, before it keeps anything."""

    def __init__(self, failures: int = 0) -> None:
        self.taken: list[int] = []
        self.failures = failures

    async def __call__(self, batch: Batch) -> None:
        if self.failures:
            self.failures -= 1
            raise UnavailableError("the objects are away")
        self.taken.append(batch.sequence)


class FlakyStore(MemoryStore):
    away = 0

    async def last_sequence(self) -> int:
        if self.away:
            self.away -= 1
            raise UnavailableError("the server is away")
        return await super().last_sequence()


@asynccontextmanager
async def following(store: MemoryStore, take: Take, after: int = 0, look_s: float = 0.01) -> AsyncIterator[Follower]:
    follower = Follower(store, after, take)
    task = asyncio.create_task(follower.run(look_s))
    try:
        yield follower
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.005)


async def test_a_nudge_at_the_moment_of_its_end_does_not_keep_a_follower_alive() -> None:
    for ticks in range(8):
        follower = Follower(MemoryStore(), 0, Taker())
        task = asyncio.create_task(follower.run(60))
        await follower.caught_up.wait()
        await asyncio.sleep(0)
        follower.nudged.set()
        for _ in range(ticks):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=1)
        assert done, f"cancelled {ticks} turns of the loop after a nudge, it goes on"


async def test_what_is_in_the_log_comes_first_and_what_follows_comes_too() -> None:
    store, taker = MemoryStore(), Taker()
    first = await commit(store, [silent("cam-1"), silent("cam-2")])
    async with following(store, taker) as follower:
        await follower.caught_up.wait()
        assert taker.taken == [first]
        second = await commit(store, [silent("cam-3")])
        await until(lambda: taker.taken == [first, second])
        assert (follower.position, follower.behind) == (second, 0)


async def test_a_nudge_wakes_it_long_before_the_next_look() -> None:
    store, taker = MemoryStore(), Taker()
    async with following(store, taker, look_s=60) as follower:
        await follower.caught_up.wait()
        sequence = await commit(store, [silent("cam-1")])
        follower.nudged.set()
        await until(lambda: taker.taken == [sequence])


async def test_a_nudge_that_comes_before_the_record_is_stored_is_not_in_vain() -> None:
    store, taker = MemoryStore(), Taker()
    async with following(store, taker, look_s=60) as follower:
        await follower.caught_up.wait()
        follower.nudged.set()
        await asyncio.sleep(0.02)
        sequence = await commit(store, [silent("cam-1")])
        await until(lambda: taker.taken == [sequence])


async def test_it_goes_on_behind_a_position() -> None:
    store, taker = MemoryStore(), Taker()
    first, second = await commit(store, [silent("cam-1")]), await commit(store, [silent("cam-2")])
    async with following(store, taker, after=first) as follower:
        await follower.caught_up.wait()
    assert taker.taken == [second]


async def test_a_log_that_is_away_is_asked_again() -> None:
    store, taker = FlakyStore(), Taker()
    store.away = 3
    sequence = await commit(store, [silent("cam-1")])
    async with following(store, taker) as follower:
        await until(lambda: follower.failure != "")
        await until(lambda: taker.taken == [sequence])
        await until(lambda: follower.failure == "")


async def test_it_says_since_when_it_is_behind_while_a_log_or_a_taker_fails() -> None:
    store, taker, now = FlakyStore(), Taker(failures=1), [100.0]
    follower = Follower(store, 0, taker, lambda: now[0])
    await follower.look()
    assert follower.behind_s == 0
    now[0] = 107
    await commit(store, [silent("cam-1")])
    with contextlib.suppress(UnavailableError):
        await follower.look()
    assert (follower.behind_s, follower.behind > 0) == (7, True)
    store.away, now[0] = 1, 109
    with contextlib.suppress(UnavailableError):
        await follower.look()
    assert follower.behind_s == 9
    await follower.look()
    assert (follower.behind_s, follower.behind) == (0, 0)


async def test_a_batch_that_could_not_be_taken_comes_again_before_the_next() -> None:
    store, taker = MemoryStore(), Taker(failures=2)
    sequences = [await commit(store, [silent(f"cam-{number}")]) for number in range(3)]
    async with following(store, taker) as follower:
        await follower.caught_up.wait()
    assert taker.taken == sequences


async def test_an_incomplete_tail_is_nobodys_and_does_not_count_as_being_behind() -> None:
    store, taker = MemoryStore(), Taker()
    await commit(store, [silent("cam-1")], whole=False)
    async with following(store, taker) as follower:
        await follower.caught_up.wait()
        assert (taker.taken, follower.behind, follower.position) == ([], 0, 0)
        whole = await commit(store, [silent("cam-2")])
        await until(lambda: taker.taken == [whole])
