"""What a replica keeps at hand of the catalogue: how datasets stand, their rows, the index of words, the refresher."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from actors.catalogue.reading.city import Bounds
from schemas.dataset import Audience
from schemas.packs.load import head_of
from serve.areas import DATASET, Areas
from serve.backend import Backend, View
from serve.catalogue.dcat import Place
from serve.catalogue.find import Finder
from serve.catalogue.live import rows_of
from serve.catalogue.refreshing import Refresher, standings_of
from serve.catalogue.rows import conformed, visible
from serve.catalogue.shelf import Shelf
from serve.catalogue.standing import Standing, ensure_readable


@dataclass(frozen=True, slots=True)
class City:
    """What the city is called, and the box around it in degrees."""

    ko: str = "도시"
    en: str = "City"
    bounds: Bounds | None = None

    @classmethod
    def of(cls, pack: str) -> "City":
        """As a pack says."""
        head = head_of(pack)
        return cls(head.name_ko, head.name_en, head.bounds)

    @property
    def place(self) -> Place | None:
        """As DCAT-AP wants it."""
        return None if self.bounds is None else Place(self.ko, self.en, *self.bounds)


class Desk:
    """One of a replica."""

    def __init__(self, backend: Backend, refresher: Refresher) -> None:
        self._backend, self.refresher, self.shelf = backend, refresher, Shelf(lambda name: backend.get_object(name))  # noqa: PLW0108 - documents are made without one
        self._known: tuple[object, dict[str, Standing]] = None, {}
        self._finder: tuple[object, Finder | None] = None, None
        self._indexing = asyncio.Lock()
        self._areas: Areas | None = None

    def standings(self, view: View | None = None) -> Mapping[str, Standing]:
        """All datasets by id, of the newest view or a given one."""
        view = view or self._backend.view("catalogue")
        if self._known[0] != view.version:
            self._known = view.version, standings_of(view)
        return self._known[1]

    async def finder(self) -> Finder:
        """The index over all declarations, made again when one has changed."""
        known = self.standings()
        said = tuple(one.row["facts"] for one in known.values())
        async with self._indexing:
            before, finder = self._finder
            if finder is None or before != said:
                finder = await asyncio.to_thread(Finder, [one.entry for one in known.values()])
                self._finder = said, finder
        return finder

    async def areas(self) -> Areas | None:
        """The city's areas, from the newest rows of the dataset `areas`; None where it holds none."""
        one = self.standings().get(DATASET)
        if one is None or one.newest is None:
            return None
        if self._areas is None or self._areas.version != one.newest.version:
            rows = await self.shelf.rows(DATASET, one.newest)
            self._areas = await asyncio.to_thread(Areas.of, rows, one.facts.source, one.newest.version)
        return self._areas

    async def rows(
        self, one: Standing, audience: Audience, as_of: datetime | None, gone: Callable[[], Awaitable[bool]]
    ) -> tuple[pl.DataFrame, str] | None:
        """The rows that an audience may see, and their version (empty for what the city keeps itself, and before any).

        None where nobody waits any longer. Raises `ForbiddenError` for a dataset that is not open to it, `GoneError`
        for a moment from which nothing is kept.
        """
        ensure_readable(one, audience, self._backend.now())
        if one.live:
            found = await rows_of(self._backend, one.facts, as_of, gone, self.areas)
            return None if found is None else (visible(found, one.facts, audience), "")
        refresh = one.newest if as_of is None else one.at(as_of)
        if refresh is None:
            return conformed(pl.DataFrame(), one.facts), ""
        frame = await self.shelf.rows(one.id, refresh)
        shown = await asyncio.to_thread(lambda: visible(conformed(frame, one.facts), one.facts, audience))
        return shown, refresh.version
