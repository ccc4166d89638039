"""Searches in a case (고속검색), its candidates, and what a human says of each."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any

import orjson
import polars as pl
from fastapi import Query, Request
from starlette.responses import Response

from actors.sighting.jpeg import bare
from schemas.casework import Decision, SearchRequest
from schemas.errors import ConflictError, ForbiddenError, GoneError, NotFoundError
from schemas.models import Calibration
from schemas.person import Asked, Candidate, ConfirmCandidate, DismissCandidate, RecordSearch, SearchLagged
from schemas.road import Window
from serve import openapi, openapi_cases, paging, positions
from serve.backend import Backend
from serve.casework import DEADLINE_S, NO_STORE, SEOUL, CandidatePath, CaseId, look, new_id, searching
from serve.idempotency import OnceFor
from serve.paging import Cursor, Limit
from serve.reading import MinPosition, frame, view_after
from serve.routing import router
from serve.search.calibration import calibrations_of
from serve.search.nobody import above_threshold, verdict
from serve.search.protocol import Filters
from serve.search.ranking import interleaved
from serve.search.route import likelihoods, prior, stops_of
from serve.seeking import cameras_of, candidate_of, forget, keep_meanwhile, person_of, places
from serve.writing import stamp, submit
from streams.codec import trace_of

routes = router("searches")
DEFAULT_WINDOW = timedelta(hours=24)
_NO_LAG = {"shards": 0, "seconds": 0.0, "records": 0, "why": ""}


@routes.post(
    "/v1/cases/{case}/searches",
    status_code=201,
    responses=openapi_cases.found(),
    summary="Search the sightings · 목격 검색",
)
async def search(
    request: Request, case: CaseId, body: SearchRequest, once: OnceFor, min_position: MinPosition = None
) -> Response:
    """Candidates, best first, over every permitted sighting, and in `coverage` what the answer rests on.

    There are always candidates where there are sightings: `nobody` says that none of them reaches the threshold of its
    model, so that the person is probably not among them.

    Only in an authorised open case. What was asked and found is in the case's ledger before this answers; photographs
    and embeddings lie in an object of their own, which goes with the case.
    """
    backend: Backend = request.app.state.backend
    view, sightings = await view_after(request, "person", min_position), backend.view("sighting")
    searching(request, view, case)
    person = await person_of(request, view, case, body)
    cameras = cameras_of(request, sightings, body)
    now = backend.now()
    window = body.window or Window(start=now - DEFAULT_WINDOW, end=now)
    hard = {name: frozenset({body.attributes[name]}) for name in body.hard}
    soft = {name: value for name, value in body.attributes.items() if name not in hard}
    filters = Filters(window, cameras, body.min_quality, hard)
    asking = backend.search.search(person.sought.queries, filters, soft, body.limit, DEADLINE_S)
    found, digest = await keep_meanwhile(request, case, person.sought, asking)
    command = RecordSearch(
        **stamp(request),
        case=case,
        search=new_id("search", once),
        query=digest,
        window=window,
        cameras=len(cameras) if cameras is not None else len(frame(request, sightings, "cameras")),
        models=person.models,
        candidates=found.candidates,
        coverage=found.coverage,
        asked=Asked(
            photos=len(body.photos or ()),
            like=body.like,
            areas=body.areas,
            cameras=tuple(sorted(cameras or ())),
            evidence=tuple(sorted(soft)),
            hard=tuple(sorted(hard)),
            min_quality=body.min_quality,
            limit=body.limit,
        ),
        lag=found.lag,
    )
    try:
        answer = await backend.submit([command], once.key, once.digest, trace_of(request.headers))
    except (ConflictError, ForbiddenError, NotFoundError):
        # The case ended meanwhile: nothing of the query stays behind.
        await forget(request, case, digest)
        raise
    if not answer.events or answer.events[0]["query"] != digest:
        await forget(request, case, digest)
    if not answer.events:
        raise ConflictError("the Idempotency-Key named a search of another day: take another key")
    if answer.repeated:
        # What was found first is shown once more, which is a look at it.
        await look(request, case, "candidates")
    told = answer.events[0]
    candidates: Sequence[Candidate] = found.candidates
    if answer.repeated:
        candidates = [Candidate.model_validate(one) for one in told["candidates"]]
    position = positions.encode(answer.position)
    calibrations = calibrations_of(await backend.search.models())
    said = {
        "position": position,
        "search": told["search"],
        "window": told["window"],
        **verdict(candidates, calibrations),
        "candidates": shown(request, case, candidates, calibrations),
        "coverage": rested(told, answer.events),
        "persons_on_photos": person.persons,
    }
    headers = {**NO_STORE, "bomnae-position": position}
    headers |= {"idempotency-replayed": "true"} if answer.repeated else {}
    return Response(orjson.dumps(said, option=orjson.OPT_UTC_Z), 201, headers, "application/json")


def rested(told: dict[str, Any], events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The coverage with what shards had not read; `complete` only where all answered and had read everything."""
    coverage = told["coverage"]
    lag = next((one["lag"] for one in events if one["type"] == SearchLagged.type), told.get("lag")) or _NO_LAG
    whole = coverage["shards_answered"] == coverage["shards"] and not lag["shards"]
    return {"complete": whole, **coverage, "behind": lag}


def shown(
    request: Request, case: str, candidates: Sequence[Candidate], calibrations: Mapping[str, Calibration]
) -> list[dict[str, Any]]:
    """Candidates with their places and times as readers see them, and whether each reaches its model's threshold."""
    backend: Backend = request.app.state.backend
    known = places(request, backend.view("sighting"), [one.camera for one in candidates])
    return [
        {
            "candidate": one.id,
            **one.model_dump(),
            "above_threshold": above_threshold(one, calibrations),
            "local_time": one.time.astimezone(SEOUL).isoformat(),
            "place": known.get(one.camera),
            "picture": f"/v1/cases/{case}/pictures/{one.id}",
        }
        for one in candidates
    ]


@routes.get(
    "/v1/cases/{case}/candidates",
    responses=openapi_cases.page("CandidateState"),
    summary="Candidates, likeliest first · 후보",
)
async def list_candidates(
    request: Request,
    case: CaseId,
    state: Annotated[list[str] | None, Query(description="found, confirmed, dismissed; all without it.")] = None,
    min_position: MinPosition = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """What searches and watches of the case found.

    `likelihood` is the probability given the places and times that were confirmed; confirming one candidate re-ranks
    the rest. Confirmed ones come first, dismissed ones last; those of models without a calibration are interleaved with
    the others by rank. The look is written into the ledger first.
    """
    view = await view_after(request, "person", min_position)
    searching(request, view, case)
    after = paging.decode(cursor, int, str)
    await look(request, case, "candidates")
    rows = frame(request, view, "candidates").filter(pl.col("case") == case).to_dicts()
    backend: Backend = request.app.state.backend
    known = places(request, backend.view("sighting"), [row["camera"] for row in rows])
    likely = likelihoods(stops_of(rows, known))
    # Dismissed ones keep their rank here: whoever dismisses while turning pages misses nobody.
    weighed = likelihoods(stops_of([{**row, "state": "found"} if _dismissed(row) else row for row in rows], known))
    order = interleaved(
        rows,
        lambda row: row["model"] if row["probability"] is None else None,
        lambda row: (-weighed.get(row["candidate"], prior(row["probability"])), -row["score"], row["candidate"]),
    )
    ranks = {row["candidate"]: rank for rank, row in enumerate(order)}
    wanted = [row for row in rows if not state or row["state"] in state]
    ranked = sorted((_rank(ranks[row["candidate"]], row), row["candidate"], row) for row in wanted)
    ranked = [one for one in ranked if after is None or one[:2] > after]
    following = paging.encode(ranked[limit - 1][:2]) if len(ranked) > limit else None
    items, calibrations = [], calibrations_of(await backend.search.models())
    for _, candidate, row in ranked[:limit]:
        seen = Candidate.model_validate({name: row[name] for name in Candidate.model_fields})
        (one,) = shown(request, case, [seen], calibrations)
        decided = {name: row[name] for name in ("state", "found_by", "found_at", "decided_at", "decided_by", "reason")}
        items.append({**one, **decided, "likelihood": likely.get(candidate)})
    said = orjson.dumps({"items": items, "next": following}, option=orjson.OPT_UTC_Z)
    return Response(said, headers=NO_STORE, media_type="application/json")


def _dismissed(row: dict[str, Any]) -> bool:
    return bool(row["state"] == "dismissed")


def _rank(rank: int, row: dict[str, Any]) -> int:
    """Confirmed ones, then the others by their rank, then the dismissed ones."""
    if _dismissed(row):
        return 2_000_000_000
    return -1 if row["state"] == "confirmed" else rank


@routes.post(
    "/v1/cases/{case}/candidates/{candidate}/confirm",
    responses=openapi.written(),
    summary="This is the person · 후보 확인",
)
async def confirm(
    request: Request,
    case: CaseId,
    candidate: CandidatePath,
    body: Decision,
    once: OnceFor,
    min_position: MinPosition = None,
) -> Response:
    """With the reason, which the ledger keeps; it may be dismissed later."""
    searching(request, await view_after(request, "person", min_position), case)
    command = ConfirmCandidate(**stamp(request), case=case, candidate=candidate, reason=body.reason, each=True)
    return await submit(request, [command], once)


@routes.post(
    "/v1/cases/{case}/candidates/{candidate}/dismiss",
    responses=openapi.written(),
    summary="This is not the person · 후보 제외",
)
async def dismiss(
    request: Request,
    case: CaseId,
    candidate: CandidatePath,
    body: Decision,
    once: OnceFor,
    min_position: MinPosition = None,
) -> Response:
    """With the reason, which the ledger keeps; it may be confirmed later."""
    searching(request, await view_after(request, "person", min_position), case)
    command = DismissCandidate(**stamp(request), case=case, candidate=candidate, reason=body.reason, each=True)
    return await submit(request, [command], once)


@routes.get(
    "/v1/cases/{case}/pictures/{candidate}",
    responses=openapi_cases.picture(),
    summary="The picture of a candidate · 후보 사진",
)
async def picture(
    request: Request, case: CaseId, candidate: CandidatePath, min_position: MinPosition = None
) -> Response:
    """A small JPEG; 410 where there never was one, it has expired or is erased. The look is in the ledger first."""
    backend: Backend = request.app.state.backend
    view = await view_after(request, "person", min_position)
    searching(request, view, case)
    found = candidate_of(request, view, case, candidate)
    await look(request, case, "picture", candidate)
    # Once more: blocks from before pictures were bared hold them as they came.
    if (data := bare(await backend.search.picture(found) or b"")) is None:
        raise GoneError(f"there is no picture of {candidate!r} (any more)")
    return Response(data, headers={**NO_STORE, "x-content-type-options": "nosniff"}, media_type="image/jpeg")
