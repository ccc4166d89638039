"""What a replica keeps at hand to answer about the population: counts, areas, layers, and the graph of the ways."""

import asyncio
from collections.abc import Sequence

import polars as pl

from schemas.catalogue import Refresh
from schemas.dataset import Audience
from schemas.errors import ConflictError
from serve.areas import DATASET, Areas
from serve.backend import Backend, View
from serve.catalogue.desk import Desk
from serve.catalogue.standing import Standing, ensure_readable, standing_of
from serve.population.days import Days
from serve.population.layers import KINDS, ROAD_LINES, Layer, dataset_layer, facility_layer, lines_of
from serve.population.suppress import Protected
from serve.siting.distances import Walks


class Atlas:
    """One of a replica."""

    def __init__(self, backend: Backend, desk: Desk) -> None:
        self._backend, self._desk = backend, desk
        self._days = Days()
        self._walks: tuple[str, Walks] | None = None
        self._making = asyncio.Lock()

    async def counts(self, days: pl.DataFrame, below: int) -> Protected:
        """See `Days.protected`."""
        return await self._days.protected(self._backend.get_object, days, below)

    async def areas(self) -> Areas | None:
        """See `Desk.areas`."""
        return await self._desk.areas()

    async def areas_named(self, names: Sequence[str]) -> Areas:
        """Some of them, by code or name. Raises `InvalidError` for one unknown, `ConflictError` without any areas."""
        if (areas := await self.areas()) is None:
            raise ConflictError(
                f"the city's areas are not known yet, for dataset {DATASET!r} holds no rows: connect it, or ask with a "
                "bbox or cells"
            )
        return areas.named(names) if names else areas

    async def layer(self, name: str, facilities: pl.DataFrame, view: View, audience: Audience) -> Layer:
        """Facilities of a kind (of `view`, whose table `facilities` is), or the points of a dataset.

        Raises `NotFoundError` for neither, `ForbiddenError` for a dataset that is not open to the audience,
        `ConflictError` for one that holds no rows, `InvalidError` for one without points.
        """
        if name in KINDS:
            return facility_layer(name, facilities, view.version)
        one = standing_of(self._desk.standings(), name)
        ensure_readable(one, audience, self._backend.now())
        if (found := self._newest(name)) is None:
            raise ConflictError(f"dataset {name!r} holds no rows of its own yet: connect it, or upload them")
        got = await self._desk.rows(one, audience, None, _never)
        rows = got[0] if got is not None else pl.DataFrame()
        label = one.facts.map.label if one.facts.map is not None else None
        titles = one.facts.title_ko, one.facts.title_en
        key = (found[1].version, audience)
        return dataset_layer(name, titles, one.facts.source, rows, label, key, synthetic=one.facts.synthetic)

    async def walks(self) -> tuple[str, Walks] | None:
        """The ways along the city's roads, with a name for their state; None where no lines are known.

        The lines of the segments that are registered, and those of the datasets `ROAD_LINES`.
        """
        segments = self._backend.view("road").tables["segments"]
        shapes: list[str] = []
        for name in ROAD_LINES:
            if (found := self._newest(name)) is not None:
                rows = await self._desk.shelf.rows(name, found[1])
                shapes += rows["_wkt"].drop_nulls().to_list() if "_wkt" in rows.columns else []
        lines = await asyncio.to_thread(lines_of, segments, shapes)
        if lines is None:
            return None
        async with self._making:
            if self._walks is None or self._walks[0] != lines.digest:
                self._walks = lines.digest, await asyncio.to_thread(lines.walks)
            return self._walks

    def _newest(self, dataset: str) -> tuple[Standing, Refresh] | None:
        """A dataset with the refresh that its newest rows are of; None where it has none."""
        one = self._desk.standings().get(dataset)
        return None if one is None or one.newest is None else (one, one.newest)


async def _never() -> bool:
    return False
