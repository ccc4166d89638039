"""The catalogue's decider: what a command leads to, and what time alone does."""

from datetime import date, datetime, time
from typing import assert_never
from zoneinfo import ZoneInfo

from actors.catalogue.state import Known, State, Version
from schemas.base import from_micros, micros
from schemas.catalogue import (
    CatalogueEvent,
    ColumnsChanged,
    DatasetClosed,
    DatasetConfirmed,
    DatasetLate,
    DatasetOpened,
    DatasetRefreshed,
    DatasetRegistered,
    DatasetRetired,
    Opened,
    ProviderFailed,
    ProviderRestored,
    RecordFailure,
    RecordRefresh,
    RecordUnchanged,
    RegisterDataset,
    RetireDataset,
    ThinVersions,
    VersionsDropped,
)
from schemas.dataset import Dataset
from schemas.errors import ConflictError, InvalidError, NotFoundError

AnyCatalogueCommand = RegisterDataset | RecordRefresh | RecordUnchanged | RecordFailure | ThinVersions | RetireDataset
SEOUL = ZoneInfo("Asia/Seoul")
LEAST_GRACE_S = 60
_SECOND = 1_000_000
_MINUTE, _HOUR, _DAY, _WEEK = (60 * _SECOND * one for one in (1, 60, 1_440, 10_080))
_AHEAD = 9 * _HOUR
"""Of Asia/Seoul, whose days are meant."""


def decide(state: State, command: AnyCatalogueCommand) -> list[CatalogueEvent]:
    """The events that a command leads to; `[]` when it is already so. Changes nothing.

    Raises `NotFoundError`, `ConflictError` or `InvalidError` for a request that is impossible now.
    """
    if isinstance(command, RegisterDataset):
        return _register(state, command)
    known = _known(state, command.dataset)
    at, dataset = command.at, command.dataset
    match command:
        case RecordRefresh():
            return _refreshed(known, command)
        case RecordUnchanged():
            _kept_up(known, dataset)
            if known.newest is None:
                raise ConflictError(f"dataset {dataset!r} has no rows that could be unchanged: refresh it")
            return [*_restored(known, at, dataset), DatasetConfirmed(at=at, dataset=dataset)]
        case RecordFailure(reason=reason):
            same = known.down_since is not None and known.down_why == reason
            return (
                [] if same or known.retired_at is not None else [ProviderFailed(at=at, dataset=dataset, reason=reason)]
            )
        case ThinVersions():
            return _thinned(known, command)
        case RetireDataset():
            return _retired(known, command)
        case _:
            assert_never(command)


def due_at(known: Known) -> int | None:
    """When the next refresh is overdue: its interval and half of it (a minute at least) after the last answer.

    Where its source never answered, after it was last registered. None for what nobody expects: without an interval,
    neither connected nor ever refreshed, read from the city itself, or retired.
    """
    facts, connector = known.facts, known.facts.connector
    if facts.interval_s is None or known.retired_at is not None or (connector is not None and connector.by == "city"):
        return None
    last = known.seen_at
    if last is None:
        if connector is None:
            return None
        last = known.modified_at
    return last + (facts.interval_s + max(facts.interval_s // 2, LEAST_GRACE_S)) * _SECOND


def timed(known: Known, dataset: str, clock: int) -> list[CatalogueEvent]:
    """What time alone has done to a dataset by `clock`: opened it, or made it late."""
    at = from_micros(clock)
    events: list[CatalogueEvent] = [
        DatasetOpened(at=at, dataset=dataset, audience=audience, day=day)
        for audience, day in _days(known.facts)
        if day is not None and audience not in known.opened and _begins(day) <= clock
    ]
    due = due_at(known)
    if due is not None and due <= clock and known.late_since is None:
        events.append(DatasetLate(at=at, dataset=dataset, due=from_micros(due)))
    return events


def open_to(facts: Dataset, at: datetime) -> tuple[Opened, ...]:
    """Who may read the rows at a moment, beside operators."""
    clock = micros(at)
    return tuple(audience for audience, day in _days(facts) if day is not None and _begins(day) <= clock)


def _days(facts: Dataset) -> tuple[tuple[Opened, date | None], ...]:
    return ("staff", facts.staff_from), ("citizen", facts.citizens_from)


def _begins(day: date) -> int:
    return micros(datetime.combine(day, time(), SEOUL))


def _register(state: State, command: RegisterDataset) -> list[CatalogueEvent]:
    known = state.datasets.get(command.dataset)
    if known is not None and (known.facts == command.facts or (command.seed and _said_otherwise(known))):
        return []
    if known is not None and known.retired_at is not None:
        raise ConflictError(f"dataset {command.dataset!r} is retired: register another")
    at, dataset, by = command.at, command.dataset, command.by
    registered = DatasetRegistered(at=at, dataset=dataset, facts=command.facts, by=by, seed=command.seed)
    still = open_to(command.facts, command.at)
    closed = [one for one in (known.opened if known is not None else ()) if one not in still]
    return [registered, *(DatasetClosed(at=command.at, dataset=command.dataset, audience=one) for one in closed)]


def _said_otherwise(known: Known) -> bool:
    return known.retired_at is not None or not known.seeded


def _refreshed(known: Known, command: RecordRefresh) -> list[CatalogueEvent]:
    at, dataset, refresh, before = command.at, command.dataset, command.refresh, known.newest
    _kept_up(known, dataset)
    events = [] if refresh.uploaded else _restored(known, at, dataset)
    told = {"took_s": refresh.took_s, "based_on": refresh.based_on}
    if before is not None and before.model_copy(update=told) == refresh:
        return [*events, DatasetConfirmed(at=at, dataset=dataset)]
    if known.facts.mode == "upsert" and refresh.based_on != (before.version if before is not None else None):
        raise ConflictError(f"dataset {dataset!r} has other rows by now than these were joined to: join them again")
    if refresh.received < refresh.dropped:
        raise InvalidError("a refresh cannot drop more rows than it received")
    if before is not None and before.schema_digest != refresh.schema_digest:
        gone = tuple(one for one in before.header if one not in refresh.header)
        new = tuple(one for one in refresh.header if one not in before.header)
        # Files of several formats tell kinds in several ways, so those of uploads say nothing.
        if gone or new or not (before.uploaded or refresh.uploaded):
            events.append(ColumnsChanged(at=at, dataset=dataset, gone=gone, new=new))
    return [*events, DatasetRefreshed(at=at, dataset=dataset, refresh=refresh)]


def _restored(known: Known, at: datetime, dataset: str) -> list[CatalogueEvent]:
    if known.down_since is None:
        return []
    return [ProviderRestored(at=at, dataset=dataset, down_s=max(0, micros(at) - known.down_since) / _SECOND)]


def superfluous(known: Known, clock: int, days: int) -> list[Version]:
    """The versions that `ThinVersions` forgets at a moment; the newest is never one of them."""
    return [
        one
        for one in known.versions[:-1]
        if one.until is not None
        and (
            (age_us := clock - one.until) > days * _DAY
            or (age_us > _HOUR and _within(_width(age_us), one.since, one.until))
        )
    ]


def _width(age_us: int) -> int:
    """Of the stretches of time of which the last version is kept at this age."""
    return _MINUTE if age_us <= _DAY else _HOUR if age_us <= _WEEK else _DAY


def _within(width_us: int, began: int, ended: int) -> bool:
    """Whether it began and ended in the same stretch of time, so that it was the newest at the end of none."""
    return (began + _AHEAD) // width_us == (ended + _AHEAD) // width_us


def _thinned(known: Known, command: ThinVersions) -> list[CatalogueEvent]:
    gone = {one.since for one in superfluous(known, micros(command.at), command.days)}
    if not gone:
        return []
    left = Known(known.facts, known.registered_at, known.modified_at)
    left.versions = [one for one in known.versions if one.since not in gone]
    objects = known.objects(command.dataset).keys() - left.objects(command.dataset).keys()
    since = tuple(map(from_micros, sorted(gone)))
    return [VersionsDropped(at=command.at, dataset=command.dataset, since=since, objects=tuple(sorted(objects)))]


def _retired(known: Known, command: RetireDataset) -> list[CatalogueEvent]:
    if known.retired_at is not None:
        return []
    if command.superseded_by is not None and command.superseded_by == command.dataset:
        raise InvalidError("a dataset is not superseded by itself")
    return [
        DatasetRetired(
            at=command.at,
            dataset=command.dataset,
            reason=command.reason,
            superseded_by=command.superseded_by,
            by=command.by,
        )
    ]


def _kept_up(known: Known, dataset: str) -> None:
    if known.retired_at is not None:
        raise ConflictError(f"dataset {dataset!r} is retired and takes no rows")


def _known(state: State, dataset: str) -> Known:
    if (known := state.datasets.get(dataset)) is None:
        raise NotFoundError("dataset", dataset)
    return known
