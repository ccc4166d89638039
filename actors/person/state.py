"""The state of one person shard: cases with their searches, candidates and watches. Times are µs UTC."""

from dataclasses import dataclass, field
from typing import Literal

import orjson
import pyarrow as pa

from actors.digest import AdditiveDigest, Key
from schemas.person import Candidate, CaseFacts, CaseState, Outcome

CandidateState = Literal["found", "confirmed", "dismissed"]


@dataclass(slots=True)
class Known:
    """A sighting that a search or a watch of the case found, and what a human said of it."""

    candidate: Candidate
    found_by: str
    found_at: int
    state: CandidateState = "found"
    decided_at: int | None = None
    decided_by: str | None = None
    reason: str | None = None


@dataclass(slots=True)
class Watch:
    """A standing query; `hits` are the candidates that it matched, each once."""

    query: str
    models: tuple[str, ...]
    min_probability: float
    cameras: tuple[str, ...]
    started_at: int
    started_by: str
    ended_at: int | None = None
    reason: str | None = None
    hits: dict[str, None] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether it still matches."""
        return self.ended_at is None


@dataclass(slots=True)
class Case:
    """One case; `searches` has the reference of each search's query by the search's id."""

    facts: CaseFacts
    opened_at: int
    opened_by: str
    state: CaseState = "opened"
    authorised_at: int | None = None
    authorised_by: str | None = None
    sole: bool = False
    ended_at: int | None = None
    outcome: Outcome | None = None
    erased_at: int | None = None
    searches: dict[str, str] = field(default_factory=dict)
    candidates: dict[str, Known] = field(default_factory=dict)
    watches: dict[str, Watch] = field(default_factory=dict)

    @property
    def active(self) -> list[str]:
        """The watches that still match, in the order of their start."""
        return [watch_id for watch_id, watch in self.watches.items() if watch.active]

    @property
    def objects(self) -> list[str]:
        """The erasable objects that events of the case name, sorted."""
        return sorted({*self.searches.values(), *(watch.query for watch in self.watches.values())})


@dataclass(slots=True)
class State:
    """A shard. `open` are the cases that time still ends: opened or authorised."""

    cases: dict[str, Case] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    digest: AdditiveDigest = field(default_factory=AdditiveDigest)
    tables: dict[str, pa.Table] = field(default_factory=dict)

    def touch(self, kind: str, case: str, entity: str) -> None:
        """Note that a `case`, `candidate` or `watch` changed: its hash and its table no longer hold."""
        self.digest.touch((kind, case, entity))
        self.tables.pop(_TABLE[kind], None)

    def canonical(self, key: Key) -> bytes:
        """Everything that an entity's digest covers, as canonical JSON."""
        kind, case_id, entity = key
        case = self.cases[case_id]
        match kind:
            case "case":
                fields: list[object] = [case.facts.model_dump_json(), case.opened_at, case.opened_by, case.state]
                fields += [case.authorised_at, case.authorised_by, case.sole, case.ended_at, case.outcome]
                fields += [case.erased_at, list(case.searches.items())]
            case "candidate":
                known = case.candidates[entity]
                fields = [known.candidate.model_dump_json(), known.found_by, known.found_at, known.state]
                fields += [known.decided_at, known.decided_by, known.reason]
            case _:
                watch = case.watches[entity]
                fields = [watch.query, watch.models, watch.min_probability, watch.cameras, watch.started_at]
                fields += [watch.started_by, watch.ended_at, watch.reason, list(watch.hits)]
        return orjson.dumps([*key, fields])


_TABLE = {"case": "cases", "candidate": "candidates", "watch": "watches"}
