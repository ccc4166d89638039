"""Which rows and findings of datasets must be there. Pure."""

from actors.catalogue.state import Known, State, Version
from actors.erasable import Erasable, Held
from schemas.base import Event
from schemas.catalogue import VersionsDropped

_BACKUP = "bring it back from a backup"
_OLDER = f"{_BACKUP}; until then only questions of that time (as_of) are refused"


def expected(state: State) -> dict[str, Held]:
    """The objects of every version that is kept."""
    return {
        name: Held(dataset, digest, _remedy(known, one))
        for dataset, known in state.datasets.items()
        for one in known.versions
        for name, digest in one.objects(dataset)
    }


def gone(event: Event) -> tuple[str, ...]:
    """The names that nothing names any more after an event."""
    return event.objects if isinstance(event, VersionsDropped) else ()


def _remedy(known: Known, one: Version) -> str:
    if one is not known.versions[-1]:
        return _OLDER
    if known.retired_at is not None or known.facts.mode == "upsert":
        return _BACKUP
    return f"ask its source again (POST /v1/datasets/…/refresh), upload the rows again, or {_BACKUP}"


ERASABLE = Erasable("datasets", expected, gone, frozenset({VersionsDropped.type}), once=True)
