"""What `serve deploy` has no word for: shard hosts are actors, not deployments. The keeper starts them and the pack.

`serve/config.yaml` names `keeper`. On one machine `serve.cluster` does the same.
"""

import asyncio
import logging

from ray import serve as ray_serve
from ray.serve import Application

from actors import supervisor
from schemas.settings import Settings
from serve.catalogue.actor import ensure_datasets
from serve.cluster import load
from serve.search import hosting

logger = logging.getLogger(__name__)

CHECK_S = 10.0
"""Time between two looks; Ray restarts a host that dies, the look is for one that is gone for good."""


class Keeper:
    """A deployment without a route; all that it does happens in Serve's health check, and is safe to repeat."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loading: asyncio.Task[str] | None = None
        self._retirement = hosting.Retirement(settings)

    async def check_health(self) -> None:
        """Start the actors that are missing, and bring the city pack in, again and again."""
        await asyncio.to_thread(supervisor.ensure_hosts, self._settings)
        await asyncio.to_thread(supervisor.ensure_archive, self._settings)
        await asyncio.to_thread(ensure_datasets, self._settings)
        await asyncio.to_thread(hosting.ensure_search, self._settings)
        await asyncio.to_thread(self._retirement.look)
        if self._loading is not None and self._loading.done() and (error := self._loading.exception()) is not None:
            logger.warning("the city pack is not in yet: %s", error)
            self._loading = None
        self._loading = self._loading or asyncio.create_task(load(self._settings))


def keeper(settings: Settings | None = None) -> Application:
    """The application."""
    deployment = ray_serve.deployment(
        name="keeper", num_replicas=1, ray_actor_options={"num_cpus": 0.1}, health_check_period_s=CHECK_S
    )
    return deployment(Keeper).bind(settings or Settings())
