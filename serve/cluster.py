"""Ray, the shard actors, Serve and the city pack in one process: what `serve.node` starts, watches and stops.

`python -m serve.cluster` with the settings in the environment. It says `ready …` or `error …` in one line on its
output, runs until SIGTERM or until its input ends (whoever started it is gone), and exits with 1 when Ray dies.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType

import psutil
import ray
from ray import serve as ray_serve

from actors import supervisor
from schemas.errors import BomnaeError, SetupError
from schemas.packs.datasets import with_changes
from schemas.packs.load import load_pack
from schemas.settings import Settings
from serve import deployments
from serve.catalogue.actor import NAME as DATASETS
from serve.catalogue.actor import ensure_datasets
from serve.city import ENCODER, City
from serve.pictures.deployment import encoder
from serve.search import hosting

READY_S = 120.0
_LOOK_S = 0.5
_BATCH = 100


def main() -> int:
    """Run; the exit code."""
    settings = Settings()
    try:
        with _ray(settings), _city(settings):
            # Ray put its own handler in place, which ends the process at once.
            signal.signal(signal.SIGTERM, _leave)
            print(f"ready {asyncio.run(load(settings))}", flush=True)  # noqa: T201 - the line that the node reads
            sys.stdin.read()
    except _LeavingError:
        pass
    except (BomnaeError, ray.exceptions.RayError) as error:
        print(f"error {' '.join(str(error).split())}", flush=True)  # noqa: T201
        return 2
    return 0


class _LeavingError(Exception):
    """SIGTERM came."""


def _leave(number: int, frame: FrameType | None) -> None:
    raise _LeavingError


def _leave_with(processes: list[psutil.Process], leaving: threading.Event) -> None:
    """End this process when one of these has ended. A call to a Ray that is gone would wait for a minute first."""
    while not psutil.wait_procs(processes, _LOOK_S)[0]:
        pass
    if not leaving.is_set():
        # Nothing to drain: the log is the truth, and whoever starts us anew goes on from it.
        os._exit(1)


@contextmanager
def _ray(settings: Settings) -> Iterator[None]:
    ray.init(
        address=settings.ray_address or "local",
        namespace=settings.ray_namespace,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.WARNING,
    )
    vital = [one for one in psutil.Process().children(recursive=True) if one.name() in {"gcs_server", "raylet"}]
    leaving = threading.Event()
    if vital:
        threading.Thread(target=_leave_with, args=(vital, leaving), daemon=True).start()
    try:
        yield
    finally:
        leaving.set()
        ray.shutdown()


@contextmanager
def _city(settings: Settings) -> Iterator[None]:
    supervisor.ensure_hosts(settings)
    supervisor.ensure_archive(settings)
    ensure_datasets(settings)
    hosting.ensure_search(settings)
    hosting.resume(settings)
    hosting.retire_in_time(settings)
    try:
        ray_serve.start(http_options={"host": settings.host, "port": settings.http_port})
        ray_serve.run(deployments.app(settings), name="api", route_prefix="/")
        ray_serve.run(deployments.live(settings), name="live", route_prefix=deployments.LIVE_PREFIX)
        # These come up meanwhile: nobody needs to wait for statistics, or for the networks that read photographs.
        later = [ray_serve.RunTarget(deployments.statistics(settings), "statistics", deployments.STATISTICS_PREFIX)]
        if settings.encoder_replicas:
            later.append(ray_serve.RunTarget(encoder(settings), name=ENCODER, route_prefix=None))
        ray_serve.run_many(later, wait_for_applications_running=False)
        yield
    finally:
        ray_serve.shutdown()  # type: ignore[no-untyped-call]
        supervisor.stop_actor(settings, DATASETS)
        hosting.stop_search(settings)
        supervisor.stop_hosts(settings)


async def load(settings: Settings) -> str:
    """Bring the pack's difference into the city; how much there was."""
    pack = load_pack(settings.pack)
    if settings.datasets_file is not None:
        changed = with_changes(pack.datasets, settings.datasets_file)
        pack = pack.model_copy(update={"datasets": changed})
    city = City(settings)
    await city.start()
    try:
        commands = pack.commands(datetime.now(UTC), "city-pack")
        events = 0
        await _until_ready(city)
        for start in range(0, len(commands), _BATCH):
            events += len((await city.submit(commands[start : start + _BATCH], None, None)).events)
    finally:
        await city.stop()
    return f"{len(commands)} facts, {events} events new"


async def _until_ready(city: City) -> None:
    try:
        async with asyncio.timeout(READY_S):
            while city.ready():  # noqa: ASYNC110 - several parts, none of which tells
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise SetupError(f"the city was not ready after {READY_S:.0f} s: {city.ready()}") from None


if __name__ == "__main__":
    sys.exit(main())
