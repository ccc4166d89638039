"""The decider of cases: what a command leads to. Nothing is searched, watched or decided but in an authorised case."""

from datetime import timedelta
from typing import assert_never

from actors.person.state import CandidateState, Case, Known, State, Watch
from schemas.base import micros
from schemas.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from schemas.person import (
    MAX_CASE_DAYS,
    AuthoriseCase,
    Candidate,
    CandidateConfirmed,
    CandidateDismissed,
    CaseAuthorised,
    CaseClosed,
    CaseErased,
    CaseExpired,
    CaseOpened,
    CloseCase,
    CompleteCaseErasure,
    ConfirmCandidate,
    DismissCandidate,
    EndWatch,
    OpenCase,
    PersonCommand,
    PersonEvent,
    RecordHits,
    RecordSearch,
    RecordView,
    SearchLagged,
    SearchRecorded,
    StartWatch,
    ViewRecorded,
    WatchEnded,
    WatchHit,
    WatchStarted,
)

AnyPersonCommand = (
    OpenCase
    | AuthoriseCase
    | RecordSearch
    | RecordView
    | ConfirmCandidate
    | DismissCandidate
    | StartWatch
    | RecordHits
    | EndWatch
    | CloseCase
    | CompleteCaseErasure
)

MAX_WATCHES = 20
"""Active watches of one case; each costs a row of the matrix that every new sighting is multiplied with."""

SYSTEM = "system"
"""`by` of what time alone brings about."""

_ALWAYS = frozenset({"case", "ledger"})
"""What may be looked at in any state: whoever authorises a case reads it first, the auditor comes after its end."""


def decide(state: State, command: AnyPersonCommand) -> list[PersonEvent]:  # noqa: C901, PLR0911 - a line per command
    """The events that a command leads to; `[]` when it is already so, but each look is an event. Changes nothing.

    Raises `NotFoundError`, `ConflictError`, `InvalidError` or `ForbiddenError` for a request that is impossible now.
    """
    match command:
        case OpenCase():
            return _open(state, command)
        case AuthoriseCase():
            return _authorise(state, command)
        case RecordSearch():
            return _search(state, command)
        case RecordView():
            return _view(state, command)
        case ConfirmCandidate():
            known, facts = _decided(state, command)
            return [] if _said(known, "confirmed", command) else [CandidateConfirmed(**facts)]
        case DismissCandidate():
            known, facts = _decided(state, command)
            return [] if _said(known, "dismissed", command) else [CandidateDismissed(**facts)]
        case StartWatch():
            return _start_watch(state, command)
        case RecordHits():
            return _hits(state, command)
        case EndWatch():
            watch = _watch(_case(state, command.case), command.watch)
            ended = WatchEnded(**_whose(command), watch=command.watch, reason=command.reason)
            return [ended] if watch.active else []
        case CloseCase():
            return _close(state, command)
        case CompleteCaseErasure():
            return _erased(state, command)
        case _:
            assert_never(command)


def due(state: State, clock: int) -> list[str]:
    """The cases whose authority has ended by `clock` (µs UTC) and that still stand open, by id."""
    return sorted(case for case in state.open if micros(state.cases[case].facts.expires_at) <= clock)


def expiry(state: State, case_id: str) -> list[PersonEvent]:
    """What the end of a case's time leads to: its watches end with it, at the moment of its facts."""
    case = state.cases[case_id]
    whose = {"at": case.facts.expires_at, "case": case_id, "by": SYSTEM}
    ended = [WatchEnded(**whose, watch=watch, reason="기간 만료 · the case expired") for watch in case.active]
    return [*ended, CaseExpired(**whose)]


def _open(state: State, command: OpenCase) -> list[PersonEvent]:
    if (known := state.cases.get(command.case)) is not None:
        if (known.facts, known.opened_by) != (command.facts, command.by):
            raise ConflictError(f"case {command.case!r} was opened with other facts: take another id")
        return []
    left = command.facts.expires_at - command.at
    if not timedelta(0) < left <= timedelta(days=MAX_CASE_DAYS):
        raise InvalidError(f"a case expires in the future, at most {MAX_CASE_DAYS} days ahead")
    return [CaseOpened(**_whose(command), facts=command.facts)]


def _authorise(state: State, command: AuthoriseCase) -> list[PersonEvent]:
    case = _case(state, command.case)
    if case.state == "authorised":
        return []
    _in_time(command, case)
    same = command.by == case.opened_by
    if same and not command.sole:
        raise ForbiddenError("a case is authorised by another than who opened it, or by police on their own authority")
    return [CaseAuthorised(**_whose(command), sole=same)]


def _search(state: State, command: RecordSearch) -> list[PersonEvent]:
    case = _searching(state, command)
    if (query := case.searches.get(command.search)) is not None:
        if query != command.query:
            raise ConflictError(f"search {command.search!r} asked something else: take another id")
        return []
    events: list[PersonEvent] = [
        SearchRecorded(**{name: getattr(command, name) for name in SearchRecorded.model_fields})
    ]
    if command.lag is not None:
        events.append(SearchLagged(**_whose(command), search=command.search, lag=command.lag))
    return events


def _view(state: State, command: RecordView) -> list[PersonEvent]:
    case = _case(state, command.case) if command.what in _ALWAYS else _searching(state, command)
    if (command.what == "picture") != (command.candidate is not None):
        raise InvalidError("a look at a picture names its candidate, any other look names none")
    if command.candidate is not None:
        _candidate(case, command.candidate)
    return [ViewRecorded(**dict(command))]


def _decided(state: State, command: ConfirmCandidate | DismissCandidate) -> tuple[Known, dict[str, object]]:
    known = _candidate(_searching(state, command), command.candidate)
    return known, {**_whose(command), "candidate": known.candidate, "reason": command.reason}


def _said(known: Known, decision: CandidateState, command: ConfirmCandidate | DismissCandidate) -> bool:
    """Whether the newest decision is this very one."""
    same = not command.each or (known.decided_by, known.reason) == (command.by, command.reason)
    return known.state == decision and same


def _start_watch(state: State, command: StartWatch) -> list[PersonEvent]:
    case = _searching(state, command)
    if (known := case.watches.get(command.watch)) is not None:
        asked = command.query, command.models, command.min_probability, command.cameras
        if (known.query, known.models, known.min_probability, known.cameras) != asked:
            raise ConflictError(f"watch {command.watch!r} asks something else: take another id")
        return []
    if len(case.active) >= MAX_WATCHES:
        raise ConflictError(f"a case has at most {MAX_WATCHES} watches at a time: end one")
    return [WatchStarted(**dict(command))]


def _hits(state: State, command: RecordHits) -> list[PersonEvent]:
    watch = _watch(_searching(state, command), command.watch)
    if not watch.active:
        raise ConflictError(f"watch {command.watch!r} has ended")
    new: dict[str, Candidate] = {}
    for hit in command.hits:
        if hit.id not in watch.hits:
            new.setdefault(hit.id, hit)
    whose = {**_whose(command), "watch": command.watch}
    return [WatchHit(**whose, candidate=hit) for hit in new.values()]


def _close(state: State, command: CloseCase) -> list[PersonEvent]:
    case = _case(state, command.case)
    if case.state == "closed":
        return []
    _in_time(command, case)
    ended = [
        WatchEnded(**_whose(command), watch=watch, reason="사건 종결 · the case was closed") for watch in case.active
    ]
    return [*ended, CaseClosed(**_whose(command), outcome=command.outcome, reason=command.reason)]


def _erased(state: State, command: CompleteCaseErasure) -> list[PersonEvent]:
    case = _case(state, command.case)
    if case.erased_at is not None:
        return []
    if case.state not in {"expired", "closed"}:
        raise ConflictError(f"case {command.case!r} is {case.state}: only what a case has ended for is erased")
    if left := set(case.objects) - set(command.objects):
        raise ConflictError(f"{len(left)} objects of case {command.case!r} are not told to be gone, first {min(left)}")
    return [CaseErased(**dict(command))]


def _whose(command: PersonCommand) -> dict[str, object]:
    return {"at": command.at, "case": command.case, "by": command.by}


def _case(state: State, case: str) -> Case:
    if (known := state.cases.get(case)) is None:
        raise NotFoundError("case", case)
    return known


def _in_time(command: PersonCommand, case: Case) -> None:
    # The timer that expires a case looks once a second: a command must not slip in before it.
    if case.state in {"expired", "closed"} or command.at >= case.facts.expires_at:
        ended = "closed" if case.state == "closed" else "expired"
        raise ConflictError(f"case {command.case!r} has {ended}: open another with its own authority")


def _searching(state: State, command: PersonCommand) -> Case:
    case = _case(state, command.case)
    _in_time(command, case)
    if case.state != "authorised":
        raise ConflictError(f"case {command.case!r} is not authorised yet")
    return case


def _candidate(case: Case, candidate: str) -> Known:
    if (known := case.candidates.get(candidate)) is None:
        raise NotFoundError("candidate of this case", candidate)
    return known


def _watch(case: Case, watch: str) -> Watch:
    if (known := case.watches.get(watch)) is None:
        raise NotFoundError("watch of this case", watch)
    return known
