"""given(...).when(...).then(...) over the population context, commands and counts to speak with. All is synthetic."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from actors.population.context import PopulationContext
from actors.population.state import State
from schemas.base import Command, Event
from schemas.population import DayFacts, RecordDay, RegisterSource, RetireSource, SourceFacts

CONTEXT = PopulationContext()
NOON = datetime(2026, 1, 15, 3, tzinfo=UTC)
MONDAY = date(2026, 1, 5)
A, B, FILE = "a" * 64, "b" * 64, "f" * 64
CELLS = ("라사19b86b", "라사19b86a", "라사20a86a")


def facts(**more: Any) -> SourceFacts:
    known = {
        "title_ko": "시내버스 승하차",
        "title_en": "city buses",
        "provider": "춘천시",
        "measure": "boardings",
        "hours": (7, 8, 9),
        "licence": "synthetic",
        "synthetic": True,
        **more,
    }
    return SourceFacts(**known)


def register(minutes: float = 0, source: str = "fare-card", **more: Any) -> RegisterSource:
    return RegisterSource(at=NOON + timedelta(minutes=minutes), by="desk", source=source, facts=facts(**more))


def record(minutes: float = 1, day: date = MONDAY, source: str = "fare-card", **more: Any) -> RecordDay:
    known = {"block": A, "rows": 2, "total": 12.0, "hours": (7, 8, 9), "whole": True, "input": FILE, **more}
    at = NOON + timedelta(minutes=minutes)
    return RecordDay(at=at, by="desk", source=source, facts=DayFacts(day=day, **known))


def retire(minutes: float = 2, source: str = "fare-card") -> RetireSource:
    return RetireSource(
        at=NOON + timedelta(minutes=minutes), by="desk", source=source, reason="계약 종료 · contract ended"
    )


def counts(rows: Iterable[tuple[date, str, int, float]]) -> pl.DataFrame:
    schema = {"day": pl.Date, "cell": pl.String, "hour": pl.UInt8, "count": pl.Float64}
    return pl.DataFrame(list(rows), schema, orient="row")


def days(rows: Iterable[tuple[date, tuple[int, ...], bool]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), {"day": pl.Date, "hours": pl.List(pl.UInt8), "whole": pl.Boolean}, orient="row")


@dataclass
class Answered:
    events: list[Event]
    error: Exception | None

    def then(self, *names: str) -> list[Event]:
        assert self.error is None
        assert [event.name for event in self.events] == list(names)
        return self.events

    def then_nothing(self) -> None:
        self.then()

    def then_raises(self, error: type[Exception], match: str) -> None:
        assert isinstance(self.error, error)
        assert match in str(self.error)


@dataclass
class Given:
    state: State = field(default_factory=CONTEXT.initial_state)

    def and_(self, *commands: Command) -> "Given":
        for command in commands:
            for event in CONTEXT.decide(self.state, command):
                CONTEXT.evolve(self.state, event)
        return self

    def when(self, command: Command) -> Answered:
        """Decide and, where it is possible, evolve."""
        try:
            events = CONTEXT.decide(self.state, command)
        except Exception as error:
            return Answered([], error)
        for event in events:
            CONTEXT.evolve(self.state, event)
        return Answered(events, None)

    def table(self, name: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = CONTEXT.tables(self.state)[name].to_pylist()
        return rows


def given(*commands: Command) -> Given:
    return Given().and_(*commands)
