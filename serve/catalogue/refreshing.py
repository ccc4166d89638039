"""Keeps datasets fresh: asks each source when it is due, has what came read, stores it, and tells the catalogue."""

import asyncio
import io
import logging
import secrets
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import aiohttp
import polars as pl
import shapely

from actors.catalogue.reading.city import Bounds
from actors.catalogue.state import listing_of, object_of
from schemas.base import Command
from schemas.catalogue import RecordFailure, RecordRefresh, RecordUnchanged, Refresh, ThinVersions
from schemas.dataset import Dataset, FromCity, FromDatabase, FromFile, FromHttp, Layout, Shapes
from schemas.errors import BomnaeError, ConflictError, InvalidError, TooManyRequestsError, UnavailableError
from schemas.packs.load import head_of
from schemas.settings import Settings, secret
from serve.backend import Answer, Backend, View
from serve.catalogue.asking import declared_in, more_of, queried, signature, without
from serve.catalogue.child import taken
from serve.catalogue.standing import Standing, standings
from serve.catalogue.taking import Job, Taken
from serve.render import frame_of
from streams.connectors import fetching
from streams.connectors.fetching import Fetched, Pause

logger = logging.getLogger(__name__)

BY = "datasets"
"""Who tells what connectors brought."""
LOOK_S = 2.0
Outcome = Literal["refreshed", "unchanged", "failed"]
_THIN_EVERY = timedelta(hours=1)
_TABLE = Layout(format="parquet")
"""How what a database gave is handed on."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where datasets may come from, and where the city is.

    Files are read below `folder`, `most` bytes of a source at most; `key_of` gives a secret by the name of its
    environment variable. A version is kept for `keep` after the next one. `bounds` (degrees) and the shapes of the
    dataset `areas` say what lies in the city.
    """

    folder: Path | None = None
    most: int = 64_000_000
    keep: timedelta = timedelta(days=90)
    key_of: Callable[[str], str | None] = secret
    bounds: Bounds | None = None
    areas: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Sources":
        """As the settings and the pack say."""
        head = head_of(settings.pack)
        most, keep = int(settings.max_dataset_mb * 1_000_000), timedelta(days=settings.dataset_days)
        return cls(settings.datasets_from, most, keep, bounds=head.bounds, areas=head.areas_dataset)


class Refresher:
    """The refreshes of a city's datasets."""

    def __init__(self, backend: Backend, sources: Sources) -> None:
        self._backend, self._sources = backend, sources
        self._area: tuple[str, bytes] = "", b""
        self._pauses: dict[str, Pause] = {}
        self._not_before: dict[str, datetime] = {}
        self._files: dict[str, tuple[object, ...]] = {}
        self._thinned_at: datetime | None = None

    def standings(self) -> dict[str, Standing]:
        """All datasets as they stand now. Raises `UnavailableError` while the catalogue is being loaded."""
        return standings_of(self._backend.view("catalogue"))

    async def run(self) -> None:
        """Look for what is due, for ever."""
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    await self.look(session)
                except BomnaeError as error:
                    logger.warning("datasets: %s; looking again", error)
                except Exception:  # a disk that is full, a driver's own: whatever it is, it looks again
                    logger.exception("datasets: looking again")
                await asyncio.sleep(LOOK_S)

    async def look(self, session: aiohttp.ClientSession) -> int:
        """Refresh what is due now, the areas first; how many sources were asked."""
        known, asked = self.standings(), 0
        for name in sorted(known, key=lambda name: (name != self._sources.areas, name)):
            if self._due(known[name]):
                await self.refresh(session, known[name])
                asked += 1
        now = self._backend.now()
        if self._thinned_at is None or now - self._thinned_at >= _THIN_EVERY:
            self._thinned_at = now
            await self.thin(known)
        return asked

    def _due(self, one: Standing) -> bool:
        connector, now = one.facts.connector, self._backend.now()
        if one.row["retired_at"] is not None or connector is None or isinstance(connector, FromCity):
            return False
        if isinstance(connector, FromFile) and self._sources.folder is None:
            return False  # a city that has no files yet: they wait, and nobody is to blame
        changed = False
        if isinstance(connector, FromFile):
            changed = self._files.get(one.id) != signature(self._sources.folder, connector)
        if now < self._not_before.get(one.id, now) and not changed:
            return False
        newest = one.newest
        if newest is None or not newest.mark.endswith(declared_in(one.facts)):
            return True
        if isinstance(connector, FromFile):
            return changed or one.row["down_since"] is not None
        interval, seen = one.facts.interval_s, one.row["seen_at"]
        return interval is not None and (seen is None or now - seen >= timedelta(seconds=interval))

    async def refresh(self, session: aiohttp.ClientSession, one: Standing) -> Outcome:
        """Ask a source now, and tell what came of it; a source that fails is left alone for a growing while."""
        began = asyncio.get_running_loop().time()
        pause, interval = self._pauses.setdefault(one.id, Pause()), one.facts.interval_s or 3_600
        if isinstance(one.facts.connector, FromFile):
            self._files[one.id] = signature(self._sources.folder, one.facts.connector)
        try:
            fetched = await self._fetched(session, one)
            if fetched is None:
                # A file that nobody replaces is no sign of life, an answer is, and a file that is back.
                if not isinstance(one.facts.connector, FromFile) or one.row["down_since"] is not None:
                    await self._tell(RecordUnchanged(at=self._backend.now(), by=BY, dataset=one.id))
            else:
                connector = one.facts.connector
                layout = connector if isinstance(connector, Layout) else _TABLE
                await self.take(one, fetched, layout, BY, began)
            pause.answered()
            return "unchanged" if fetched is None else "refreshed"
        except ConflictError as error:  # another upload came first, or it was retired: no failure of the source
            logger.info("dataset %s: %s", one.id, error)
            self._not_before[one.id] = self._backend.now() + timedelta(seconds=pause.failed(interval))
            self._files.pop(one.id, None)
            return "failed"
        except Exception as error:  # whatever one source provokes, the other datasets are refreshed
            asked_s = error.retry_after_s if isinstance(error, UnavailableError | TooManyRequestsError) else 0
            wait = timedelta(seconds=pause.failed(interval, asked_s))
            self._not_before[one.id] = self._backend.now() + wait
            reason = self._reason(error, one.facts)
            logger.warning("dataset %s: %s; asking again in %s", one.id, reason, wait)
            await self._tell(RecordFailure(at=self._backend.now(), by=BY, dataset=one.id, reason=reason))
            return "failed"

    async def take(
        self, one: Standing, fetched: Fetched, layout: Layout, by: str, began: float, *, uploaded: bool = False
    ) -> tuple[Refresh, Answer]:
        """Read what came, store rows and findings, and tell the catalogue. Safe to repeat.

        `uploaded` by somebody: what the source last said of itself stays known, so that it is asked as before. Raises
        `InvalidError` for what cannot be read, `ConflictError` where other rows came first, and what the objects' store
        and the log raise.
        """
        found = await taken(await self._job(one, fetched, layout, uploaded=uploaded))
        if one.newest is not None and one.newest.rows and not (found.refresh.rows or one.facts.may_be_empty):
            raise InvalidError("no rows came: those of before stay (`may_be_empty` says that a source may mean it)")
        took_s = max(0.0, asyncio.get_running_loop().time() - began)
        known: dict[str, object] = {"uploaded": uploaded, "took_s": round(took_s, 3), "token": secrets.token_hex(8)}
        if one.facts.mode == "upsert" and one.newest is not None:
            known["based_on"] = one.newest.version
        if not found.refresh.header and one.newest is not None:
            # Nothing came, which says nothing of columns.
            known |= {"header": one.newest.header, "schema_digest": one.newest.schema_digest}
        return await self._recorded(one, found, found.refresh.model_copy(update=known), by)

    async def _job(self, one: Standing, fetched: Fetched, layout: Layout, *, uploaded: bool) -> Job:
        before: bytes | None = b""
        if one.facts.mode == "upsert" and one.newest is not None:
            before = await self._backend.get_object(object_of(one.id, one.newest))
        if before is None:
            raise UnavailableError("the rows that these would join are not in the store of objects: bring it back", 60)
        mark = f"{mark_of(one) if uploaded else fetched.mark} {declared_in(one.facts)}"
        now, area = self._backend.now(), await self._city()
        return Job(one.facts, layout, fetched.pages, fetched.source, mark, now, area, self._sources.bounds, before)

    async def _recorded(self, one: Standing, found: Taken, refresh: Refresh, by: str) -> tuple[Refresh, Answer]:
        newest = one.newest
        if newest is not None and (newest.version, newest.listing) == (refresh.version, refresh.listing):
            # The objects are there already.
            refresh, stored = refresh.model_copy(update={"token": newest.token}), list[str]()
        else:
            named = [(object_of(one.id, refresh), found.rows), (listing_of(one.id, refresh), found.listing)]
            stored = [name for name, _ in named if name is not None]
            for name, data in named:
                if name is not None:
                    await self._backend.put_object(name, data)
        try:
            command = RecordRefresh(at=self._backend.now(), by=by, dataset=one.id, refresh=refresh)
            return refresh, await self._backend.submit([command], None, None)
        except ConflictError:
            for name in stored:
                await self._backend.delete_object(name)
            raise

    async def thin(self, known: Mapping[str, Standing]) -> None:
        """Forget versions that few will ask for (`ThinVersions`), in the log first and then their objects."""
        at, days = self._backend.now(), max(1, self._sources.keep.days)
        commands = [ThinVersions(at=at, by=BY, dataset=one.id, days=days) for one in known.values() if one.versions[1:]]
        answer = await self._backend.submit(commands, None, None) if commands else None
        for name in (name for event in (answer.events if answer else ()) for name in event.get("objects", ())):
            await self._backend.delete_object(name)

    async def _fetched(self, session: aiohttp.ClientSession, one: Standing) -> Fetched | None:
        connector, mark = one.facts.connector, mark_of(one)
        match connector:
            case FromFile():
                return await fetching.read(self._sources.folder, connector, mark, self._sources.most)
            case FromHttp():
                key = None
                if connector.key_env is not None and (key := self._sources.key_of(connector.key_env)) is None:
                    raise UnavailableError(f"the key of this source is missing: set {connector.key_env}", 300)
                return await fetching.from_http(session, connector, key, mark, more_of(connector), self._sources.most)
            case FromDatabase():
                if (uri := self._sources.key_of(connector.uri_env)) is None:
                    raise UnavailableError(f"the address of this database is missing: set {connector.uri_env}", 300)
                return await asyncio.to_thread(queried, connector, uri, mark, self._sources.most)
            case _:
                return None

    def _reason(self, error: Exception, facts: Dataset) -> str:
        """What to tell of a failure: without the key, which a provider may repeat."""
        if not isinstance(error, BomnaeError):
            # Where, and not what it says: its words may hold the key.
            logger.error("%s at\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
            return f"this could not be taken in ({type(error).__name__})"
        key_env = facts.connector.key_env if isinstance(facts.connector, FromHttp) else None
        return without(str(error), self._sources.key_of(key_env) if key_env else None)[:500]

    async def _city(self) -> bytes:
        areas = self.standings().get(self._sources.areas or "")
        if areas is None or areas.newest is None or not isinstance(areas.facts.geometry, Shapes):
            return b""
        version = areas.newest.version
        if self._area[0] != version:
            data = await self._backend.get_object(object_of(areas.id, areas.newest))
            self._area = version, await asyncio.to_thread(_union, data) if data is not None else b""
        return self._area[1]

    async def _tell(self, command: Command) -> None:
        await self._backend.submit([command], None, None)


def mark_of(one: Standing) -> str:
    """What the source last said of itself; nothing where it was read by another declaration."""
    declared, mark = declared_in(one.facts), one.newest.mark if one.newest is not None else ""
    return mark.removesuffix(f" {declared}").removesuffix(declared) if mark.endswith(declared) else ""


def standings_of(view: View) -> dict[str, Standing]:
    """All datasets of a view of the catalogue."""
    return standings(frame_of(view.tables["datasets"]), frame_of(view.tables["versions"]))


def _union(rows: bytes) -> bytes:
    shapes = pl.read_parquet(io.BytesIO(rows), columns=["_wkt"])["_wkt"].drop_nulls().to_list()
    data: bytes = shapely.to_wkb(shapely.union_all(shapely.make_valid(shapely.from_wkt(shapes))))
    return data
