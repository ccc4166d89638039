"""One machine, whole: nats-server, Ray, shard actors, Serve, the city pack and the simulated sensors."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import nats
import psutil
from rich.console import Console

from schemas.errors import SetupError
from schemas.packs.load import load_pack
from schemas.settings import Settings
from serve import ingress
from serve.secret import ensure_secret
from streams import credentials
from streams.instance import Ports
from streams.server import EmbeddedServer
from streams.topology import Topology, ensure_streams

READY_S = 120.0


def run(settings: Settings, console: Console) -> int:
    """Run until SIGINT or SIGTERM, then drain and stop; the exit code.

    Raises `SetupError`, with what to do, for a taken port or a folder that is in use, half-written or not ours.
    What is in the data folder goes on at the next start.
    """
    settings = settings.model_copy(update={"data": settings.data.absolute()})
    stop = _Stop()
    _check_port(settings.host, settings.http_port, "http")
    with ExitStack() as stack, console.status("") as status:
        say = status.update
        say("NATS")
        server = _server(settings)
        stack.enter_context(server)
        ensure_secret(settings)
        asyncio.run(_streams(settings, server))
        say("Ray")
        stack.enter_context(_ray(settings))
        say("shards, API")
        stack.enter_context(_city(settings))
        say(f"city pack {settings.pack}")
        loaded = asyncio.run(_load(settings))
        if settings.simulate:
            say("simulated sensors")
            stack.enter_context(_sensors(settings))
        status.stop()
        _greet(console, settings, server, loaded)
        stop.wait()
        console.print("draining; the data stays in", str(settings.data))
    return 0


class _Stop:
    """Turns SIGINT and SIGTERM into a plain return from `wait`."""

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def wait(self) -> None:
        while not self._asked:
            time.sleep(0.2)


def _check_port(host: str, port: int, name: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise SetupError(
                f"port {port} on {host} is taken: stop what listens there, or set BOMNAE_{name.upper()}_PORT"
            ) from None


def _server(settings: Settings) -> EmbeddedServer:
    ports = Ports(settings.nats_port, settings.websocket_port, settings.mqtt_port, settings.nats_monitor_port)
    return EmbeddedServer(settings.data, ports, settings.host, "always" if settings.sync_always else "2m")


async def _streams(settings: Settings, server: EmbeddedServer) -> None:
    sizes = {
        "log": settings.log_max_mb,
        "ingest": settings.ingest_max_mb,
        "feed": settings.feed_max_mb,
        "rejected": settings.rejected_max_mb,
    }
    shards = {context: settings.shards(context) for context in ("facility", "road")}
    free = psutil.disk_usage(str(settings.data)).free
    topology = Topology(shards, settings.replicas, sizes).fitted(free)
    operator = await nats.connect(server.url, **credentials.local(settings.data, "operator").options())
    apps = await nats.connect(server.url, **credentials.local(settings.data, "feed-admin").options())
    try:
        await ensure_streams(operator, topology, apps)
    finally:
        await operator.close()
        await apps.close()


@contextmanager
def _ray(settings: Settings) -> Iterator[None]:
    os.environ |= ingress.environment(settings)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray  # noqa: PLC0415 - after the variables that it reads

    ray.init(
        address=settings.ray_address or "local",
        namespace=settings.ray_namespace,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        configure_logging=False,
    )
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _city(settings: Settings) -> Iterator[None]:
    from ray import serve as ray_serve  # noqa: PLC0415 - after the variables that it reads

    from actors import supervisor  # noqa: PLC0415
    from serve import deployments  # noqa: PLC0415

    supervisor.ensure_hosts(settings)
    try:
        ray_serve.start(http_options={"host": settings.host, "port": settings.http_port})
        ray_serve.run(deployments.app(settings), name="api", route_prefix="/")
        ray_serve.run(deployments.live(settings), name="live", route_prefix=deployments.LIVE_PREFIX)
        yield
    finally:
        ray_serve.shutdown()
        supervisor.stop_hosts(settings)


async def _load(settings: Settings) -> str:
    """Bring the pack's difference into the city; how much there was."""
    from serve.city import City  # noqa: PLC0415

    pack = load_pack(settings.pack)
    city = City(settings)
    await city.start()
    try:
        commands = pack.commands(datetime.now(UTC), "city-pack")
        events = 0
        await _until_ready(city)
        for start in range(0, len(commands), 100):
            events += len((await city.submit(commands[start : start + 100], None, None)).events)
    finally:
        await city.stop()
    return f"{len(commands)} facts, {events} of them new"


async def _until_ready(city: "City") -> None:  # type: ignore[name-defined]  # noqa: F821
    try:
        async with asyncio.timeout(READY_S):
            while missing := city.ready():
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise SetupError(f"the city was not ready after {READY_S:.0f} s: {missing}") from None


@contextmanager
def _sensors(settings: Settings) -> Iterator[None]:
    command = [sys.executable, "-m", "streams.connectors.feeder"]
    with (settings.data / "sensors.log").open("wb") as log:
        child = subprocess.Popen(  # noqa: S603 - our own module
            command, env={**os.environ, **_exported(settings)}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield
    finally:
        child.terminate()
        child.wait(10)


def _exported(settings: Settings) -> dict[str, str]:
    return {"BOMNAE_DATA": str(settings.data), "BOMNAE_PACK": settings.pack, "BOMNAE_HOST": settings.host}


def _greet(console: Console, settings: Settings, server: EmbeddedServer, loaded: str) -> None:
    base = f"http://{settings.host}:{settings.http_port}"
    command = Path(sys.argv[0]).name if Path(sys.argv[0]).name == "bomnae" else "bomnae"
    console.print(f"[bold]Bomnae 봄내 runs[/bold]: city pack {settings.pack} ({loaded})")
    if settings.simulate:
        console.print("The sensors are simulated: every reading is [bold]synthetic[/bold].")
    console.print(
        f"""
  API       {base}/v1/facilities
  docs      {base}/docs
  NATS      {server.url}      (WebSocket {server.websocket_url}, MQTT port {server.bound.mqtt})

  curl -s {base}/v1/facilities/soyang-2-bridge
  curl -s {base}/v1/sensors/latest
  curl -sN {base}/v1/live
  nats --server {server.url} subscribe 'city.pub.>'

  {command} simulate market-fire          raises an alarm within a minute
  {command} simulate excavation           closes a road
  {command} token --role safety           a token for acknowledging alarms

Ctrl-C drains and stops; the data stays in {settings.data}.""",
        highlight=False,
    )
