"""Cameras (영상정보처리기기) and the models that turn pictures into embeddings."""

from typing import Annotated

import orjson
from fastapi import Path, Query, Request
from starlette.responses import Response

from schemas.base import EntityId
from schemas.casework import CameraRegistration
from schemas.sighting import CameraFacts, RegisterCamera
from serve import openapi, openapi_cases
from serve.backend import Backend
from serve.idempotency import OnceFor
from serve.reading import Listing, Page, view_of
from serve.routing import router
from serve.writing import stamp, submit

routes = router("cameras")
CameraId = Annotated[EntityId, Path(description="Id of the camera.", examples=["cam-17"])]


class CameraQuery(Page):
    """Which cameras."""

    area: Annotated[str | None, Query(max_length=20, description="Code of a dong.")] = None
    group: EntityId | None = None
    gateway: EntityId | None = None


_LISTING = Listing("cameras", ("camera",))


@routes.get("/v1/cameras", responses=openapi.page("Camera"), summary="Cameras · 카메라 목록")
async def list_cameras(request: Request, query: Annotated[CameraQuery, Query()]) -> Response:
    """By id, with when each was heard last and since when it is silent; nothing of whom they saw."""
    return await _LISTING.answer(request, await view_of(request, "sighting", query), query)


@routes.put("/v1/cameras/{camera}", responses=openapi.written(), summary="Register a camera · 카메라 등록")
async def put_camera(request: Request, camera: CameraId, body: CameraRegistration, once: OnceFor) -> Response:
    """The same facts again change nothing. A shorter retention takes effect at once."""
    facts = CameraFacts(**dict(body))
    return await submit(request, [RegisterCamera(**stamp(request), camera=camera, facts=facts)], once)


@routes.get("/v1/models", responses=openapi_cases.models(), summary="Model cards · 모델 설명서")
async def list_models(request: Request) -> Response:
    """What each model in use is: licence, measured accuracy, calibration, and the warning about its bias."""
    backend: Backend = request.app.state.backend
    cards = [card.model_dump(mode="json") for card in await backend.search.models()]
    return Response(orjson.dumps({"items": cards, "next": None}), media_type="application/json")
