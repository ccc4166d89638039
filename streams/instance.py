"""The files of an embedded server, and how another process finds and reloads it."""

import errno
import fcntl
import http.client
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import psutil

from schemas.errors import SetupError

FORMAT = 1
_USERS = ("users.conf", ".users.conf.")
"""All that lies in the folder of a city whose servers run elsewhere."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of the four listeners; 0 lets the server choose a free one and remember it in the folder."""

    nats: int = 0
    websocket: int = 0
    mqtt: int = 0
    monitor: int = 0


@dataclass(frozen=True, slots=True)
class Instance:
    """What the folder remembers of its server between two starts."""

    server_name: str
    ports: Ports
    format: int = FORMAT


def nats_folder(folder: Path) -> Path:
    """Everything of nats-server lies here: configuration, pid file, log, JetStream store."""
    # Resolved: other processes know the server by its configuration's path, however they name the folder.
    return Path(folder).resolve() / "nats"


def write_atomically(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace `path` by `data` so that a reader sees the old or the new content, never a part of it."""
    _partial(path, data, mode).replace(path)
    _sync(path.parent)


def create_atomically(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Make `path` with `data`, whole or not at all; of several who do so at once the first counts."""
    partial = _partial(path, data, mode)
    with suppress(FileExistsError):
        os.link(partial, path)
    partial.unlink()
    _sync(path.parent)


def _partial(path: Path, data: bytes, mode: int) -> Path:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return partial


def _sync(folder: Path) -> None:
    # A rename is only on disk when the folder is.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Around what writes files of an instance. Raises `SetupError`, with what to do, where the system refuses."""
    try:
        yield
    except OSError as error:
        remedy = "make room there" if error.errno == errno.ENOSPC else "make it writable, or choose another data folder"
        raise SetupError(f"cannot write in {folder} ({error.strerror}): {remedy}") from error


def read(path: Path, missing: str) -> bytes:
    """A file that must be there. Raises `SetupError` where it is not (`missing` says what to do) or cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise SetupError(f"{path} is missing: {missing}") from None
    except OSError as error:
        raise SetupError(f"cannot read {path} ({error.strerror}): make it readable for this user") from error


def save(folder: Path, instance: Instance) -> None:
    """Remember the instance."""
    write_atomically(nats_folder(folder) / "instance.json", orjson.dumps(asdict(instance)))


def load(folder: Path) -> Instance | None:
    """What the folder remembers, or None for a folder without a server.

    Raises `SetupError` for a folder that is half-written, of another program or of another version.
    """
    home = nats_folder(folder)
    path = home / "instance.json"
    if not path.exists():
        # A first start that died leaves at most the partial file of `write_atomically`.
        foreign = (
            [entry.name for entry in home.iterdir() if not entry.name.startswith((".instance.json.", *_USERS))]
            if home.is_dir()
            else []
        )
        if foreign:
            raise SetupError(
                f"{home} holds {foreign[0]!r} but no instance.json: it is half-written or belongs to another "
                "program; move it away, restore a backup over it, or choose another data folder"
            )
        return None
    try:
        fields = orjson.loads(path.read_bytes())
        ports = Ports(**fields["ports"])
        found = replace(Instance(fields["server_name"], ports), format=fields["format"])
    except (ValueError, TypeError, KeyError) as error:
        raise SetupError(f"{path} is damaged ({error}): restore a backup, or choose another data folder") from error
    if found.format != FORMAT:
        raise SetupError(f"{path} has format {found.format}, this program reads {FORMAT}: use the program that made it")
    return found


def running_pid(folder: Path) -> int | None:
    """Process id of the nats-server that serves this folder, or None. Never the id of a process that reuses it."""
    config = str(nats_folder(folder) / "nats.conf")
    try:
        pid = int((nats_folder(folder) / "nats.pid").read_text())
        process = psutil.Process(pid)
        return pid if config in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, ValueError, psutil.Error):
        return None


def monitor(port: int, path: str, timeout_s: float = 2.0) -> tuple[int, Any]:
    """Status and JSON body of a monitoring endpoint on loopback. Raises `OSError` when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, orjson.loads(response.read())
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


def reload(folder: Path, timeout_s: float = 10.0) -> bool:
    """Have the running server read its configuration and users again; True once it has, False when none runs.

    Works from any process of the same user. Raises `SetupError` when the server refuses the new configuration (it then
    keeps the old one). Safe to repeat.
    """
    found, pid = load(folder), running_pid(folder)
    if found is None or pid is None:
        return False
    # One at a time: the time that changes must be that of this reload, not of one that began before.
    with (nats_folder(folder) / "reload.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = monitor(found.ports.monitor, "/varz")[1]["config_load_time"]
        os.kill(pid, signal.SIGHUP)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if monitor(found.ports.monitor, "/varz")[1]["config_load_time"] != before:
                return True
            time.sleep(0.02)
    raise SetupError(f"nats-server refused its new configuration: see the end of {nats_folder(folder) / 'nats.log'}")
