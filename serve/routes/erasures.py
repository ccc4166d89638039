"""Erasure of sightings (파기): asked for, under way, and the receipt of what is gone."""

from typing import Annotated

import orjson
import polars as pl
from fastapi import Path, Query, Request
from starlette.responses import Response

from schemas.base import EntityId
from schemas.casework import ErasureRequest
from schemas.errors import ForbiddenError, NotFoundError
from schemas.sighting import RequestErasure
from serve import openapi, openapi_cases
from serve.auth import Principal
from serve.backend import Backend
from serve.casework import NO_STORE, new_id
from serve.idempotency import OnceFor
from serve.reading import Listing, MinPosition, Page, frame, view_after, view_of
from serve.routing import router
from serve.writing import stamp, submit

routes = router("erasures")
ErasureId = Annotated[EntityId, Path(description="Id of the erasure.", examples=["erasure-5d1f0c2b9a7e4836"])]
_PAGE = 1000
_OF_NO_CASE = pl.col("case").is_null()
_TOLD = frozenset({"city.sighting.erasure-requested.v1"})


class ErasureQuery(Page):
    """Which erasures."""

    camera: EntityId | None = None
    case: EntityId | None = None
    open: Annotated[bool | None, Query(description="Only those under way, or only those done.")] = None


def _open(rows: pl.DataFrame, filters: object) -> pl.DataFrame:
    wanted = filters["open"] if isinstance(filters, dict) else None
    if wanted is None:
        return rows
    return rows.filter(pl.col("erased_at").is_null() if wanted else pl.col("erased_at").is_not_null())


def _open_of_no_case(rows: pl.DataFrame, filters: object) -> pl.DataFrame:
    return _open(rows.filter(_OF_NO_CASE), filters)


_BY = ("erasure", "camera"), (str, str)
_ALL = Listing("erasures", *_BY, prepare=_open)
_OTHERS = Listing("erasures", *_BY, prepare=_open_of_no_case, audience="others")


def _of_cases(request: Request) -> bool:
    """Whether the caller may know whom a case looked for and where: what was confirmed is erased by its camera."""
    principal: Principal = request.state.principal
    return not principal.roles.isdisjoint({"police", "auditor"})


@routes.get("/v1/erasures", responses=openapi.page("Erasure"), summary="Erasures · 파기 목록")
async def list_erasures(request: Request, query: Annotated[ErasureQuery, Query()]) -> Response:
    """What was asked to be erased, why and by whom, and how much of it is gone; `erased_at` is null until all is.

    Operators see those that name no case.
    """
    listing = _ALL if _of_cases(request) else _OTHERS
    return await listing.answer(request, await view_of(request, "sighting", query), query)


@routes.post("/v1/erasures", status_code=201, responses=openapi.written(201), summary="Ask for erasure · 파기 요청")
async def ask(request: Request, body: ErasureRequest, once: OnceFor) -> Response:
    """Hidden from every search at once; gone from every file when the receipt says so. Only police name a case.

    A person's sightings over several cameras are one erasure, with a receipt of each camera.
    """
    if body.case is not None and "police" not in request.state.principal.roles:
        raise ForbiddenError("only police ask for an erasure in the name of a case: leave `case` out")
    if body.by_camera:  # a camera that nobody knows would be refused when others had begun
        backend: Backend = request.app.state.backend
        known = set(frame(request, backend.view("sighting"), "cameras")["camera"])
        if unknown := body.by_camera.keys() - known:
            raise NotFoundError("camera", min(unknown))
    erasure = new_id("erasure", once)
    said = {**stamp(request), "erasure": erasure, "reason": body.reason, "case": body.case}
    commands = [RequestErasure(**said, **part) for part in body.parts]
    return await submit(request, commands, once, 201, f"/v1/erasures/{erasure}")


@routes.get("/v1/erasures/{erasure}", responses=openapi_cases.receipt(), summary="The receipt · 파기 확인서")
async def get_erasure(request: Request, erasure: ErasureId, min_position: MinPosition = None) -> Response:
    """What, when, how many rows, and the digests of every block and segment before and after.

    One that names a case is not there for operators.
    """
    backend: Backend = request.app.state.backend
    view = await view_after(request, "sighting", min_position)
    shown = (pl.col("erasure") == erasure) & (_of_cases(request) | _OF_NO_CASE)
    found = frame(request, view, "erasures").filter(shown).sort("camera").to_dicts()
    if not found:
        raise NotFoundError("erasure", erasure)
    receipts, after = [], 0
    for row in found:
        while page := await backend.history("sighting", row["camera"], after, _PAGE):
            after = page[-1].sequence
            receipts += [
                {"id": one.id, "type": one.type, "data": one.data}
                for one in page
                if one.data.get("erasure") == erasure and one.type not in _TOLD
            ]
        after = 0
    body = orjson.dumps({"erasures": found, "receipts": receipts}, option=orjson.OPT_UTC_Z)
    return Response(body, headers=NO_STORE, media_type="application/json")
