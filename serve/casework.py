"""What every route of a case shares: whose case it is, the look that is written down first, and ids."""

import hashlib
import secrets
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import polars as pl
from fastapi import Path, Request

from schemas.base import EntityId
from schemas.errors import ConflictError, NotFoundError
from schemas.person import CandidateId, RecordView
from serve.auth import Principal
from serve.backend import Backend, View
from serve.idempotency import Once
from serve.reading import derived, frame
from serve.writing import stamp
from streams.codec import trace_of

SEOUL = ZoneInfo("Asia/Seoul")
NO_STORE = {"cache-control": "no-store"}
DEADLINE_S = 5.0
"""How long the shards have; what has not answered by then is missing from the answer, which says so."""

CaseId = Annotated[EntityId, Path(description="Id of the case.", examples=["case-5d1f0c2b9a7e4836"])]
CandidatePath = Annotated[
    CandidateId,
    Path(description="Id of the candidate: camera, dot, sighting.", examples=["cam-17.20260115T030000.3"]),
]


def mine(principal: Principal) -> pl.Expr:
    """The cases that somebody works on: police all, a case officer those opened or led by the officer."""
    if "police" in principal.roles:
        return pl.lit(True)
    return (pl.col("opened_by") == principal.subject) | (pl.col("officer") == principal.subject)


def case_of(request: Request, view: View, case: str, *, auditor: bool = False) -> dict[str, Any]:
    """The row of a case.

    Raises `NotFoundError` alike where there is none and where it is not the caller's.
    """
    principal: Principal = request.state.principal
    auditing = auditor and "auditor" in principal.roles

    def look_up() -> dict[str, Any] | None:
        found = frame(request, view, "cases").filter(
            pl.col("case") == case, pl.lit(value=True) if auditing else mine(principal)
        )
        return None if found.is_empty() else found.row(0, named=True)

    row = derived(request, view, (case, principal.subject, principal.roles, auditing), look_up)
    if row is None:
        raise NotFoundError("case", case)
    return row


def searching(request: Request, view: View, case: str) -> dict[str, Any]:
    """The row of a case that may search now. Raises `ConflictError` before its authorisation and after its end.

    A first look, so that nothing is computed for nobody; the decider has the last word.
    """
    row = case_of(request, view, case)
    backend: Backend = request.app.state.backend
    if row["state"] != "authorised" or row["expires_at"] <= backend.now():
        ended = "is not authorised yet" if row["state"] == "opened" else "has ended"
        raise ConflictError(f"case {case!r} {ended}")
    return row


async def look(request: Request, case: str, what: str, candidate: str | None = None) -> None:
    """Write down that somebody looks; the ledger has it on disk when this returns. Call it before answering."""
    backend: Backend = request.app.state.backend
    said = RecordView.model_validate({**stamp(request), "case": case, "what": what, "candidate": candidate})
    await backend.submit([said], None, None, trace_of(request.headers))


def new_id(kind: str, once: Once) -> str:
    """An id that nobody can guess; of a request with an Idempotency-Key always the same."""
    if once.key is None:
        return f"{kind}-{secrets.token_hex(8)}"
    return f"{kind}-{hashlib.sha256(f'{kind} {once.digest} {once.key}'.encode()).hexdigest()[:16]}"
