"""What a request asks for, read from the texts of its query."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl
import shapely

from actors.population.grid import is_cell
from schemas.errors import InvalidError, NotFoundError
from schemas.population import MEANINGS, Measure, SourceFacts
from serve.areas import Areas
from serve.boxes import box_of
from serve.population.query import Asked, Retired
from serve.population.slots import Slot, each_hour, slots_of, weekdays_of
from serve.render import iso

MOST_CELLS = 1_000
HOURLY = "hourly"
"""All hours that the source counts in, each for itself."""


def source_of(sources: pl.DataFrame, measure: Measure, source: str | None) -> tuple[str, SourceFacts, Retired | None]:
    """The source that is asked, and whether it is retired: the one named, else the only one of the measure in use.

    Raises `NotFoundError` where there is none, `InvalidError` where several have the measure.
    """
    rows = (
        sources.filter(pl.col("measure") == measure) if source is None else sources.filter(pl.col("source") == source)
    )
    if source is None and rows.height > 1 and rows["retired_at"].has_nulls():
        rows = rows.filter(pl.col("retired_at").is_null())
    if rows.is_empty():
        if source is not None:
            raise NotFoundError("population source", source)
        raise NotFoundError("population source that counts", measure)
    if rows.height > 1:
        raise InvalidError(f"several sources count {measure}: name one with source={'|'.join(rows['source'].sort())}")
    row = rows.with_columns(iso(pl.col("retired_at"))).row(0, named=True)
    retired = None if row["retired_at"] is None else Retired(row["retired_at"], row["retired_why"])
    return row["source"], facts_of(row), retired


def facts_of(row: Mapping[str, Any]) -> SourceFacts:
    """The facts in a row of the table `sources`."""
    return SourceFacts(**{name: row[name] for name in SourceFacts.model_fields})


def asked_of(
    facts: SourceFacts,
    measure: Measure,
    *,
    hours: str = "day",
    weekday: str | None = None,
    days: str | None = None,
    within: Areas | None = None,
    bbox: str | None = None,
    cells: str | None = None,
    partial: bool = False,
) -> Asked:
    """A question, its parts read. `within` are the areas asked for. Raises `InvalidError` with what cannot be read."""
    if within is not None and bbox is not None:
        raise InvalidError("name an area or a bbox, not both")
    area = within.city if within is not None else None if bbox is None else shapely.box(*box_of(bbox))
    return Asked(
        measure=measure,
        slots=_slots(hours, facts),
        days=None if days is None else days_of(days),
        weekdays=None if weekday is None else weekdays_of(weekday),
        area=area,
        cells=None if cells is None else _cells(cells),
        partial=partial,
    )


def _slots(hours: str, facts: SourceFacts) -> tuple[Slot, ...]:
    if hours == HOURLY and MEANINGS[facts.measure].hourly:
        return each_hour(facts.hours)
    return slots_of(hours)


def days_of(text: str) -> tuple[date, date]:
    """First and last day: `2025-06-26/2025-06-27`, or one day. Raises `InvalidError` for anything else."""
    first, _, last = text.partition("/")
    try:
        days = date.fromisoformat(first), date.fromisoformat(last or first)
    except ValueError:
        raise InvalidError(f"{text!r} names no days: write them as 2025-06-26 or 2025-06-26/2025-06-27") from None
    if days[0] > days[1]:
        raise InvalidError(f"{text!r} ends before it begins: swap the days")
    return days


def _cells(text: str) -> frozenset[str]:
    cells = pl.Series("cell", [one.strip() for one in text.split(",")])
    if len(cells) > MOST_CELLS:
        raise InvalidError(f"at most {MOST_CELLS:,} cells are named at once, not {len(cells):,}: ask with bbox or area")
    bad = cells.to_frame().filter(~is_cell(pl.col("cell")))
    if bad.height:
        raise InvalidError(f"{bad.item(0, 0)!r} is no cell of the 500 m grid: an id looks like 라사00b69a")
    return frozenset(cells)
