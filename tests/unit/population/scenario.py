"""given(...).when(...).then(...) over the population context, commands and counts to speak with. All is synthetic."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from actors.population.context import PopulationContext
from actors.population.state import State
from schemas.base import Command
from schemas.population import DayFacts, RecordDay, RegisterSource, RetireSource, SourceFacts
from tests.unit.scenario import Given

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


def given(*commands: Command) -> Given[State]:
    return Given(CONTEXT).and_(*commands)
