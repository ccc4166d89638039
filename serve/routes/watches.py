"""Standing queries of a case (실시간 감시): matched as sightings come, until the case ends."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

import polars as pl
from fastapi import Path, Query, Request
from starlette.responses import Response

from schemas.base import EntityId, Text
from schemas.casework import WatchRequest
from schemas.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from schemas.models import Calibration
from schemas.person import EndWatch, StartWatch
from serve import openapi, openapi_cases, render
from serve.backend import Backend
from serve.casework import DEADLINE_S, NO_STORE, CaseId, case_of, look, new_id, searching
from serve.idempotency import OnceFor
from serve.reading import MinPosition, frame, view_after
from serve.routing import router
from serve.search.calibration import calibrations_of, probability
from serve.search.watching import UNCALIBRATED, least_scores, most_scores
from serve.seeking import Person, cameras_of, forget, keep, person_of
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
    """Hits are told on `city.case.<case>.watch-hit` and become candidates. At most 20 at a time; ends with the case.

    Refused as a search is, and where no sighting can be as probable as asked. Attributes are evidence, as in a search.
    """
    backend: Backend = request.app.state.backend
    view = await view_after(request, "person", min_position)
    searching(request, view, case)
    person = await person_of(request, view, case, body)
    cameras = cameras_of(request, backend.view("sighting"), body)
    await backend.search.check(person.sought.queries, DEADLINE_S)
    calibrations = calibrations_of(await backend.search.models())
    least = _reachable(person, calibrations, body.min_probability)
    digest = await keep(request, case, replace(person.sought, least=least))
    command = StartWatch(
        **stamp(request),
        case=case,
        watch=new_id("watch", once),
        query=digest,
        models=person.models,
        min_probability=_told(least, calibrations) if body.min_probability is None else body.min_probability,
        cameras=tuple(sorted(cameras or ())),
    )
    try:
        return await submit(request, [command], once, 201, f"/v1/cases/{case}/watches")
    except (ConflictError, ForbiddenError, NotFoundError):
        # Another watch may have asked for the same person.
        known = frame(request, view, "watches").filter(pl.col("case") == case)["query"]
        if digest not in known:
            await forget(request, case, digest)
        raise


def _reachable(
    person: Person, calibrations: Mapping[str, Calibration], min_probability: float | None
) -> dict[str, float]:
    """From which score on sightings are hits, by model. Raises `InvalidError` where none can score so high."""
    least = least_scores(person.models, calibrations, min_probability)
    most = most_scores(person.models, calibrations, person.sought.soft)
    if all(least[model] > most[model] for model in person.models):
        reached = ", ".join(
            f"{model} reaches {float(probability(calibrations[model], most[model])):.4f} at most"
            for model in person.models
        )
        raise InvalidError(
            f"no sighting can hit a min_probability of {min_probability}: {reached}; "
            "ask for less, or leave it out for each model's own threshold"
        )
    return least


def _told(least: Mapping[str, float], calibrations: Mapping[str, Calibration]) -> float:
    """What the ledger says where no probability was asked for: the least of those that the thresholds mean."""
    known = [float(probability(calibrations[model], score)) for model, score in least.items() if model in calibrations]
    return min(known, default=UNCALIBRATED)


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
