"""Pictures of cameras to the people in them: the city's encoder, for those who follow them from picture to picture."""

from fastapi import Request
from starlette.responses import Response

from serve import openapi_cases, render
from serve.backend import Backend
from serve.casework import NO_STORE
from serve.routing import router

routes = router("sightings")


@routes.post(
    "/v1/encodings",
    responses=openapi_cases.people(),
    openapi_extra=openapi_cases.PICTURE_BODY,
    summary="Who is in a picture · 영상 부호화",
)
async def encode(request: Request) -> Response:
    """Each person's box, embeddings, colours, quality and a small picture, as an Arrow IPC stream; nothing is stored.

    For cameras and gateways. One who waits before a camera is in many pictures and is one sighting: follow people from
    picture to picture, as `bomnae cameras` does, and send their sightings.
    """
    backend: Backend = request.app.state.backend
    data = await backend.people(await request.body())
    return Response(data, headers=NO_STORE, media_type=render.ARROW)
