"""given(...).when(...).then(...) over the person context, and commands to speak with. All of it is synthetic."""

from datetime import UTC, datetime, timedelta
from typing import Any

from actors.person.context import PersonContext
from actors.person.state import State
from schemas.base import Command, micros
from schemas.person import (
    AuthoriseCase,
    Candidate,
    CaseFacts,
    CloseCase,
    CompleteCaseErasure,
    ConfirmCandidate,
    Coverage,
    DismissCandidate,
    EndWatch,
    OpenCase,
    RecordHits,
    RecordSearch,
    RecordView,
    StartWatch,
)
from schemas.road import Window
from tests.unit import scenario

CONTEXT = PersonContext()
NOON = datetime(2026, 1, 15, 3, tzinfo=UTC)
COVERAGE = Coverage(
    shards=1,
    shards_answered=1,
    rows_permitted=1000,
    rows_scanned=1000,
    cameras=94,
    cameras_silent=(),
    hours_missing=0,
    exact=True,
    recall=None,
)
A, B = "a" * 64, "b" * 64


def at(minutes: float = 0, by: str = "officer-kim") -> dict[str, Any]:
    return {"at": NOON + timedelta(minutes=minutes), "by": by, "case": "case-1"}


def facts(hours: float = 24, **more: Any) -> CaseFacts:
    known = {
        "kind": "minor",
        "authority": "춘천서-2026-0117",
        "legal_ground": "실종아동등의 보호 및 지원에 관한 법률 제9조",
        "reason": "하교 후 미귀가 · did not come home from school",
        "officer": "officer-kim",
        **more,
    }
    return CaseFacts(expires_at=NOON + timedelta(hours=hours), **known)


def seen(sighting: str = "s-1", score: float = 0.8, minutes: float = -60, **more: Any) -> Candidate:
    known = {"camera": "cam-1", "model": "faces-128", "probability": 0.9, **more}
    return Candidate(sighting=sighting, score=score, time=NOON + timedelta(minutes=minutes), **known)


def opened(minutes: float = 0, by: str = "officer-kim", **more: Any) -> OpenCase:
    return OpenCase(**at(minutes, by), facts=facts(**more))


def authorise(minutes: float = 1, by: str = "inspector-lee", sole: bool = False) -> AuthoriseCase:
    return AuthoriseCase(**at(minutes, by), sole=sole)


def search(minutes: float = 2, search_id: str = "q-1", *found: Candidate, query: str = A) -> RecordSearch:
    window = Window(start=NOON - timedelta(hours=24), end=NOON)
    asked = {"window": window, "cameras": 94, "models": ("faces-128",), "coverage": COVERAGE}
    return RecordSearch(**at(minutes), search=search_id, query=query, candidates=found or (seen(),), **asked)


def view(
    what: str = "candidates", minutes: float = 3, candidate: str | None = None, by: str = "officer-kim"
) -> RecordView:
    return RecordView(**at(minutes, by), what=what, candidate=candidate)


def confirm(candidate: str = "cam-1.s-1", minutes: float = 4, reason: str = "걸음걸이 · the gait") -> ConfirmCandidate:
    return ConfirmCandidate(**at(minutes), candidate=candidate, reason=reason, each=True)


def dismiss(
    candidate: str = "cam-1.s-1", minutes: float = 4, reason: str = "다른 옷 · other clothes"
) -> DismissCandidate:
    return DismissCandidate(**at(minutes), candidate=candidate, reason=reason, each=True)


def watch(watch_id: str = "w-1", minutes: float = 5, query: str = B, **more: Any) -> StartWatch:
    known = {"models": ("faces-128",), "min_probability": 0.7, **more}
    return StartWatch(**at(minutes), watch=watch_id, query=query, **known)


def hits(*found: Candidate, watch_id: str = "w-1", minutes: float = 6) -> RecordHits:
    return RecordHits(**at(minutes, "search-1-0-0"), watch=watch_id, hits=found or (seen("s-2"),))


def end(watch_id: str = "w-1", minutes: float = 7) -> EndWatch:
    return EndWatch(**at(minutes), watch=watch_id, reason="충분함 · enough")


def close(minutes: float = 60, outcome: str = "found") -> CloseCase:
    return CloseCase(**at(minutes), outcome=outcome, reason="집에서 발견 · found at home")


def erased(*objects: str, minutes: float = 61) -> CompleteCaseErasure:
    return CompleteCaseErasure(**at(minutes, "search-1-0-0"), objects=objects, erasures=("erase-1",))


AUTHORISED = (opened(), authorise())


class Given(scenario.Given[State]):
    def when_it_is(self, hours: float) -> scenario.Answer:
        return scenario.Answer(CONTEXT.tick(self.state, micros(NOON + timedelta(hours=hours))))


def given(*commands: Command) -> Given:
    return Given(CONTEXT).and_(*commands)
