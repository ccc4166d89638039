"""Two owners of one shard on a real nats-server: the log decides, whatever their processes believe."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from schemas.errors import UnavailableError
from streams.server import EmbeddedServer
from streams.topology import RETENTION, Topology, ensure_streams
from tests.faults.owner import limit_of
from tests.faults.shards import entry, hosting, limits_in, operating, register

TOPOLOGY = Topology({"facility": 1}, max_mb=dict.fromkeys(RETENTION, 64))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "data") as running:
        async with operating(running) as nc:
            await ensure_streams(nc, TOPOLOGY)
        async with hosting(running) as host:
            await register(host)
        yield running


@asynccontextmanager
async def owner(server: EmbeddedServer, *arguments: str) -> AsyncIterator[Process]:
    """`tests.faults.owner` in a process of its own."""
    environment = {**os.environ, "BOMNAE_DATA": str(server.folder), "PYTHONPATH": str(Path(__file__).parents[2])}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.owner", *arguments, stdout=PIPE, env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def heard(process: Process, until: str) -> list[list[str]]:
    """What an owner says, up to and with a line that begins with `until`."""
    assert process.stdout is not None
    lines: list[list[str]] = []
    while not lines or lines[-1][: len(until.split())] != until.split():
        line = await asyncio.wait_for(process.stdout.readline(), 30)
        assert line, f"the owner ended after {lines[-3:]}"
        lines.append(line.decode().split())
    return lines


def acknowledged(lines: list[list[str]]) -> list[float]:
    return [float(words[1]) for words in lines if words[0] == "acknowledged"]


@pytest.mark.parametrize("stop_after", [1, 5, 20])
async def test_an_owner_that_slept_through_its_succession_writes_nothing_more_and_leaves(
    server: EmbeddedServer, stop_after: int
) -> None:
    async with owner(server) as zombie:
        before = await heard(zombie, f"acknowledged {stop_after}")
        zombie.send_signal(signal.SIGSTOP)
        async with hosting(server, "successor") as successor:
            await entry(successor, limit_of(1_000))
            zombie.send_signal(signal.SIGCONT)
            after = await heard(zombie, "left")
            await entry(successor, limit_of(1_001))
            assert not successor.failures
    told = acknowledged(before + after)
    stored = await limits_in(server)
    values = [value for _, _, value in stored]
    # The one that it had under way when it was stopped may have landed without its knowing.
    assert values in ([*told, 1_000.0, 1_001.0], [*told, told[-1] + 1, 1_000.0, 1_001.0])
    first_epoch = stored[0][1]
    assert [epoch == first_epoch for _, epoch, _ in stored] == [value < 1_000 for value in values]


async def test_what_an_owner_writes_while_its_successor_starts_is_in_the_successors_state_or_refused(
    server: EmbeddedServer,
) -> None:
    async with owner(server) as elder:
        said = await heard(elder, "acknowledged 3")
        async with hosting(server, "successor") as successor:
            said += await heard(elder, "left")
            told = acknowledged(said)
            # Repeated under its key, an acknowledged command gives its first answer; the next one is new or the last.
            for number in (1, len(told)):
                assert (await entry(successor, limit_of(number))).repeated
            await entry(successor, limit_of(len(told) + 1))
    assert [value for _, _, value in await limits_in(server)] == [float(n) for n in range(1, len(told) + 2)]


async def test_a_fenced_host_answers_that_it_is_not_there(server: EmbeddedServer) -> None:
    async with hosting(server, "first") as first, hosting(server, "second") as second:
        (answer,) = await first.submit([limit_of(1)])
        assert isinstance(answer, UnavailableError)
        await asyncio.wait_for(first.left.wait(), 10)
        assert "epoch" in first.failures["facility", 0]
        assert not (await entry(second, limit_of(1))).repeated
    assert [value for _, _, value in await limits_in(server)] == [1.0]


@pytest.mark.parametrize("how", ["SIGKILL", "SIGSTOP"])
async def test_a_batch_whose_owner_ends_between_its_messages_is_not_stored_and_its_command_is_done_once(
    server: EmbeddedServer, how: str
) -> None:
    async with owner(server, how, "4") as one:
        told = acknowledged(await heard(one, "mid-batch"))
        assert told == [1.0, 2.0, 3.0]
        async with hosting(server, "successor") as successor:
            # The server held its event, but not its commit: for the successor it never was.
            assert not (await entry(successor, limit_of(4))).repeated
            if how == "SIGSTOP":
                one.send_signal(signal.SIGCONT)
                # It goes on where it was, with the last message of that batch.
                assert acknowledged(await heard(one, "left")) == []
            await entry(successor, limit_of(5))
            assert not successor.failures
    stored = await limits_in(server)
    assert [value for _, _, value in stored] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert [epoch - stored[0][1] for _, epoch, _ in stored] == [0, 0, 0, 1, 1]


async def test_three_kills_of_an_owner_at_any_moment_lose_nothing_acknowledged(server: EmbeddedServer) -> None:
    reached = 0
    for _ in range(3):
        async with owner(server) as one:
            # It begins again at 1: what is known under its key is answered and not done again.
            told = acknowledged(await heard(one, f"acknowledged {reached + 15}"))
            one.kill()
            reached = max(reached, int(told[-1]))
    stored = [value for _, _, value in await limits_in(server)]
    assert stored[:reached] == [float(number) for number in range(1, reached + 1)]
    assert len(stored) == len(set(stored)) <= reached + 1
