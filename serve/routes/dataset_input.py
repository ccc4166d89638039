"""How rows of datasets come in by hand: a file that somebody brings, and a source that is asked now."""

import asyncio
import hashlib
from typing import Annotated, Literal

import aiohttp
import orjson
from fastapi import Query, Request
from starlette.responses import Response

from schemas.dataset import Format as FileFormat
from schemas.dataset import FromNats, Layout
from schemas.errors import ConflictError, InvalidError
from serve import openapi_catalogue, positions
from serve.catalogue.standing import standing_of
from serve.reading import MinPosition, view_after
from serve.render import JSON
from serve.routes.catalogue import DatasetId, desk_of
from serve.routing import router
from streams.connectors.fetching import Fetched

routes = router("catalogue")
_KINDS: dict[str, FileFormat] = {
    "text/csv": "csv",
    "application/geo+json": "geojson",
    "application/json": "json",
    "application/xml": "xml",
    "text/xml": "xml",
    "application/vnd.apache.parquet": "parquet",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}
_TRIES, _AGAIN_S = 4, 0.3
"""Of an upload whose rows are joined to others: until the newest state is seen here."""


@routes.post(
    "/v1/datasets/{dataset}/rows",
    status_code=201,
    responses=openapi_catalogue.refreshed(),
    openapi_extra=openapi_catalogue.ROWS_BODY,
    summary="Bring rows in · 데이터 올리기",
)
async def post_rows(
    request: Request,
    dataset: DatasetId,
    format: Annotated[FileFormat | None, Query(description="By the content type without it.")] = None,  # noqa: A002
    encoding: Annotated[Literal["utf-8", "cp949"] | None, Query(description="Found out without it.")] = None,
    sheet: Annotated[str | None, Query(max_length=60, description="Of an XLSX; the first without it.")] = None,
    min_position: MinPosition = None,
) -> Response:
    """A file as it comes: CSV, XLSX, GeoJSON, Parquet, JSON or XML. Good rows load, and what is wrong is told.

    The same file again changes nothing but when the dataset was seen last.
    """
    one = standing_of(desk_of(request).standings(await view_after(request, "catalogue", min_position)), dataset)
    if one.live:
        raise ConflictError(f"dataset {dataset!r} is kept by the city itself and takes no rows")
    if one.row["retired_at"] is not None:
        raise ConflictError(f"dataset {dataset!r} is retired and takes no rows")
    declared = one.facts.reading or (one.facts.connector if isinstance(one.facts.connector, Layout) else None)
    kind = format or _KINDS.get(request.headers.get("content-type", "").partition(";")[0].strip().lower())
    if kind is None and declared is None:
        raise InvalidError(f"give the format: {', '.join(sorted(set(_KINDS.values())))}")
    same = declared is not None and (kind is None or kind == declared.format)
    layout = Layout(
        format=kind or (declared.format if declared is not None else "csv"),
        encoding=encoding or (declared.encoding if same and declared is not None else None),
        sheet=sheet or (declared.sheet if same and declared is not None else None),
        path=declared.path if same and declared is not None else "",
    )
    if not (data := await request.body()):
        raise InvalidError("the body is empty: send the file itself")
    mark = hashlib.sha256(data).hexdigest()
    who = request.state.principal.subject
    began = asyncio.get_running_loop().time()
    fetched = Fetched((data,), mark, "upload · 올린 파일")  # who brought it is in the log of commands, and not public
    for left in reversed(range(_TRIES)):
        try:
            take = desk_of(request).refresher.take
            refresh, answer = await take(one, fetched, layout, who, began, uploaded=True)
            break
        except ConflictError:
            # Rows that are joined to those of before, and others came first.
            if one.facts.mode != "upsert" or not left:
                raise
            await asyncio.sleep(_AGAIN_S)
            one = standing_of(desk_of(request).standings(), dataset)
    position = positions.encode(answer.position)
    said = orjson.dumps({"dataset": dataset, "position": position, **refresh.model_dump(mode="json")})
    return Response(said, 201, {"cache-control": "no-store", "bomnae-position": position}, JSON)


@routes.post(
    "/v1/datasets/{dataset}/refresh",
    responses=openapi_catalogue.asked(),
    summary="Ask its source now · 갱신 요청",
)
async def post_refresh(request: Request, dataset: DatasetId, min_position: MinPosition = None) -> Response:
    """Without waiting for its interval; lost rows come back. A source that fails is told of in `down_since`."""
    desk = desk_of(request)
    one = standing_of(desk.standings(await view_after(request, "catalogue", min_position)), dataset)
    if one.live or one.facts.connector is None:
        raise ConflictError(f"dataset {dataset!r} has no source that could be asked")
    if isinstance(one.facts.connector, FromNats):
        raise ConflictError(f"dataset {dataset!r} comes by NATS when its provider publishes it: nobody can be asked")
    if one.row["retired_at"] is not None:
        raise ConflictError(f"dataset {dataset!r} is retired")
    async with aiohttp.ClientSession() as session:
        told = await desk.refresher.refresh(session, one, repair=True)
    said = orjson.dumps({"dataset": dataset, "outcome": told})
    return Response(said, headers={"cache-control": "no-store"}, media_type=JSON)
