"""A city in memory whose datasets are kept fresh, and where they come from."""

import polars as pl

from schemas.catalogue import RegisterDataset
from schemas.dataset import FromFile
from serve.catalogue import refreshing
from serve.catalogue.refreshing import Refresher, Sources
from serve.catalogue.rounds import Rounds
from tests.contracts.inbox import MemoryInbox
from tests.unit.catalogue.service.declared import ROWS, stops

FILE = FromFile(format="csv", file="stops.csv")
STOPS = stops(connector=FILE)


class Kept:
    """The rounds of a city in memory, with a folder to read from and an inbox."""

    def __init__(self, backend, folder):
        self.backend, self.folder, self.inbox = backend, folder, MemoryInbox()
        self.come_from(folder=folder)

    def come_from(self, **sources):
        """Go the rounds with other sources from now on."""
        self.sources = Sources(**sources)
        self.rounds = Rounds(self.backend, self.sources, self.inbox)

    async def declare(self, dataset="stops", declared=STOPS):
        command = RegisterDataset(at=self.backend.now(), by="kim", dataset=dataset, facts=declared)
        await self.backend.submit([command], None, None)

    def write(self, text=ROWS, name="stops.csv"):
        (self.folder / name).write_text(text)

    async def look(self):
        """How many datasets were looked after; none of them over HTTP."""
        return await self.rounds.look(None)

    def one(self, dataset="stops"):
        return Refresher(self.backend, self.sources).standings()[dataset]

    async def kinds(self, dataset="stops"):
        """What happened, but for what time alone did."""
        items = await self.backend.history("catalogue", dataset, 0, 1_000)
        names = [item.type.split(".")[2] for item in items]
        return [name for name in names if name not in {"dataset-opened", "dataset-late"}]

    async def rows(self, dataset="stops"):
        return pl.read_parquet(self.backend.objects[refreshing.object_of(dataset, self.one(dataset).newest)])
