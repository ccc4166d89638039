"""A process for one errand ends with whoever waits for it, however that ends."""

import asyncio
import logging
import sys
from pathlib import Path

import psutil

from serve import errand
from serve.errand import run

IDLER = "tests.unit.idler"
WAITER = f"import asyncio; from serve.errand import run; asyncio.run(run({IDLER!r}, [b'x'], 2_000, 600))"


def idlers(parent: int) -> list[psutil.Process]:
    """The errands of a process that have begun."""
    return [one for one in psutil.Process(parent).children(recursive=True) if IDLER in " ".join(one.cmdline())]


async def begun(parent: int) -> psutil.Process:
    async with asyncio.timeout(60):
        while not (found := idlers(parent)):
            await asyncio.sleep(0.05)
    await asyncio.sleep(1)  # until it has limited itself
    return found[0]


async def test_it_ends_with_the_process_that_waits_for_it() -> None:
    waiter = await asyncio.create_subprocess_exec(sys.executable, "-c", WAITER, cwd=Path(__file__).parents[2])
    one = await begun(waiter.pid)
    waiter.kill()
    await waiter.wait()
    assert psutil.wait_procs([one], 10)[0] == [one]


async def test_it_ends_when_who_waits_is_cancelled() -> None:
    waiting = asyncio.ensure_future(run(IDLER, [b"x"], 2_000, 600))
    one = await begun(psutil.Process().pid)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert not one.is_running()


async def test_nothing_is_begun_for_who_gave_up_while_the_parts_were_put_together(monkeypatch) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(*_: object) -> bytes:
        began.set()
        await go_on.wait()
        return b""

    monkeypatch.setattr(errand.asyncio, "to_thread", slowly)
    waiting = asyncio.ensure_future(run(IDLER, [b"x"], 2_000, 600))
    await began.wait()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert idlers(psutil.Process().pid) == []


async def test_one_that_dies_answers_nothing_and_the_log_says_how(caplog) -> None:
    with caplog.at_level(logging.WARNING):
        assert await run("tests.unit.no_such_module", [], 2_000, 60) == b""
    assert "tests.unit.no_such_module ended with 1" in caplog.text


async def test_it_runs_no_longer_than_its_time() -> None:
    async with asyncio.timeout(60):
        assert await run(IDLER, [], 2_000, 1) == b""
