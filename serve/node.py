"""One machine, whole: nats-server, Ray with shards and API, and the simulated sensors, started, watched and stopped.

Each is a process of its own. When one dies it is started again; the log is the truth, so nothing else has to be done.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType
from typing import Self

import psutil
from rich.console import Console

from schemas.errors import SetupError
from schemas.packs.load import load_pack
from schemas.packs.pack import Pack
from schemas.settings import Settings
from serve import address, ingress
from serve.greeting import greeting
from serve.secret import ensure_secret
from streams import preparing
from streams.instance import Ports
from streams.server import EmbeddedServer, check_ports
from streams.tending import Tender, free_bytes
from streams.topology import Topology

_LOOK_S = 0.2
_START_S = 180.0
_STOP_S = 40.0


def run(settings: Settings, console: Console) -> int:
    """Run until SIGINT or SIGTERM, then drain and stop; the exit code.

    Raises `SetupError`, with what to do, for a taken port, a folder that is in use, half-written or not ours, and a
    city that does not come up; `PackError` for a pack that breaks a rule. What is in the data folder goes on at the
    next start.
    """
    port = settings.http_port or ingress.free_ports(1)[0]
    settings = settings.model_copy(update={"data": settings.data.absolute(), "http_port": port})
    pack = load_pack(settings.pack)
    stop = Stop()
    with ExitStack() as stack:
        with console.status("starting NATS") as status:
            server = _server(settings)
            stack.enter_context(server)
            check_ports({"BOMNAE_HTTP_PORT": (settings.host, settings.http_port)})
            ensure_secret(settings)
            address.remember(settings)
            asyncio.run(_streams(settings, server))
            status.update("starting Ray, the shards and the API (about 20 s)")
            environment = {**os.environ, **_exported(settings), **ingress.environment(settings)}
            cluster = stack.enter_context(Child("serve.cluster", environment, settings.data / "cluster.log"))
            loaded = cluster.ready(stop)
            children = [cluster]
            if settings.simulate and not stop.asked:
                status.update("starting the simulated sensors")
                sensors = Child("streams.connectors.feeder", environment, settings.data / "sensors.log")
                children.append(stack.enter_context(sensors))
        if not stop.asked:
            _greet(console, settings, pack, server, loaded)
        tender = Tender(server, lambda line: console.print(line, highlight=False, markup=False))
        while not stop.asked:
            tender.look()
            _tend(console, children)
            time.sleep(_LOOK_S)
        console.print(f"draining; the data stays in {settings.data}", highlight=False)
    return 0


class Stop:
    """Turns SIGINT and SIGTERM into `asked`; a second one interrupts the draining."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


class Child:
    """A module of ours in a process of its own, with its errors in a log file.

    Its input is a pipe that we never write to: when we die, however, it sees the end and leaves.
    """

    def __init__(self, module: str, environment: dict[str, str], log: Path) -> None:
        self.module, self._environment, self._log = module, environment, log
        self._process: subprocess.Popen[str] | None = None
        self._said: list[str] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _clear(self._process.pid)

    def start(self) -> None:
        """Start it, once more where it ran before; what is left of the processes that it had started is ended first."""
        if self._process is not None:
            _clear(self._process.pid)
        self._said = []
        with self._log.open("ab") as log:
            # In a session of its own: Ctrl-C in a terminal reaches us alone, and we decide the order.
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", self.module],
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def ready(self, stop: Stop) -> str:
        """Wait for its `ready` line and return the rest of it. Raises `SetupError` with what it said instead."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and not stop.asked:
            for line in self._said:
                word, _, rest = line.partition(" ")
                if word == "ready":
                    return rest.strip()
                if word == "error":
                    raise SetupError(rest.strip())
            if not self.alive:
                raise SetupError(f"{self.module} ended while starting: see {self._log}")
            time.sleep(_LOOK_S)
        return ""

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        if process.stdout is not None:
            self._said.extend(process.stdout)


def _clear(session: int) -> None:
    """Kill what a dead session left behind.

    Ray's processes notice that their raylet is gone, but its HAProxy does not: it would keep the HTTP port for ever.
    """
    while members := [one for one in psutil.process_iter() if _is_of(one, session)]:
        for one in members:
            with suppress(psutil.Error):
                one.kill()
        psutil.wait_procs(members, _LOOK_S)


def _is_of(process: psutil.Process, session: int) -> bool:
    try:
        return os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, psutil.Error):
        return False


def _tend(console: Console, children: list[Child]) -> None:
    for child in children:
        if not child.alive:
            console.print(f"{child.module} ended: starting it again")
            child.start()


def _server(settings: Settings) -> EmbeddedServer:
    ports = Ports(settings.nats_port, settings.websocket_port, settings.mqtt_port, settings.nats_monitor_port)
    return EmbeddedServer(settings.data, ports, settings.host, "always" if settings.sync_always else "2m")


async def _streams(settings: Settings, server: EmbeddedServer) -> None:
    topology = Topology.of(settings).fitted(free_bytes(settings.data))
    await preparing.prepare((server.url,), settings.data, topology)


def _exported(settings: Settings) -> dict[str, str]:
    """The settings for a child: what differs from the defaults, as its environment."""
    changed = settings.model_dump(mode="json", exclude_defaults=True)
    words = {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in changed.items()}
    return {f"BOMNAE_{name.upper()}": value for name, value in words.items()}


def _greet(console: Console, settings: Settings, pack: Pack, server: EmbeddedServer, loaded: str) -> None:
    console.print(f"[bold]Bomnae 봄내 runs[/bold]: city pack {settings.pack} ({loaded})", highlight=False)
    if settings.simulate:
        console.print("The sensors are simulated: every reading is [bold]synthetic[/bold].")
    console.print(f"\n{greeting(settings, pack, server)}\n", highlight=False, soft_wrap=True, markup=False)
    console.print(f"Ctrl-C drains and stops; the data stays in {settings.data}.", highlight=False, soft_wrap=True)
