"""The refresher of datasets as a Ray actor: one of a city, by name, restarted by Ray. Two would do no harm."""

import asyncio
from typing import Any

from actors.supervisor import ensure_actor
from schemas.settings import Settings
from serve.catalogue.refreshing import Refresher, Sources
from serve.city import City
from streams import logs

NAME = "datasets"


def ensure_datasets(settings: Settings) -> Any:
    """The refresher, started where it is missing; safe to repeat."""
    return ensure_actor(settings, DatasetsActor, NAME, settings)


class DatasetsActor:
    """Runs a `Refresher` over a city of its own connections."""

    def __init__(self, settings: Settings) -> None:
        logs.configure(settings.log_level)
        self._city = City(settings, ("facility", "road", "catalogue"))
        self._keeper = Refresher(self._city, Sources.of(settings))
        self._running = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        await self._city.start()
        await self._keeper.run()

    async def ready(self) -> bool:
        """Whether it is at work. Raises what ended it."""
        if self._running.done():
            await self._running
        return not self._city.ready()

    async def stop(self) -> None:
        """Stop; what was begun is begun again by the next one."""
        self._running.cancel()
        await self._city.stop()
