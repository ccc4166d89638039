"""Standing queries of a case (실시간 감시): matched as sightings come, until the case ends."""

from typing import Annotated

import polars as pl
from fastapi import Path, Query, Request
from starlette.responses import Response

from schemas.base import EntityId, Text
from schemas.casework import WatchRequest
from schemas.errors import ConflictError, ForbiddenError, NotFoundError
from schemas.person import EndWatch, StartWatch
from serve import openapi, openapi_cases, render
from serve.backend import Backend
from serve.casework import NO_STORE, CaseId, case_of, look, new_id, searching
from serve.idempotency import OnceFor
from serve.reading import MinPosition, frame, view_after
from serve.routing import router
from serve.search.queries import name_of
from serve.seeking import cameras_of, keep, person_of
from serve.writing import stamp, submit

routes = router("watches")
WatchId = Annotated[EntityId, Path(description="Id of the watch.", examples=["watch-77a0c4e1d2b3f596"])]


@routes.get("/v1/cases/{case}/watches", responses=openapi_cases.page("Watch"), summary="Watches of a case · 감시 목록")
async def list_watches(request: Request, case: CaseId, min_position: MinPosition = None) -> Response:
    """Active ones and those that ended, with the number of their hits. The look is written into the ledger first."""
    view = await view_after(request, "person", min_position)
    case_of(request, view, case)
    await look(request, case, "case")
    rows = frame(request, view, "watches").filter(pl.col("case") == case).drop("query").sort("watch")
    return Response(render.json_page(rows, None), headers=NO_STORE, media_type="application/json")


@routes.post(
    "/v1/cases/{case}/watches", status_code=201, responses=openapi.written(201), summary="Begin to watch · 감시 시작"
)
async def start(
    request: Request, case: CaseId, body: WatchRequest, once: OnceFor, min_position: MinPosition = None
) -> Response:
    """Hits are told on `city.case.<case>.watch-hit` and become candidates. At most 20 at a time; ends with the case."""
    backend: Backend = request.app.state.backend
    view = await view_after(request, "person", min_position)
    row = searching(request, view, case)
    person = await person_of(request, view, case, body)
    cameras = cameras_of(request, backend.view("sighting"), body)
    digest = await keep(request, case, person.sought)
    command = StartWatch(
        **stamp(request),
        case=case,
        watch=new_id("watch", once),
        query=digest,
        models=person.models,
        min_probability=body.min_probability,
        cameras=tuple(sorted(cameras or ())),
    )
    try:
        return await submit(request, [command], once, 201, f"/v1/cases/{case}/watches")
    except (ConflictError, ForbiddenError, NotFoundError):
        if digest not in row["objects"]:
            await backend.delete_object(name_of(case, digest))
        raise


@routes.delete("/v1/cases/{case}/watches/{watch}", responses=openapi.written(), summary="End a watch · 감시 종료")
async def end(
    request: Request,
    case: CaseId,
    watch: WatchId,
    once: OnceFor,
    reason: Annotated[Text, Query(description="Why; the ledger keeps it.")] = "더 이상 필요 없음 · no longer needed",
    min_position: MinPosition = None,
) -> Response:
    """It matches nothing from now on; what it found stays with the case."""
    case_of(request, await view_after(request, "person", min_position), case)
    return await submit(request, [EndWatch(**stamp(request), case=case, watch=watch, reason=reason)], once)
