"""The archive's writer as a Ray actor: one of a city, reachable by name, restarted by Ray, fenced by the tables."""

import asyncio

from actors.archiving.archivist import METRICS, Archivist, Hot
from actors.exporting import RayMeters
from actors.host import wall_clock
from schemas.settings import Settings
from streams import logs

NAME = "archive"


class ArchiveActor:
    """Wraps an `Archivist`."""

    def __init__(self, settings: Settings) -> None:
        logs.configure(settings.log_level)
        self._archivist = Archivist(settings, RayMeters(METRICS), wall_clock)
        self._started = asyncio.ensure_future(self._archivist.start())

    async def ready(self) -> bool:
        """Whether everything that was in the logs at the start has been read."""
        return self._archivist.ready

    async def hot(self, table: str) -> Hot:
        """See `Archivist.hot`."""
        return await self._archivist.hot(table)

    async def stop(self) -> None:
        """Write what is left, and stop; the actor stays until it is killed."""
        await self._archivist.stop()
