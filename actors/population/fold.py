"""The fold of sources: what each event changes in the state of a shard. It never raises and never judges."""

from actors.population.state import Day, Source, State
from schemas.base import Event, micros
from schemas.population import DayRecorded, PopulationEvent, SourceRegistered, SourceRetired


def initial_state() -> State:
    """The state of a shard without sources."""
    return State()


def evolve(state: State, event: Event) -> None:
    """Apply one event in place. An event about a source that no event made known changes nothing."""
    if isinstance(event, SourceRegistered):
        state.sources.setdefault(event.source, Source(event.facts, micros(event.at))).facts = event.facts
        state.touch(event.source)
    elif isinstance(event, PopulationEvent) and (source := state.sources.get(event.source)) is not None:
        match event:
            case DayRecorded():
                day = event.facts.day
                known = source.days.get(day)
                earlier = (*known.earlier, known.facts.block) if known is not None else ()
                source.days[day] = Day(event.facts, micros(event.at), event.by, earlier)
                state.touch(event.source, day)
            case SourceRetired():
                source.retired_at = micros(event.at)
                source.retired_why = event.reason if state.version > 1 else None
                state.touch(event.source)
            case _:
                return
