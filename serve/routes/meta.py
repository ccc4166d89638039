"""The service about itself: health, readiness, metrics, and its own descriptions."""

from pathlib import Path
from typing import Literal

import fastapi_offline
import orjson
from fastapi import Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import FileResponse, Response

from serve import problems
from serve.backend import Backend
from serve.routing import router

routes = router("meta")

_ASSETS = Path(fastapi_offline.__file__).parent / "static"


@routes.get("/healthz", summary="This process answers")
async def healthz() -> dict[str, str]:
    """200 as long as the process runs; says nothing about what is behind it."""
    return {"status": "ok"}


@routes.get("/readyz", summary="All parts are ready")
async def readyz(request: Request) -> Response:
    """200 when every shard has published and the log answers; else 503 with the parts that are not ready."""
    backend: Backend = request.app.state.backend
    if parts := backend.ready():
        detail = f"not ready: {', '.join(sorted(parts))}"
        return problems.response(503, "not-ready", detail, instance="/readyz", more={"parts": parts})
    return Response(b'{"status":"ready"}', media_type="application/json")


@routes.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    """Of every process of Ray on the node, with key figures of nats-server, in Prometheus' text format."""
    backend: Backend = request.app.state.backend
    return Response(await backend.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")


@routes.get("/v1/asyncapi.json", summary="AsyncAPI of the NATS subjects")
async def asyncapi(request: Request) -> Response:
    """AsyncAPI 3.0: every subject that devices publish on and downstream apps subscribe to."""
    return Response(orjson.dumps(request.app.state.asyncapi), media_type="application/json")


@routes.get("/openapi.json", include_in_schema=False)
async def openapi_json(request: Request) -> Response:
    """OpenAPI 3.1 of this API."""
    return Response(orjson.dumps(request.app.openapi()), media_type="application/json")


@routes.get("/docs", include_in_schema=False)
async def docs() -> Response:
    """The API to read and try out."""
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Bomnae 봄내 · API",
        swagger_js_url="/docs/swagger-ui-bundle.js",
        swagger_css_url="/docs/swagger-ui.css",
        swagger_favicon_url="data:,",
    )


@routes.get("/docs/{file}", include_in_schema=False)
async def docs_file(file: Literal["swagger-ui-bundle.js", "swagger-ui.css"]) -> Response:
    """The page's own script and style: the browser of a city desk may reach no other host."""
    return FileResponse(_ASSETS / file, headers={"cache-control": "public, max-age=86400"})
