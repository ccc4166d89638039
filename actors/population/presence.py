"""Which blocks of counts must be there. Pure."""

from actors.erasable import Erasable, Held
from actors.population.blocks import name_of
from actors.population.state import Source, State
from schemas.base import Event

_BACKUP = "bring it back from a backup"
_EARLIER = f"{_BACKUP}; until then only questions of the time before it was replaced (as_of) are refused"


def expected(state: State) -> dict[str, Held]:
    """The blocks of all days, also of those that were replaced: the past is asked of them."""
    held: dict[str, Held] = {}
    for name, source in state.sources.items():
        for day in source.days.values():
            for block in day.earlier:
                held.setdefault(name_of(block), Held(name, block, _EARLIER))
    # Who holds a block as that of now has the better remedy.
    for name, source in state.sources.items():
        for date, day in source.days.items():
            held[name_of(day.facts.block)] = Held(name, day.facts.block, _remedy(source, f"{date}"))
    return held


def gone(event: Event) -> tuple[str, ...]:
    """Nothing ever leaves."""
    return ()


def _remedy(source: Source, day: str) -> str:
    if source.retired_at is not None:
        return _BACKUP
    return f"send the file of {day} again, which stores it again, or {_BACKUP}"


ERASABLE = Erasable("population", expected, gone, frozenset())
