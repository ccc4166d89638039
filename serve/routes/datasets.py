"""The rows of datasets (데이터셋): as tables, as maps, as charts, and how new ones are brought in."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Annotated, Any, Literal

import orjson
import polars as pl
from fastapi import Path, Query, Request
from starlette.responses import Response

from schemas.base import Frozen
from schemas.errors import ConflictError, GoneError, InvalidError
from serve import openapi_catalogue, paging
from serve.boxes import Bbox, box_of
from serve.catalogue import drawn, geo
from serve.catalogue.rows import Asked, hidden, picked, selected
from serve.catalogue.standing import Standing, audience_of, standing_of
from serve.charts.render import render
from serve.paging import Cursor
from serve.reading import MinPosition, QueryTime, view_after
from serve.render import GEOJSON, JSON, json_rows, matches, table
from serve.routes.catalogue import DatasetId, desk_of, lineage
from serve.routing import router
from serve.statistics.formats import TYPES, VEGA

routes = router("catalogue")
MOST_ROWS = 100_000
MOST_FEATURES = 20_000
"""Of a map in one answer; larger layers come in tiles."""
MOST_IN_TILE = 5_000
Format = Literal["json", "csv", "parquet", "arrow", "geojson"]
MapFormat = Literal["geojson", "vega", "svg", "png"]
ChartFormat = Literal["vega", "svg", "png", "json"]
_MEDIA: dict[str, str] = {**dict(TYPES.items()), "geojson": GEOJSON}
_DRAWING = asyncio.Semaphore(2)
"""Pictures that a replica draws at once: each keeps a thread busy for a second or more."""
_GONE = 499
"""Nobody reads it."""
Where = Annotated[
    list[str],
    Query(
        description="Conditions that all hold: column, one of `= != < <= > >= ~` (`~`: holds the text), value; "
        "`column=` for what is empty.",
        examples=[["lamps>=2"]],
    ),
]


class Picked(Frozen):
    """Which rows. Columns are those of `GET /v1/datasets/{dataset}`."""

    where: Where = []  # noqa: RUF012 - pydantic copies it
    bbox: Annotated[str | None, Query(description="west,south,east,north in degrees.", max_length=120)] = None
    as_of: Annotated[QueryTime | None, Query(description="The version of this moment; 410 where it is gone.")] = None
    min_position: MinPosition = None

    @property
    def box(self) -> Bbox | None:
        """The box as numbers. Raises `InvalidError`."""
        return None if self.bbox is None else box_of(self.bbox)


class RowsQuery(Picked):
    """Which rows, in which order and form."""

    select: Annotated[str, Query(description="Columns, comma separated; all without it.", max_length=4_000)] = ""
    sort: Annotated[str, Query(description="Columns, comma separated; `-` before one turns it.", max_length=1_000)] = ""
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS, description="Most rows in this answer.")] = 1_000
    cursor: Cursor = None
    format: Format = "json"


class MapQuery(Picked):
    """Which rows, in which form."""

    format: MapFormat = "geojson"


class ChartQuery(Picked):
    """Of which rows, in which form."""

    format: ChartFormat = "vega"


async def _rows(request: Request, dataset: str, query: Picked) -> tuple[Standing, pl.DataFrame, str] | None:
    known = desk_of(request).standings(await view_after(request, "catalogue", query.min_position))
    one = standing_of(known, dataset)
    audience = audience_of(request.state.principal)
    found = await desk_of(request).rows(one, audience, query.as_of, request.is_disconnected)
    return None if found is None else (one, *found)


async def _made(
    request: Request,
    one: Standing,
    version: str,
    make: Callable[[], bytes],
    media: str,
    *,
    following: str | None = None,
    room: asyncio.Semaphore | None = None,
) -> Response:
    """In a thread, for what it makes may take a second. Nothing is made that the client has (If-None-Match)."""
    headers = _headers(request, one, version) | ({"bomnae-next": following} if following is not None else {})
    if "etag" in headers and matches(request.headers.get("if-none-match"), headers["etag"]):
        return Response(status_code=304, headers=headers)
    async with room or nullcontext():
        return Response(await asyncio.to_thread(make), headers=headers, media_type=media)


def _headers(request: Request, one: Standing, version: str) -> dict[str, str]:
    """What is said beside an answer. Its ETag covers all that it depends on; what the city keeps itself has none."""
    told = {"cache-control": "no-cache", "vary": "Authorization", "bomnae-dataset-status": one.status}
    if not version:
        return told
    depends = (str(request.url), audience_of(request.state.principal), version, one.status, one.row["facts"])
    etag = hashlib.blake2b("\n".join(depends).encode(), digest_size=12).hexdigest()
    return told | {"bomnae-dataset-version": version, "etag": f'W/"{etag}"'}


@routes.get("/v1/datasets/{dataset}/rows", responses=openapi_catalogue.rows(), summary="Its rows · 데이터")
async def get_rows(request: Request, dataset: DatasetId, query: Annotated[RowsQuery, Query()]) -> Response:
    """The rows that the asker may see: filtered, sorted, in pages of one and the same version.

    What is personal is masked before anything is asked of the rows. `next` in JSON, and `Bomnae-Next` otherwise, is the
    cursor of the following page; it goes on with the version that it began with.
    """
    at, version_of = paging.decode(query.cursor, int, str) or (0, "")
    at = max(at, 0)
    if (found := await _paged(request, dataset, query, version_of)) is None:
        return Response(status_code=_GONE)
    one, rows, version = found
    asked = Asked(query.where, _names(query.select), _names(query.sort), query.box)
    columns = selected(one.facts, asked)
    whole = await asyncio.to_thread(picked, rows, one.facts, asked)
    shown = whole.slice(at, query.limit)
    following = paging.encode((at + query.limit, version)) if at + query.limit < len(whole) else None
    said = {
        "total": len(whole),
        "next": following,
        "version": version or None,
        "status": one.status,
        "masked": hidden(one.facts, audience_of(request.state.principal)),
        "lineage": _lineage(request, one, version),
    }
    made = partial(_body, one, shown, columns, query.format, said)
    return await _made(request, one, version, made, _MEDIA[query.format], following=following)


async def _paged(
    request: Request, dataset: str, query: RowsQuery, version: str
) -> tuple[Standing, pl.DataFrame, str] | None:
    """As `_rows`, of the version that a cursor names."""
    if not version:
        return await _rows(request, dataset, query)
    known = desk_of(request).standings(await view_after(request, "catalogue", query.min_position))
    one = standing_of(known, dataset)
    since = next((kept.since for kept in one.versions if kept.refresh.version == version), None)
    if since is None:
        raise GoneError("the version that this cursor goes on with is no longer kept: begin anew")
    found = await desk_of(request).rows(one, audience_of(request.state.principal), since, request.is_disconnected)
    return None if found is None else (one, *found)


def _body(one: Standing, rows: pl.DataFrame, columns: Sequence[str], form: Format, more: dict[str, Any]) -> bytes:
    if form == "geojson":
        return geo.collection(rows, one.facts, columns, {**more, "attribution": one.facts.source})
    shown = rows.select(columns)
    if form != "json":
        return table(shown, form)
    said = orjson.dumps({"dataset": one.id, **more}, option=orjson.OPT_UTC_Z)
    return b'%b,"rows":%b}' % (said[:-1], json_rows(shown) if len(shown) else b"[]")


@routes.get("/v1/datasets/{dataset}/map", responses=openapi_catalogue.mapped(), summary="On a map · 지도")
async def get_map(request: Request, dataset: DatasetId, query: Annotated[MapQuery, Query()]) -> Response:
    """GeoJSON (WGS84) of at most 20,000 features, or a picture. Larger layers come by `bbox` or in tiles."""
    if (found := await _rows(request, dataset, query)) is None:
        return Response(status_code=_GONE)
    one, rows, version = found
    whole = await asyncio.to_thread(picked, rows, one.facts, Asked(query.where, bbox=query.box))
    if query.format == "geojson" and len(whole) > MOST_FEATURES:
        raise InvalidError(f"{len(whole):,} features are more than {MOST_FEATURES:,}: give a bbox, or ask for tiles")
    told = _lineage(request, one, version)
    if query.format == "geojson":
        columns = [column.id for column in one.facts.columns]
        more = {"attribution": one.facts.source, "lineage": told}
        return await _made(request, one, version, lambda: geo.collection(whole, one.facts, columns, more), GEOJSON)
    return await _drawn(request, one, version, query.format, lambda: drawn.picture(whole, one.facts, told))


@routes.get(
    "/v1/datasets/{dataset}/tiles/{z}/{x}/{y}", responses=openapi_catalogue.mapped(), summary="A tile of its map · 타일"
)
async def get_tile(
    request: Request,
    dataset: DatasetId,
    z: Annotated[int, Path(ge=0, le=geo.DEEPEST, description="Zoom.", examples=[12])],
    x: Annotated[int, Path(ge=0, description="Column.", examples=[3500])],
    y: Annotated[int, Path(ge=0, description="Row, from the north.", examples=[1586])],
    query: Annotated[Picked, Query()],
) -> Response:
    """GeoJSON of what lies in a tile of the usual web maps, cut at its edge and simplified to its pixels."""
    if (found := await _rows(request, dataset, query)) is None:
        return Response(status_code=_GONE)
    one, rows, version = found
    geo.bounds_of(z, x, y)
    whole = await asyncio.to_thread(picked, rows, one.facts, Asked(query.where, bbox=query.box))
    columns = [column.id for column in one.facts.columns]
    made = partial(geo.tile, whole, one.facts, columns, z, x, y, MOST_IN_TILE)
    return await _made(request, one, version, made, GEOJSON)


@routes.get("/v1/datasets/{dataset}/chart", responses=openapi_catalogue.charted(), summary="As a chart · 차트")
async def get_chart(request: Request, dataset: DatasetId, query: Annotated[ChartQuery, Query()]) -> Response:
    """The chart that is declared for it: Vega-Lite (`usermeta.lineage` leads back to source and query) or a picture."""
    if (found := await _rows(request, dataset, query)) is None:
        return Response(status_code=_GONE)
    one, rows, version = found
    if not version and not one.live:
        raise ConflictError(f"dataset {dataset!r} has no rows yet, so it makes no chart")
    whole = await asyncio.to_thread(picked, rows, one.facts, Asked(query.where, bbox=query.box))
    told = _lineage(request, one, version)
    return await _drawn(request, one, version, query.format, lambda: drawn.chart(whole, one.facts, told))


async def _drawn(
    request: Request, one: Standing, version: str, form: str, make: Callable[[], dict[str, Any]]
) -> Response:
    if form in {"vega", "json"}:
        media = VEGA if form == "vega" else JSON
        return await _made(request, one, version, lambda: orjson.dumps(make()), media)
    kind: Literal["svg", "png"] = "svg" if form == "svg" else "png"
    return await _made(request, one, version, lambda: render(make(), kind), _MEDIA[form], room=_DRAWING)


@routes.get(
    "/v1/datasets/{dataset}/findings",
    responses=openapi_catalogue.findings(),
    summary="What is wrong, row by row · 점검",
)
async def get_findings(
    request: Request,
    dataset: DatasetId,
    as_of: Annotated[QueryTime | None, Query(description="Of the refresh of this moment.")] = None,
    min_position: MinPosition = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
    cursor: Cursor = None,
) -> Response:
    """Of the last refresh: row in the source, column, kind, what was done, the text that stood there, and why.

    Counts of all of them are with the dataset; of each kind and column the first thousand are listed here.
    """
    one = standing_of(desk_of(request).standings(await view_after(request, "catalogue", min_position)), dataset)
    at = max(0, *(paging.decode(cursor, int) or (0,)))
    refresh = one.newest if as_of is None else one.at(as_of)
    found = pl.DataFrame()
    if refresh is not None and refresh.listing is not None:
        found = await desk_of(request).shelf.findings(one.id, refresh)
    following = paging.encode((at + limit,)) if at + limit < len(found) else None
    rows = json_rows(found.slice(at, limit)) if len(found) else b"[]"
    body = b'{"items":%b,"next":%b}' % (rows, orjson.dumps(following))
    return Response(body, headers={"cache-control": "no-store"}, media_type=JSON)


def _names(said: str) -> list[str]:
    return [one.strip() for one in said.split(",") if one.strip()]


def _lineage(request: Request, one: Standing, version: str) -> dict[str, Any]:
    return lineage(one, version, f"{request.url.path}?{request.url.query}".rstrip("?"))
