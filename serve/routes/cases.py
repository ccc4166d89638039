"""Cases of missing persons (실종 사건): opened, authorised, closed, and the ledger of everything done in them."""

from typing import Annotated, Any, Literal

import orjson
import polars as pl
from fastapi import Query, Request
from starlette.responses import Response

from schemas.base import Frozen
from schemas.casework import Authorisation, Closing
from schemas.person import AuthoriseCase, CaseFacts, CaseState, CloseCase, OpenCase
from serve import ledger, openapi, openapi_cases, paging, render
from serve.backend import Backend
from serve.casework import NO_STORE, CaseId, case_of, look, mine, new_id
from serve.idempotency import OnceFor
from serve.paging import Cursor, Limit
from serve.reading import MinPosition, frame, view_after
from serve.routing import router
from serve.writing import stamp, submit

routes = router("cases")

_FACTS = ("case", "state", "kind", "authority", "officer", "expires_at", "opened_at", "opened_by")
LISTED = (*_FACTS, "authorised_at", "authorised_by", "sole", "ended_at", "outcome", "erased_at", "searches")
AUDITED = ("case", "state", "opened_at", "authorised_at", "sole", "ended_at", "erased_at")
"""What a list shows: nothing of the person sought, and to auditors no more than that there is a ledger to review."""


class CaseQuery(Frozen):
    """Which cases."""

    state: CaseState | None = None
    min_position: MinPosition = None
    limit: Limit = 100
    cursor: Cursor = None


@routes.get("/v1/cases", responses=openapi_cases.page("CaseListed"), summary="Cases · 사건 목록")
async def list_cases(request: Request, query: Annotated[CaseQuery, Query()]) -> Response:
    """Police see all, case officers those that they opened or lead, auditors that there are ledgers to review."""
    view, limit = await view_after(request, "person", query.min_position), query.limit
    officer = not request.state.principal.roles.isdisjoint({"police", "case-officer"})
    rows = frame(request, view, "cases").filter(mine(request.state.principal) if officer else pl.lit(True))
    if query.state is not None:
        rows = rows.filter(pl.col("state") == query.state)
    if (after := paging.decode(query.cursor, str)) is not None:
        rows = rows.filter(pl.col("case") > after[0])
    rows = rows.sort("case").head(limit + 1)
    following = paging.encode((rows["case"][limit - 1],)) if len(rows) > limit else None
    shown = rows.head(limit).select(LISTED if officer else AUDITED)
    return Response(render.json_page(shown, following), headers=NO_STORE, media_type="application/json")


@routes.post("/v1/cases", status_code=201, responses=openapi.written(201), summary="Open a case · 사건 접수")
async def open_case(request: Request, body: CaseFacts, once: OnceFor) -> Response:
    """It searches nothing before another authorises it. At most 30 days; `officer` is the token subject of its lead.

    Do not put the person's name into `reason`: the ledger is kept when the person's data are erased.
    """
    case = new_id("case", once)
    command = OpenCase(**stamp(request), case=case, facts=body)
    return await submit(request, [command], once, 201, f"/v1/cases/{case}")


@routes.get("/v1/cases/{case}", responses=openapi_cases.one("CaseState"), summary="One case · 사건 조회")
async def get_case(request: Request, case: CaseId, min_position: MinPosition = None) -> Response:
    """What it rests on, its state and its watches. The look is written into the ledger first."""
    view = await view_after(request, "person", min_position)
    case_of(request, view, case)
    await look(request, case, "case")
    whose = pl.col("case") == case
    row = render.json_row(frame(request, view, "cases").filter(whose))
    watches = render.json_rows(frame(request, view, "watches").filter(whose).drop("query"))
    return Response(b'%b,"watches":%b}' % (row[:-1], watches), headers=NO_STORE, media_type="application/json")


@routes.post("/v1/cases/{case}/authorise", responses=openapi.written(), summary="Authorise a case · 사건 승인")
async def authorise(
    request: Request, case: CaseId, body: Authorisation, once: OnceFor, min_position: MinPosition = None
) -> Response:
    """By another than who opened it, or with `sole` by the same, which the ledger says; 403 otherwise."""
    case_of(request, await view_after(request, "person", min_position), case)
    return await submit(request, [AuthoriseCase(**stamp(request), case=case, sole=body.sole)], once)


@routes.post("/v1/cases/{case}/close", responses=openapi.written(), summary="Close a case · 사건 종결")
async def close(
    request: Request, case: CaseId, body: Closing, once: OnceFor, min_position: MinPosition = None
) -> Response:
    """Searches and watches end now, and the erasure of its photographs, queries and confirmed sightings begins."""
    case_of(request, await view_after(request, "person", min_position), case)
    command = CloseCase(**stamp(request), case=case, outcome=body.outcome, reason=body.reason)
    return await submit(request, [command], once)


@routes.get("/v1/cases/{case}/ledger", responses=openapi_cases.ledger(), summary="The ledger of a case · 조회 기록부")
async def get_ledger(
    request: Request,
    case: CaseId,
    format: Annotated[Literal["json", "csv"], Query(description="A page of JSON, or all of it as CSV.")] = "json",  # noqa: A002
    min_position: MinPosition = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Who did what, when, why: every search, look, decision and hit, oldest first; this look is its newest entry."""
    view = await view_after(request, "person", min_position)
    case_of(request, view, case, auditor=True)
    await look(request, case, "ledger")
    backend: Backend = request.app.state.backend
    if format == "csv":
        name = {"content-disposition": f'attachment; filename="{case}.csv"'}
        return Response(await ledger.csv_of(backend, case), headers={**NO_STORE, **name}, media_type="text/csv")
    (after,) = paging.decode(cursor, int) or (0,)
    found = await backend.history("person", case, max(after, 0), limit)
    items: list[dict[str, Any]] = [ledger.entry(one) for one in found]
    following = paging.encode((found[-1].sequence,)) if len(found) == limit else None
    body = orjson.dumps({"items": items, "next": following}, option=orjson.OPT_UTC_Z)
    return Response(body, headers=NO_STORE, media_type="application/json")
