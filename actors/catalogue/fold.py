"""The fold of datasets: what each event changes in the state of a shard. It never raises and never judges."""

from typing import get_args

from actors.catalogue.decider import due_at
from actors.catalogue.state import Known, State, Version
from schemas.base import Event, micros
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
    VersionsDropped,
)

_AUDIENCES: tuple[Opened, ...] = get_args(Opened)


def initial_state() -> State:
    """The state of a shard without datasets."""
    return State()


def evolve(state: State, event: Event) -> None:  # noqa: C901, PLR0912 - a case per event
    """Apply one event in place. An event about a dataset that no event made known changes nothing."""
    if not isinstance(event, CatalogueEvent):
        return
    at = micros(event.at)
    if isinstance(event, DatasetRegistered) and event.dataset not in state.datasets:
        state.datasets[event.dataset] = Known(event.facts, at, at)
    if (known := state.datasets.get(event.dataset)) is None:
        return
    match event:
        case DatasetRegistered(facts=facts):
            known.facts, known.modified_at, known.seeded = facts, at, event.seed
            if due_at(known) != known.late_since:
                known.late_since = None  # expected at another moment, or not at all
        case DatasetRefreshed(refresh=refresh):
            # A moment names one version, and the newest begins last, also where clocks differ.
            since = max([at, *(one.since + 1 for one in known.versions[-1:])])
            for one in known.versions[-1:]:
                one.until = since
            known.versions.append(Version(refresh, since))
            known.seen_at, known.late_since, known.modified_at = at, None, at
        case DatasetConfirmed():
            known.seen_at, known.late_since = at, None
        case ColumnsChanged():
            known.columns_changed_at = at
        case ProviderFailed(reason=reason):
            known.down_since = at if known.down_since is None else known.down_since
            known.down_why = reason
        case ProviderRestored():
            known.down_since = known.down_why = None
        case DatasetLate(due=due):
            known.late_since = micros(due)
        case DatasetOpened(audience=audience):
            known.opened = tuple(one for one in _AUDIENCES if one in (*known.opened, audience))
        case DatasetClosed(audience=audience):
            known.opened = tuple(one for one in known.opened if one != audience)
        case VersionsDropped(since=since):
            gone = {micros(one) for one in since}
            known.versions = [one for one in known.versions if one.since not in gone]
        case DatasetRetired():
            known.retired_at, known.retired_why, known.superseded_by = at, event.reason, event.superseded_by
            known.late_since = None
        case _:
            return
    state.touch(event.dataset)
