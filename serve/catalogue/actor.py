"""The refresher of datasets as a Ray actor: one of a city, by name, restarted by Ray.

Two for a moment lose nothing: at worst a message is taken in twice, or an older one after a newer until the next comes.
"""

import asyncio
from typing import Any

from actors.host import wall_clock
from actors.orphans import sweep
from actors.supervisor import ensure_actor
from schemas.settings import Settings
from serve.catalogue.refreshing import Sources
from serve.catalogue.rounds import Rounds
from serve.city import City
from streams import logs
from streams.connection import Connection, access_of
from streams.ending import ended
from streams.inbox import NatsInbox

NAME = "datasets"


def ensure_datasets(settings: Settings) -> Any:
    """The refresher, started where it is missing; safe to repeat."""
    return ensure_actor(settings, DatasetsActor, NAME, settings)


class DatasetsActor:
    """Runs the `Rounds` of a city over connections of its own."""

    def __init__(self, settings: Settings) -> None:
        logs.configure(settings.log_level)
        self._settings, self._city = settings, City(settings, ("facility", "road", "catalogue"))
        self._running = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        await self._city.start()
        connection = await Connection.open(access_of(self._settings), NAME)
        shards = [("catalogue", number) for number in range(self._settings.shards("catalogue"))]

        async def swept() -> None:
            await sweep(connection, shards, wall_clock())

        try:
            await Rounds(self._city, Sources.of(self._settings), NatsInbox(connection.nc), swept).run()
        finally:
            await connection.close()

    async def ready(self) -> bool:
        """Whether it is at work. Raises what ended it."""
        if self._running.done():
            await self._running
        return not self._city.ready()

    async def stop(self) -> None:
        """Stop; what was begun is begun again by the next one."""
        await ended(self._running)
        await self._city.stop()
