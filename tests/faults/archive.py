"""The archive's writer in a process of its own: what a test kills.

`python -m tests.faults.archive`, with the city's settings in the environment. It writes ten times a second and says
`written` when a write of readings has landed.
"""

import asyncio
from typing import Any

from actors.archiving.archivist import Archivist
from actors.host import wall_clock
from actors.meters import Numbers
from schemas.settings import Settings


class Saying(Numbers):
    """Says that rows are written."""

    def add(self, name: str, value: float = 1, **tags: Any) -> None:
        if name == "bomnae_archive_rows" and tags["table"] == "readings":
            print("written", flush=True)  # noqa: T201 - a line for the test
        super().add(name, value, **tags)


async def main() -> None:
    archivist = Archivist(Settings(archive_every_s=0.1), Saying(), wall_clock)
    await archivist.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
