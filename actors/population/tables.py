"""What readers see of a population shard, as Arrow tables built when a source changed, and its snapshot."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from actors.population.state import Day, Source, State
from actors.saved import rows
from schemas.population import DayFacts, SourceFacts
from schemas.tables import DAYS, SOURCES

_SOURCE = tuple(SourceFacts.model_fields)
_DAY = tuple(DayFacts.model_fields)


def tables(state: State) -> dict[str, pa.Table]:
    """The published tables, rows in the order of registration and recording; what did not change is not built again."""
    return {"sources": _kept(state, "sources", _sources, SOURCES), "days": _kept(state, "days", _days, DAYS)}


def dump(state: State) -> dict[str, pa.Table]:
    """The whole state, for a snapshot: the published tables hold all of it."""
    return tables(state)


def load(saved: dict[str, pa.Table]) -> State:
    """Inverse of `dump`: the same digest, the same tables."""
    state = State()
    for row in rows(saved["sources"]):
        facts = SourceFacts(**{name: row[name] for name in _SOURCE})
        state.sources[row["source"]] = Source(facts, row["registered_at"], row["retired_at"], row.get("retired_why"))
        state.touch(row["source"])
    for row in rows(saved["days"]):
        facts_of_day = DayFacts(**{name: row[name] for name in _DAY})
        day = Day(facts_of_day, row["recorded_at"], row["recorded_by"], tuple(row["earlier"]))
        state.sources[row["source"]].days[row["day"]] = day
        state.touch(row["source"], row["day"])
    return state


def _kept(state: State, name: str, made: Callable[[State], Iterator[dict[str, Any]]], schema: pa.Schema) -> pa.Table:
    if name not in state.tables:
        state.tables[name] = pa.Table.from_pylist(list(made(state)), schema)
    return state.tables[name]


def _sources(state: State) -> Iterator[dict[str, Any]]:
    for source_id, source in state.sources.items():
        yield {
            "source": source_id,
            **{name: getattr(source.facts, name) for name in _SOURCE},
            "registered_at": source.registered_at,
            "retired_at": source.retired_at,
            "retired_why": source.retired_why,
            "days": len(source.days),
            "whole_days": sum(day.facts.whole for day in source.days.values()),
            "first_day": min(source.days, default=None),
            "last_day": max(source.days, default=None),
        }


def _days(state: State) -> Iterator[dict[str, Any]]:
    for source_id, source in state.sources.items():
        for day in source.days.values():
            yield {
                "source": source_id,
                **{name: getattr(day.facts, name) for name in _DAY},
                "recorded_at": day.recorded_at,
                "recorded_by": day.recorded_by,
                "earlier": day.earlier,
            }
