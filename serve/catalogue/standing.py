"""How each dataset stands: what a view of the catalogue says, with the status that follows from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import polars as pl

from actors.catalogue.decider import open_to
from schemas.catalogue import Opened, Refresh
from schemas.dataset import Audience, Dataset
from schemas.errors import ForbiddenError, GoneError, NotFoundError
from serve.auth import Principal
from serve.catalogue.entry import Entry, Status


class Kept(NamedTuple):
    """A version that is kept: its rows were those of the dataset from `since` until `until` (None: still)."""

    since: datetime
    until: datetime | None
    refresh: Refresh


@dataclass(frozen=True, slots=True)
class Standing:
    """One dataset. `row` is its row of the published table (times UTC); `versions` are oldest first."""

    id: str
    facts: Dataset
    row: Mapping[str, Any]
    versions: tuple[Kept, ...]

    @property
    def newest(self) -> Refresh | None:
        """The refresh whose rows are those of now."""
        return self.versions[-1].refresh if self.versions else None

    @property
    def live(self) -> bool:
        """Whether the rows are those that the city itself keeps, as of the moment in which they are read."""
        return self.facts.connector is not None and self.facts.connector.by == "city"

    @property
    def status(self) -> Status:
        """In one word."""
        if self.row["retired_at"] is not None:
            return "retired"
        if self.live:
            return "fresh"
        if self.row["down_since"] is not None:
            return "down"
        if self.row["late_since"] is not None:
            return "late"
        if self.newest is not None:
            return "fresh"
        return "not-connected" if self.facts.connector is None else "waiting"

    @property
    def entry(self) -> Entry:
        """As catalogue and search show it."""
        newest = self.newest
        return Entry(
            id=self.id,
            facts=self.facts,
            status=self.status,
            registered_at=self.row["registered_at"],
            modified_at=self.row["modified_at"],
            refreshed_at=self.row["modified_at"] if self.live else self.versions[-1].since if self.versions else None,
            data_time=newest.data_time if newest is not None else None,
            rows=newest.rows if newest is not None else None,
            completeness=newest.completeness if newest is not None else None,
            columns_changed_at=self.row["columns_changed_at"],
            retired_at=self.row["retired_at"],
            retired_reason=self.row["retired_why"],
            superseded_by=self.row["superseded_by"],
        )

    def at(self, moment: datetime) -> Refresh:
        """The refresh whose rows were those of a moment. Raises `GoneError` where none is kept from then."""
        for one in reversed(self.versions):
            if one.since <= moment and (one.until is None or moment < one.until):
                return one.refresh
        raise GoneError(f"no version of dataset {self.id!r} is kept from {moment.isoformat()}")


def standings(datasets: pl.DataFrame, versions: pl.DataFrame) -> dict[str, Standing]:
    """All datasets by id, in the order of their ids."""
    of: dict[str, list[Kept]] = {}
    for name, since, until, refresh in versions.select("dataset", "since", "until", "refresh").iter_rows():
        ended = None if until is None else _utc(until)
        of.setdefault(name, []).append(Kept(_utc(since), ended, _refresh(refresh)))
    found = {}
    for row in datasets.sort("dataset").iter_rows(named=True):
        name = row["dataset"]
        timed = {key: _utc(value) if isinstance(value, datetime) else value for key, value in row.items()}
        found[name] = Standing(name, _facts(row["facts"]), timed, tuple(of.get(name, ())))
    return found


def standing_of(found: Mapping[str, Standing], dataset: str) -> Standing:
    """One of them. Raises `NotFoundError`."""
    if (one := found.get(dataset)) is None:
        raise NotFoundError("dataset", dataset)
    return one


def audience_of(principal: Principal) -> Audience:
    """As whom somebody reads datasets."""
    if "operator" in principal.roles:
        return "operator"
    return "staff" if principal.staff else "citizen"


def readable(facts: Dataset, audience: Audience, now: datetime) -> bool:
    """Whether this audience may read the rows now: what citizens may read, staff may."""
    opened: tuple[Opened, ...] = open_to(facts, now)
    return audience == "operator" or "citizen" in opened or (audience == "staff" and "staff" in opened)


def ensure_readable(one: Standing, audience: Audience, now: datetime) -> None:
    """Raises `ForbiddenError`, which says from when on, where this audience may not read the rows now."""
    if readable(one.facts, audience, now):
        return
    who, day = ("staff", one.facts.staff_from) if audience == "staff" else ("citizens", one.facts.citizens_from)
    opens = "" if day is None else f": it opens to them on {day} (Asia/Seoul)"
    raise ForbiddenError(f"dataset {one.id!r} is not open to {who}{opens}")


@lru_cache(1_024)
def _facts(said: str) -> Dataset:
    return Dataset.model_validate_json(said)


@lru_cache(8_192)
def _refresh(said: str) -> Refresh:
    return Refresh.model_validate_json(said)


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC)
