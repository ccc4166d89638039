"""The two Ray Serve applications: the API, and the live stream in a deployment of its own.

`serve/config.yaml` names `app` and `live`; `serve.node` runs them on one machine.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ray import serve as ray_serve
from ray.serve import Application

from schemas.settings import Settings
from serve.app import Config, create_app, verifier_of
from serve.city import City
from streams.asyncapi import document

Message = MutableMapping[str, Any]
LIVE_PREFIX = "/v1/live"
_HEALTH_S = 1.0
"""Serve notices a killed replica at its next health check, and only then starts another."""


class Rooted:
    """An ASGI app that starts and stops its city with the replica, and sees whole paths whatever prefix Serve cut."""

    def __init__(self, app: Any, city: City) -> None:
        self._app, self._city = app, city

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
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._city.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._city.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


class Api:
    """One replica: the FastAPI app over a city of its own connections."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __serve_build_asgi_app__(self) -> Rooted:
        """What Serve calls once the replica's constructor is done."""
        city = City(self._settings)
        config = Config.of(self._settings, document())
        return Rooted(create_app(city, verifier_of(self._settings), config), city)


def app(settings: Settings | None = None) -> Application:
    """The API, at `/`."""
    settings = settings or Settings()
    ongoing = settings.read_concurrency + settings.write_concurrency + 3 * settings.queue
    deployment = ray_serve.deployment(
        name="api",
        num_replicas=settings.api_replicas,
        max_ongoing_requests=ongoing,
        ray_actor_options={"num_cpus": 0.1},
        health_check_period_s=_HEALTH_S,
        graceful_shutdown_timeout_s=5,
    )
    return deployment(ray_serve.ingress()(Api)).bind(settings)


def live(settings: Settings | None = None) -> Application:
    """The live stream, at `/v1/live`: long answers here starve nobody there."""
    settings = settings or Settings()
    deployment = ray_serve.deployment(
        name="live",
        num_replicas=1,
        max_ongoing_requests=settings.live_concurrency + settings.queue,
        ray_actor_options={"num_cpus": 0.1},
        health_check_period_s=_HEALTH_S,
        graceful_shutdown_timeout_s=1,
    )
    return deployment(ray_serve.ingress()(Api)).bind(settings)
