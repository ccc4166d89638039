"""What a start refuses and how it says so; two instances side by side; a stop and the next start."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cluster.running import Running
from tests.cluster.test_end_to_end import reading, register

pytestmark = pytest.mark.cluster

FREE = {f"BOMNAE_{name}_PORT": "0" for name in ("HTTP", "NATS", "WEBSOCKET", "MQTT", "NATS_MONITOR")}


def up(folder: Path, **environment: str) -> str:
    """What `bomnae up` says when it refuses to start, which is with exit code 2 and in one sentence."""
    done = subprocess.run(
        [Path(sys.executable).with_name("bomnae"), "up"],
        env={**os.environ, **FREE, "BOMNAE_DATA": str(folder), "BOMNAE_SIMULATE": "false", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("bomnae: ")
    # The terminal's width breaks lines anywhere.
    return "".join(done.stderr.split())


@pytest.fixture
def taken() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


@pytest.mark.parametrize("name", ["HTTP", "NATS", "WEBSOCKET", "MQTT", "NATS_MONITOR"])
def test_a_taken_port_is_named_with_what_to_do(tmp_path: Path, taken: str, name: str) -> None:
    said = up(tmp_path / "data", **{f"BOMNAE_{name}_PORT": taken})
    assert f"port{taken}" in said
    assert f"BOMNAE_{name}_PORT" in said
    assert "stopwhatlistensthere" in said


def test_a_half_written_folder_is_not_started_on(tmp_path: Path) -> None:
    (tmp_path / "nats" / "store").mkdir(parents=True)
    assert "half-written" in up(tmp_path)


def test_a_damaged_instance_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "nats").mkdir()
    (tmp_path / "nats" / "instance.json").write_text('{"server_name": "bom')
    said = up(tmp_path)
    assert "instance.json" in said
    assert "damaged" in said


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    assert "chooseanotherdatafolder" in up(tmp_path / "data")


def test_a_second_instance_on_the_same_folder_names_the_first(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(str(os.getpid()))
        lock.flush()
        said = up(tmp_path)
    assert f"inusebyarunninginstance(process{os.getpid()})" in said


def test_a_second_instance_on_the_folder_of_a_running_city_is_refused_and_the_city_goes_on(city: Running) -> None:
    assert city.process is not None
    assert f"process{city.process.pid}" in up(city.folder)
    assert city.get("/readyz")


def events(city: Running, facility: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = city.get(f"/v1/facilities/{facility}/history")["items"]
    return items


def listening(city: Running) -> set[int]:
    """The ports of all its processes."""
    found: set[int] = set()
    for one in city.descendants(""):
        with contextlib.suppress(psutil.NoSuchProcess):
            found |= {each.laddr.port for each in one.net_connections("tcp") if each.status == psutil.CONN_LISTEN}
    return found


@pytest.mark.timeout(300)
def test_two_instances_run_side_by_side_and_one_goes_on_after_ctrl_c(city: Running, tmp_path: Path) -> None:
    other = Running(tmp_path / "data").start()
    try:
        register(other, "beside", "beside-tilt")
        device = other.token("device", facility="beside")
        sent = other.api.post("/v1/readings", json=reading("beside-tilt", 1.5, 1), headers=device)
        before = other.get("/v1/facilities/beside", min_position=sent.json()["position"])
        history = events(other, "beside")
        assert city.api.get("/v1/facilities/beside").status_code == 404
        assert not listening(city) & listening(other)
        assert other.process is not None
        family = other.descendants("")
        other.process.send_signal(signal.SIGINT)
        assert other.process.wait(60) == 0
        assert "draining" in other.said()
        assert not [one for one in family if one.is_running() and one.status() != "zombie"]
        assert city.get("/readyz")
        other.start()
        assert "0 events new" in other.said()
        assert other.get("/v1/facilities/beside") == before
        assert events(other, "beside") == history
        again = other.api.post("/v1/readings", json=reading("beside-tilt", 1.6, 2), headers=device)
        after = other.get("/v1/facilities/beside", min_position=again.json()["position"])
        assert [sensor["count"] for sensor in after["sensors"]] == [2]
    finally:
        assert other.stop() == 0
