"""Refreshes a dataset: asks its source, has what came read, stores it, and tells the catalogue."""

import asyncio
import hashlib
import io
import logging
import secrets
import traceback
from collections.abc import Awaitable, Callable
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
from schemas.catalogue import RecordFailure, RecordRefresh, RecordUnchanged, Refresh
from schemas.dataset import Dataset, FromDatabase, FromFile, FromHttp, FromNats, Layout, Shapes
from schemas.errors import BomnaeError, ConflictError, InvalidError, TooManyRequestsError, UnavailableError
from schemas.packs.load import head_of
from schemas.settings import Settings, secret
from serve.backend import Answer, Backend, View
from serve.catalogue.asking import declared_in, more_of, signature, without
from serve.catalogue.child import taken
from serve.catalogue.collecting import Collector
from serve.catalogue.querying import queried
from serve.catalogue.standing import Standing, standings
from serve.catalogue.taking import Job, Taken
from serve.render import frame_of
from streams.connectors import fetching
from streams.connectors.fetching import Fetched, Pause

logger = logging.getLogger(__name__)

BY = "datasets"
"""Who tells what connectors brought."""
Outcome = Literal["refreshed", "unchanged", "failed"]
READERS = 2
"""Processes that read what came, at a time: each may take memory."""
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
        self._reading = asyncio.Semaphore(READERS)

    def standings(self) -> dict[str, Standing]:
        """All datasets as they stand now. Raises `UnavailableError` while the catalogue is being loaded."""
        return standings_of(self._backend.view("catalogue"))

    def rests(self, one: Standing) -> bool:
        """Whether its source failed and is left alone now."""
        now = self._backend.now()
        return now < self._not_before.get(one.id, now)

    def changed(self, one: Standing) -> bool:
        """Whether it is a file that has changed since it was asked for here."""
        connector = one.facts.connector
        return isinstance(connector, FromFile) and self._files.get(one.id) != signature(self._sources.folder, connector)

    async def refresh(self, session: aiohttp.ClientSession, one: Standing, *, repair: bool = False) -> Outcome:
        """Ask a source now, and tell what came of it; a source that fails is left alone for a growing while.

        With `repair` rows that are lost or damaged in the store of objects are asked for although nothing is new.
        """
        if isinstance(one.facts.connector, FromFile):
            self._files[one.id] = signature(self._sources.folder, one.facts.connector)
        return await self._tried(one, self._asked(session, one, repair=repair))

    async def collect(self, collector: Collector, one: Standing) -> Outcome:
        """Take in what came of a dataset by NATS, and tell what was refused."""
        return await self._tried(one, self._collected(collector, one))

    async def _asked(self, session: aiohttp.ClientSession, one: Standing, *, repair: bool) -> Outcome:
        began, connector = asyncio.get_running_loop().time(), one.facts.connector
        lost = (
            repair
            and one.newest is not None
            and not await self._holds(object_of(one.id, one.newest), one.newest.version)
        )
        if (fetched := await self._fetched(session, one, "" if lost else mark_of(one))) is not None:
            layout = connector if isinstance(connector, Layout) else _TABLE
            await self.take(one, fetched, layout, BY, began)
            return "refreshed"
        # A file that nobody replaces is no sign of life, an answer is, and a file that is back.
        if not isinstance(connector, FromFile) or one.row["down_since"] is not None:
            await self._tell(RecordUnchanged(at=self._backend.now(), by=BY, dataset=one.id))
        return "unchanged"

    async def _collected(self, collector: Collector, one: Standing) -> Outcome:
        began = asyncio.get_running_loop().time()

        async def take(fetched: Fetched, layout: FromNats) -> None:
            await self.take(one, fetched, layout, BY, began)

        if (refused := await collector.collect(one, take)) is None:
            return "refreshed"
        await self._tell(RecordFailure(at=self._backend.now(), by=BY, dataset=one.id, reason=refused[:500]))
        return "failed"

    async def _tried(self, one: Standing, coming: Awaitable[Outcome]) -> Outcome:
        pause, interval = self._pauses.setdefault(one.id, Pause()), one.facts.interval_s or 3_600
        try:
            outcome = await coming
            pause.answered()
            return outcome
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
        job = await self._job(one, fetched, layout, uploaded=uploaded)
        async with self._reading:
            found = await taken(job)
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
        same = newest is not None and (newest.version, newest.listing) == (refresh.version, refresh.listing)
        if newest is not None and same:
            refresh = refresh.model_copy(update={"token": newest.token})
        named = {object_of(one.id, refresh): (refresh.version, found.rows)}
        if (listing := listing_of(one.id, refresh)) is not None and refresh.listing is not None:
            named[listing] = refresh.listing, found.listing
        for name, (digest, data) in named.items():
            if not (same and await self._holds(name, digest)):
                await self._backend.put_object(name, data)
        try:
            command = RecordRefresh(at=self._backend.now(), by=by, dataset=one.id, refresh=refresh)
            return refresh, await self._backend.submit([command], None, None)
        except ConflictError:
            for name in named if not same else ():
                await self._backend.delete_object(name)
            raise

    async def _holds(self, name: str, digest: str) -> bool:
        data = await self._backend.get_object(name)
        return data is not None and hashlib.sha256(data).hexdigest() == digest

    async def _fetched(self, session: aiohttp.ClientSession, one: Standing, mark: str) -> Fetched | None:
        match connector := one.facts.connector:
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
                return await queried(connector, uri, mark, self._sources.most)
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
