"""The fold of cases: what each event changes in the state of a shard. It never raises and never judges."""

from actors.person.state import Case, Known, State, Watch
from schemas.base import Event, micros
from schemas.person import (
    Candidate,
    CandidateConfirmed,
    CandidateDismissed,
    CaseAuthorised,
    CaseClosed,
    CaseErased,
    CaseExpired,
    CaseOpened,
    PersonEvent,
    SearchRecorded,
    WatchEnded,
    WatchHit,
    WatchStarted,
)


def initial_state() -> State:
    """The state of a shard without cases."""
    return State()


def evolve(state: State, event: Event) -> None:
    """Apply one event in place. An event about a case that no event made known changes nothing."""
    if isinstance(event, CaseOpened):
        state.cases[event.case] = Case(event.facts, micros(event.at), event.by)
        state.open.add(event.case)
        state.touch("case", event.case, event.case)
    elif isinstance(event, PersonEvent) and (case := state.cases.get(event.case)) is not None:
        if isinstance(event, WatchStarted | WatchHit | WatchEnded):
            _evolve_watch(state, case, event)
        elif isinstance(event, CandidateConfirmed | CandidateDismissed):
            _decide(state, case, event)
        elif isinstance(event, SearchRecorded):
            case.searches[event.search] = event.query
            for candidate in event.candidates:
                _find(state, event, case, candidate, event.search)
            state.touch("case", event.case, event.case)
        else:
            _evolve_case(state, case, event)


def _evolve_case(state: State, case: Case, event: PersonEvent) -> None:
    at = micros(event.at)
    match event:
        case CaseAuthorised():
            case.state, case.authorised_at, case.authorised_by, case.sole = "authorised", at, event.by, event.sole
        case CaseExpired():
            case.state, case.ended_at = "expired", at
            state.open.discard(event.case)
        case CaseClosed():
            case.state, case.ended_at, case.outcome = "closed", at, event.outcome
            state.open.discard(event.case)
        case CaseErased():
            case.erased_at = at
        case _:
            return
    state.touch("case", event.case, event.case)


def _evolve_watch(state: State, case: Case, event: WatchStarted | WatchHit | WatchEnded) -> None:
    at, watch = micros(event.at), case.watches.get(event.watch)
    if isinstance(event, WatchStarted):
        what = event.query, event.models, event.min_probability, event.cameras
        case.watches[event.watch] = Watch(*what, started_at=at, started_by=event.by)
        state.touch("case", event.case, event.case)
    elif watch is None:
        return
    elif isinstance(event, WatchHit):
        watch.hits[event.candidate.id] = None
        _find(state, event, case, event.candidate, event.watch)
    else:
        watch.ended_at, watch.reason = at, event.reason
    state.touch("watch", event.case, event.watch)


def _find(state: State, event: PersonEvent, case: Case, candidate: Candidate, found_by: str) -> None:
    known = case.candidates.get(candidate.id)
    if known is None:
        case.candidates[candidate.id] = Known(candidate, found_by, micros(event.at))
    elif _weight(candidate) > _weight(known.candidate):
        # The same sighting, found again with better evidence; what a human said of it stays.
        known.candidate = candidate
    else:
        return
    state.touch("candidate", event.case, candidate.id)


def _weight(candidate: Candidate) -> tuple[float, float]:
    return (-1.0 if candidate.probability is None else candidate.probability, candidate.score)


def _decide(state: State, case: Case, event: CandidateConfirmed | CandidateDismissed) -> None:
    if (known := case.candidates.get(event.candidate.id)) is None:
        return
    known.state = "confirmed" if isinstance(event, CandidateConfirmed) else "dismissed"
    known.decided_at, known.decided_by, known.reason = micros(event.at), event.by, event.reason
    state.touch("candidate", event.case, event.candidate.id)
