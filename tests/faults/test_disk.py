"""A disk that is really full: clear answers while it is, and the service goes on by itself when there is room."""

import asyncio
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import SetupError
from streams import instance
from streams.server import EmbeddedServer
from streams.subjects import raw
from streams.tending import FULL_BYTES, Tender, free_bytes
from streams.topology import RETENTION, Topology, ensure_streams
from tests.cluster.running import Asked
from tests.faults.load import Load
from tests.faults.shards import operating
from tests.faults.test_full import maintenance
from tests.faults.test_kills import compare, verify
from tests.integration.hosted import running, settings_for

DISK, LIMIT_MB = "400m", 16
"""Of the disk, and of each of 15 streams: JetStream makes none that would not fit."""
SPARE_BYTES = 100_000
"""What the load still finds when the disk is filled: it takes the last byte itself."""
SUBJECT = raw("facility", "bridge-1", "readings")


class Hosted(Asked):
    """The city of `tests.integration.hosted` as a load sees it."""

    def __init__(self, server: EmbeddedServer, http_port: int) -> None:
        super().__init__(f"http://127.0.0.1:{http_port}", server.folder / "jwt-secret")
        self.folder, self.ports = server.folder, server.bound
        self.environment = {"BOMNAE_DATA": str(server.folder)}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own, in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("there is no program `mount` to make a small disk with")
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"mounting a small disk is not allowed here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def tended(server: EmbeddedServer) -> Iterator[list[str]]:
    """A supervisor looks after the server, as in `serve.node`; what it tells the operator."""
    said: list[str] = []
    stop, tender = threading.Event(), Tender(server, said.append)

    def look() -> None:
        while not stop.wait(0.2):
            tender.look()

    thread = threading.Thread(target=look, name="tender")
    thread.start()
    try:
        yield said
    finally:
        stop.set()
        thread.join()


def fill(disk: Path, spare: int = SPARE_BYTES) -> Path:
    filler = disk / "filler"
    with filler.open("wb") as file:
        # Whoever stores beside us may take what was free a moment ago; nothing is taken where not all is there.
        for left in range(spare, spare + FULL_BYTES, SPARE_BYTES):
            with suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, free_bytes(disk) - left)
                return filler
    raise AssertionError("the disk cannot be filled")


def stopped(server: EmbeddedServer, filler: Path) -> bool:
    """Whether JetStream has given up a stream: it could not write, and will not try again. Takes what is left first."""
    with suppress(OSError), filler.open("ab", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    with suppress(OSError):
        return "no space left on device" in server.health()
    return False


def refused(answer: Any) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 5
    assert "the disk of the log is full" in answer.json()["detail"]


def full_and_free_again(city: Hosted, server: EmbeddedServer, disk: Path) -> None:
    load = Load(city).start()  # type: ignore[arg-type]
    with tended(server) as said:
        city.until(lambda: load.well_since(0))
        filler, before = fill(disk), server.pid
        try:
            city.until(lambda: stopped(server, filler), 30)
        except AssertionError as error:
            senders = [(one.name, one.acknowledged, one.repeats, one.refusals) for one in load.senders]
            raise AssertionError(f"{server.health()!r}, {free_bytes(disk)} free, {said}, {senders}") from error
        city.until(lambda: any("is full" in line and "make room" in line for line in said), 10)
        facility = next(iter(load.commands))
        body = {"sensor": f"{facility}-http", "time": "2026-01-01T00:00:00Z", "value": 0.0, "sequence": 1}
        refused(city.api.post("/v1/readings", json=body, headers=city.token("device", facility=facility)))
        refused(maintenance(city, facility)())  # type: ignore[arg-type]
        assert city.api.get("/readyz").json()["parts"].keys() >= {"disk"}
        assert city.get(f"/v1/facilities/{facility}")["facility"] == facility
        # It stays as it is for as long as there is no room: nothing is started in vain.
        assert server.pid == before
        filler.unlink()
        freed = time.monotonic()
        city.until(lambda: load.well_since(freed), 40)
        city.until(lambda: "all is well again" in said, 10)
        assert server.pid != before
        assert city.api.get("/readyz").status_code == 200
    with load.paused():
        compare(city, load)  # type: ignore[arg-type]
        verify(city)  # type: ignore[arg-type]
    load.stop()


async def test_a_full_disk_is_told_and_all_goes_on_by_itself_when_there_is_room(disk: Path) -> None:
    server = EmbeddedServer(disk / "data")
    async with running(settings_for(server.folder), server, LIMIT_MB) as settings:
        await asyncio.to_thread(full_and_free_again, Hosted(server, settings.http_port), server, disk)


async def test_a_server_killed_on_a_full_disk_waits_for_room_and_one_that_is_there_is_left_alone(disk: Path) -> None:
    server = EmbeddedServer(disk / "data")
    with server, tended(server) as said:
        filler = fill(disk)
        assert server.pid is not None
        os.kill(server.pid, 9)
        await asyncio.to_thread(wait_for, lambda: any("is full" in line for line in said))
        await asyncio.sleep(2)
        assert server.pid is None
        filler.unlink()
        await asyncio.to_thread(wait_for, lambda: "all is well again" in said)
        pid = server.pid
        # Little room, but not none.
        with (disk / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free_bytes(disk) - 2 * FULL_BYTES)
        await asyncio.sleep(2)
        assert server.pid == pid
        assert instance.running_pid(server.folder) == pid


async def test_a_city_that_holds_more_than_its_disk_has_left_takes_input_after_its_next_start(disk: Path) -> None:
    topology = Topology({"facility": 1}, max_mb={**dict.fromkeys(RETENTION, LIMIT_MB), "ingest": 100})
    server = EmbeddedServer(disk / "data")
    with server:
        async with operating(server) as nc:
            await ensure_streams(nc, topology)
            for _ in range(60):
                stored = await nc.request(SUBJECT, bytes(1_000_000))
                assert b"error" not in stored.data, stored.data
    fill(disk, 20_000_000)
    with server:
        async with operating(server) as nc:
            await ensure_streams(nc, topology)
            assert b"error" not in (await nc.request(SUBJECT, b"x")).data


async def test_a_start_on_a_full_disk_says_so(disk: Path) -> None:
    fill(disk, 0)
    with pytest.raises(SetupError, match=r"cannot write in .*No space left.*make room"):
        EmbeddedServer(disk / "data").start()


def wait_for(holds: Any, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
