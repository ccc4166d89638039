"""What readers see of a person shard, as Arrow tables built when a case changed, and its snapshot."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from actors.person.state import Case, Known, State, Watch
from actors.saved import rows
from schemas.base import from_micros, micros
from schemas.person import Candidate, CaseFacts
from schemas.tables import CANDIDATES, CASES, WATCHES

_FACTS = ("kind", "authority", "legal_ground", "reason", "officer")
_CASE = (
    "state",
    "opened_at",
    "opened_by",
    "authorised_at",
    "authorised_by",
    "sole",
    "ended_at",
    "outcome",
    "erased_at",
)
_KNOWN = ("state", "found_by", "found_at", "decided_at", "decided_by", "reason")
_WATCH = ("query", "models", "min_probability", "cameras", "started_at", "started_by", "ended_at", "reason")
_TEXTS = pa.list_(pa.string())
_SAVED_CASES = pa.schema([*CASES, *(pa.field(name, _TEXTS) for name in ("objects", "search_ids", "queries"))])
_SAVED_WATCHES = pa.schema([*WATCHES, pa.field("matched", _TEXTS)])
"""Snapshots hold what the published tables hold, and what deciders need beyond it. `objects` follow from the rest, and
are still written: what is stored keeps its shape."""


def tables(state: State) -> dict[str, pa.Table]:
    """The published tables, rows in the order of the cases; what no event touched is not built again."""
    return {
        "cases": _kept(state, "cases", _cases, CASES),
        "candidates": _kept(state, "candidates", _candidates, CANDIDATES),
        "watches": _kept(state, "watches", _watches, WATCHES),
    }


def dump(state: State) -> dict[str, pa.Table]:
    """The whole state, for a snapshot."""
    return {
        **tables(state),
        "cases": pa.Table.from_pylist(list(_saved_cases(state)), _SAVED_CASES),
        "watches": pa.Table.from_pylist(list(_watches(state)), _SAVED_WATCHES),
    }


def load(saved: dict[str, pa.Table]) -> State:
    """Inverse of `dump`: the same digest, the same tables."""
    state = State()
    for row in rows(saved["cases"]):
        facts = CaseFacts(expires_at=from_micros(row["expires_at"]), **{name: row[name] for name in _FACTS})
        case = Case(facts, **{name: row[name] for name in _CASE})
        case.searches = dict(zip(row["search_ids"], row["queries"], strict=True))
        state.cases[row["case"]] = case
        if case.state in {"opened", "authorised"}:
            state.open.add(row["case"])
        state.touch("case", row["case"], row["case"])
    for row in rows(saved["candidates"]):
        found = {name: row[name] for name in ("sighting", "camera", "model", "score", "probability")}
        candidate = Candidate(time=from_micros(row["time"]), **found)
        known = Known(candidate, **{name: row[name] for name in _KNOWN})
        state.cases[row["case"]].candidates[row["candidate"]] = known
        state.touch("candidate", row["case"], row["candidate"])
    for row in rows(saved["watches"]):
        watch = Watch(**{name: row[name] for name in _WATCH})
        watch.models, watch.cameras = tuple(row["models"]), tuple(row["cameras"])
        watch.hits = dict.fromkeys(row["matched"])
        state.cases[row["case"]].watches[row["watch"]] = watch
        state.touch("watch", row["case"], row["watch"])
    return state


def _kept(state: State, name: str, made: Callable[[State], Iterator[dict[str, Any]]], schema: pa.Schema) -> pa.Table:
    if name not in state.tables:
        state.tables[name] = pa.Table.from_pylist(list(made(state)), schema)
    return state.tables[name]


def _cases(state: State) -> Iterator[dict[str, Any]]:
    for case_id, case in state.cases.items():
        yield {
            "case": case_id,
            **{name: getattr(case, name) for name in _CASE},
            **{name: getattr(case.facts, name) for name in _FACTS},
            "expires_at": micros(case.facts.expires_at),
            "searches": len(case.searches),
        }


def _saved_cases(state: State) -> Iterator[dict[str, Any]]:
    for row, case in zip(_cases(state), state.cases.values(), strict=True):
        searches = {"search_ids": list(case.searches), "queries": list(case.searches.values())}
        yield {**row, "objects": case.objects, **searches}


def _candidates(state: State) -> Iterator[dict[str, Any]]:
    for case_id, case in state.cases.items():
        for candidate_id, known in case.candidates.items():
            candidate = known.candidate
            yield {
                "case": case_id,
                "candidate": candidate_id,
                "sighting": candidate.sighting,
                "camera": candidate.camera,
                "time": micros(candidate.time),
                "model": candidate.model,
                "score": candidate.score,
                "probability": candidate.probability,
                **{name: getattr(known, name) for name in _KNOWN},
            }


def _watches(state: State) -> Iterator[dict[str, Any]]:
    for case_id, case in state.cases.items():
        for watch_id, watch in case.watches.items():
            yield {
                "case": case_id,
                "watch": watch_id,
                **{name: getattr(watch, name) for name in _WATCH},
                "hits": len(watch.hits),
                "matched": list(watch.hits),
            }
