"""The decider of sources: what a command leads to."""

from typing import assert_never

from actors.population.state import Source, State
from schemas.errors import ConflictError, InvalidError, NotFoundError
from schemas.population import (
    DayRecorded,
    PopulationEvent,
    RecordDay,
    RegisterSource,
    RetireSource,
    SourceRegistered,
    SourceRetired,
)

AnyPopulationCommand = RegisterSource | RecordDay | RetireSource


def decide(state: State, command: AnyPopulationCommand) -> list[PopulationEvent]:
    """The events that a command leads to; `[]` when it is already so. Changes nothing.

    Raises `NotFoundError`, `ConflictError` or `InvalidError` for a request that is impossible now.
    """
    match command:
        case RegisterSource():
            return _register(state, command)
        case RecordDay():
            return _record(state, command)
        case RetireSource():
            if _source(state, command.source).retired_at is not None:
                return []
            return [SourceRetired(at=command.at, by=command.by, source=command.source, reason=command.reason)]
        case _:
            assert_never(command)


def _register(state: State, command: RegisterSource) -> list[PopulationEvent]:
    if (known := state.sources.get(command.source)) is not None:
        if known.facts == command.facts:
            return []
        _in_use(known, command.source)
        if known.days and known.facts.measure != command.facts.measure:
            raise ConflictError(
                f"source {command.source!r} counts {known.facts.measure}, and its days do: register another source for "
                f"{command.facts.measure}"
            )
    return [SourceRegistered(at=command.at, by=command.by, source=command.source, facts=command.facts)]


def _record(state: State, command: RecordDay) -> list[PopulationEvent]:
    source, facts = _source(state, command.source), command.facts
    known = source.days.get(facts.day)
    if known is not None and known.facts == facts:
        return []
    _in_use(source, command.source)
    if not command.begun:
        raise InvalidError(f"{facts.day} has not begun in Seoul: a day is told when it has been counted")
    missing = set(source.facts.hours) - set(facts.hours)
    if facts.whole and missing:
        raise InvalidError(
            f"{facts.day} is told as whole, but lacks the hours {sorted(missing)} of source {command.source!r}: "
            "tell it with `whole` false"
        )
    replaces = known.facts.block if known is not None else None
    return [DayRecorded(at=command.at, by=command.by, source=command.source, facts=facts, replaces=replaces)]


def _source(state: State, source: str) -> Source:
    if (known := state.sources.get(source)) is None:
        raise NotFoundError("population source", source)
    return known


def _in_use(source: Source, name: str) -> None:
    if source.retired_at is not None:
        raise retired(name)


def retired(source: str) -> ConflictError:
    """What is answered to whoever brings more of a source that is retired."""
    return ConflictError(
        f"source {source!r} is retired: its counts can be read, but no new ones are taken, and its facts stay; "
        "register another source for what comes now"
    )
