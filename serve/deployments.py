"""The Ray Serve applications of the API: itself, and in deployments of their own the live stream and statistics.

`serve/config.yaml` names them; `serve.cluster` runs them on one machine.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ray import serve as ray_serve
from ray.serve import Application

from actors.actor import MEASURE_S
from actors.exporting import RayMeters
from actors.meters import RECONNECTS
from schemas.settings import CONTEXTS, Settings
from serve import measuring
from serve.app import Config, create_app, verifier_of
from serve.city import City
from streams.asyncapi import document

Message = MutableMapping[str, Any]
LIVE_PREFIX, STATISTICS_PREFIX = "/v1/live", "/v1/statistics"
_UPSCALE_S = 5.0
_HEALTH_S = 1.0
"""Serve notices a killed replica at its next health check, and only then starts another."""


class Rooted:
    """An ASGI app that starts and stops its city with the replica, and sees whole paths whatever prefix Serve cut.

    `measure` is called again and again meanwhile.
    """

    def __init__(self, app: Any, city: City, measure: Callable[[], None]) -> None:
        self._app, self._city, self._measure = app, city, measure

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Serve one connection, or the replica's lifetime."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        root, path = scope.get("root_path", ""), scope["path"]
        whole = path if path.startswith(root) else root + path
        await self._app({**scope, "root_path": "", "path": whole}, receive, send)

    async def _live(
        self, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        measuring: asyncio.Task[None] | None = None
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._city.start()
                measuring = asyncio.create_task(self._keep_measuring(), name="measure")
                await send({"type": "lifespan.startup.complete"})
            else:
                if measuring is not None:
                    measuring.cancel()
                await self._city.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _keep_measuring(self) -> None:
        while True:
            self._measure()
            await asyncio.sleep(MEASURE_S)


class Api:
    """One replica: the FastAPI app over a city of its own connections, which follows the state of `contexts`."""

    def __init__(self, settings: Settings, contexts: tuple[str, ...] = CONTEXTS) -> None:
        self._settings, self._contexts = settings, contexts

    def __serve_build_asgi_app__(self) -> Rooted:
        """What Serve calls once the replica's constructor is done."""
        city, meters = City(self._settings, self._contexts), RayMeters((*measuring.METRICS, RECONNECTS))
        config = Config.of(self._settings, document())
        app = create_app(city, verifier_of(self._settings), config, meters)
        _collect_rarely()
        process = ray_serve.get_replica_context().replica_id.unique_id

        def measure() -> None:
            meters.put("bomnae_nats_reconnects", city.reconnects, process=process)
            for name, gate in app.state.gates.items():
                meters.put("bomnae_http_inside", gate.inside, **{"class": name, "process": process})
                meters.put("bomnae_http_waiting", gate.waiting, **{"class": name, "process": process})

        return Rooted(app, city, measure)


def _collect_rarely() -> None:
    """Leave the program itself out of every collection of garbage, and collect less often.

    Some hundred thousand objects of libraries are looked at again and again otherwise: a twentieth of the CPU of a
    replica under load was measured to go there.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def app(settings: Settings | None = None) -> Application:
    """The API, at `/`."""
    settings = settings or Settings()
    ongoing = settings.read_concurrency + settings.write_concurrency + 3 * settings.queue
    return _deployed("api", settings, ongoing, replicas=settings.api_replicas, shutdown_s=5)


def live(settings: Settings | None = None) -> Application:
    """The live stream, at `/v1/live`: long answers here starve nobody there."""
    settings = settings or Settings()
    return _deployed("live", settings, settings.live_concurrency + settings.queue, contexts=())


def statistics(settings: Settings | None = None) -> Application:
    """Statistics, at `/v1/statistics`: what reads months of the archive slows nothing else down."""
    settings = settings or Settings()
    scaling = {
        "min_replicas": 1,
        "max_replicas": settings.statistics_replicas,
        "target_ongoing_requests": settings.past_concurrency,
        "upscale_delay_s": _UPSCALE_S,
    }
    ongoing = settings.past_concurrency + settings.queue
    # A replica that is no longer needed ends the query that it runs, which takes a minute at most.
    return _deployed(
        "statistics", settings, ongoing, contexts=("facility", "road", "catalogue"), scaling=scaling, shutdown_s=65
    )


def _deployed(
    name: str,
    settings: Settings,
    ongoing: int,
    replicas: int = 1,
    shutdown_s: float = 1,
    contexts: tuple[str, ...] = CONTEXTS,
    scaling: dict[str, Any] | None = None,
) -> Application:
    deployment = ray_serve.deployment(
        name=name,
        num_replicas=replicas if scaling is None else "auto",
        autoscaling_config=scaling,
        max_ongoing_requests=ongoing,
        ray_actor_options={"num_cpus": 0.1},
        health_check_period_s=_HEALTH_S,
        graceful_shutdown_timeout_s=shutdown_s,
    )
    return deployment(ray_serve.ingress()(Api)).bind(settings, contexts)
