"""The catalogue (데이터 목록): which datasets there are, how fresh and how complete, and who may read them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import Path, Query, Request
from starlette.responses import Response

from actors.catalogue.decider import due_at, open_to
from actors.catalogue.state import Known
from schemas.base import EntityId, Frozen, Text, from_micros, micros
from schemas.catalogue import RegisterDataset, RetireDataset
from schemas.dataset import SUBJECTS, Dataset, Subject
from serve import openapi, openapi_catalogue, paging
from serve.backend import Backend
from serve.catalogue import dcat
from serve.catalogue.desk import City, Desk
from serve.catalogue.entry import Status
from serve.catalogue.standing import Standing, audience_of, readable, standing_of
from serve.history import History, events_of
from serve.idempotency import OnceFor
from serve.paging import Cursor, Limit
from serve.reading import MinPosition, view_after
from serve.render import JSON
from serve.routing import router
from serve.statistics import ALL
from serve.writing import stamp, submit

routes = router("catalogue")
DatasetId = Annotated[EntityId, Path(description="Id of the dataset.", examples=["bus-stops"])]
JSONLD = "application/ld+json"


class CatalogueQuery(Frozen):
    """Which datasets; with `q` the best matches first, in one page."""

    q: Annotated[str | None, Query(max_length=200, description="Words, Korean or English.")] = None
    typing: Annotated[bool, Query(description="The last word of `q` is still being typed.")] = False
    subject: Subject | None = None
    status: Status | None = None
    readable: Annotated[bool | None, Query(description="Whether the asker may read the rows.")] = None
    min_position: MinPosition = None
    limit: Limit = 200
    cursor: Cursor = None


class Retirement(Frozen):
    """Why a dataset is no longer kept up."""

    reason: Text
    superseded_by: EntityId | None = None


def desk_of(request: Request) -> Desk:
    """This replica's."""
    desk: Desk = request.app.state.desk
    return desk


@routes.get("/v1/catalogue", responses=openapi_catalogue.listed(), summary="What datasets there are · 데이터 목록")
async def list_datasets(request: Request, query: Annotated[CatalogueQuery, Query()]) -> Response:
    """By id, or with `q` by how well they match; each with how fresh and how complete it is, and what is wrong."""
    view = await view_after(request, "catalogue", query.min_position)
    desk = desk_of(request)
    known, after = desk.standings(view), paging.decode(query.cursor, str)
    shown = [one for one in known.values() if _wanted(request, one, query)]
    matched: Mapping[str, Any] = {}
    if query.q is not None:
        hits = (await desk.finder()).find(query.q, limit=len(known), typing=query.typing)
        matched, allowed = {hit.id: hit for hit in hits}, {one.id: one for one in shown}
        shown = [allowed[hit.id] for hit in hits if hit.id in allowed]
    elif after is not None:
        shown = [one for one in shown if one.id > after[0]]
    further = len(shown) > query.limit and query.q is None
    following = paging.encode((shown[query.limit - 1].id,)) if further else None
    items = [summary(request, one) for one in shown[: query.limit]]
    for item in items:
        if (hit := matched.get(item["dataset"])) is not None:
            item |= {"score": hit.score, "matched": hit.matched}
    return _json({"items": items, "next": following})


def _wanted(request: Request, one: Standing, query: CatalogueQuery) -> bool:
    if query.subject is not None and one.facts.subject != query.subject:
        return False
    if query.status is not None and one.status != query.status:
        return False
    return query.readable is None or query.readable == _may(request, one)


def _may(request: Request, one: Standing) -> bool:
    backend: Backend = request.app.state.backend
    return readable(one.facts, audience_of(request.state.principal), backend.now())


def summary(request: Request, one: Standing) -> dict[str, Any]:
    """What a list shows of a dataset."""
    backend: Backend = request.app.state.backend
    entry, facts, now = one.entry, one.facts, backend.now()
    subject_ko, subject_en = SUBJECTS[facts.subject]
    return {
        "dataset": one.id,
        "title_ko": facts.title_ko,
        "title_en": facts.title_en,
        "subject": facts.subject,
        "subject_ko": subject_ko,
        "subject_en": subject_en,
        "owner_ko": facts.owner_ko,
        "status": entry.status,
        "connected": entry.status != "not-connected",
        "opened_to": open_to(facts, now),
        "readable": _may(request, one),
        "rows": entry.rows,
        "refreshed_at": now if one.live else entry.refreshed_at,
        "seen_at": now if one.live else one.row["seen_at"],
        "data_time": entry.data_time,
        "age_s": _age(one, now),
        "interval_s": facts.interval_s,
        "late_since": one.row["late_since"],
        "down_since": one.row["down_since"],
        "completeness": entry.completeness,
        "findings": sum(found.rows for found in one.newest.findings) if one.newest is not None else None,
        "columns_changed_at": entry.columns_changed_at,
        "retired_at": entry.retired_at,
        "superseded_by": entry.superseded_by,
        "synthetic": facts.synthetic,
    }


def _age(one: Standing, now: datetime) -> float | None:
    if one.live:
        return 0.0
    seen = one.row["seen_at"]
    return None if seen is None else max(0.0, (now - seen).total_seconds())


@routes.get("/v1/datasets/{dataset}", responses=openapi_catalogue.described(), summary="One dataset · 데이터셋")
async def get_dataset(request: Request, dataset: DatasetId, min_position: MinPosition = None) -> Response:
    """What it is, column by column, how it stands, what its last refresh found, and its lineage.

    `findings` counts what was found in the rows by kind and column, and what was done about it.
    """
    one = standing_of(desk_of(request).standings(await view_after(request, "catalogue", min_position)), dataset)
    newest, staff = one.newest, request.state.principal.staff
    said = {
        **summary(request, one),
        "facts": one.facts.model_dump(mode="json", exclude=set() if staff else {"connector", "reading"}),
        "due_at": _due(one),
        "down_why": one.row["down_why"] if staff else None,
        "retired_why": one.row["retired_why"],
        "received": newest.received if newest is not None else None,
        "dropped": newest.dropped if newest is not None else None,
        "findings": [found.model_dump() for found in newest.findings] if newest is not None else [],
        "header": newest.header if newest is not None else None,
        "lineage": lineage(one),
        "links": _links(one),
    }
    return _json(said)


def lineage(one: Standing, version: str | None = None, query: str = "") -> dict[str, Any]:
    """Where rows come from, step by step: the provider, what was read, the version, and what was asked of it."""
    connector, found = one.facts.connector, one.newest
    if version:
        found = next((kept.refresh for kept in one.versions if kept.refresh.version == version), found)
    said: dict[str, Any] = {"dataset": one.id, "source": one.facts.source, "owner": one.facts.owner_ko, "query": query}
    if connector is not None and connector.by == "city":
        kind, _, name = connector.table.partition(".")
        said |= {"table": connector.table, "versions_of": f"/v1/datasets/{one.id}/history"}
        if kind == "statistic" and name in ALL:
            said |= {"statistic": f"/v1/statistics/{name}", "reads": ALL[name].source}
    elif found is not None:
        said |= {"read": found.source, "version": found.version, "schema_digest": found.schema_digest}
    return said


def _due(one: Standing) -> datetime | None:
    row = one.row
    stands = Known(one.facts, micros(row["registered_at"]), micros(row["modified_at"]))
    stands.seen_at = micros(row["seen_at"]) if row["seen_at"] is not None else None
    stands.retired_at = micros(row["retired_at"]) if row["retired_at"] is not None else None
    due = due_at(stands)
    return from_micros(due) if due is not None else None


def _links(one: Standing) -> dict[str, str]:
    base = f"/v1/datasets/{one.id}"
    links = {"rows": f"{base}/rows", "history": f"{base}/history"}
    if one.facts.geometry is not None:
        links |= {"map": f"{base}/map", "tiles": f"{base}/tiles/{{z}}/{{x}}/{{y}}"}
    if one.facts.chart is not None:
        links["chart"] = f"{base}/chart"
    return links


@routes.get("/v1/catalogue.jsonld", responses=openapi_catalogue.linked(), summary="The catalogue as DCAT-AP 3")
async def get_dcat(request: Request) -> Response:
    """JSON-LD with a context of its own, valid under the official shapes of DCAT-AP 3."""
    backend: Backend = request.app.state.backend
    entries = [one.entry for one in desk_of(request).standings().values()]
    modified = max((one.modified_at for one in entries), default=backend.now())
    city: City = request.app.state.city
    base = str(request.base_url).rstrip("/")
    said = dcat.catalogue(
        entries,
        base_url=base,
        publisher_ko=city.ko,
        publisher_en=city.en,
        modified=modified,
        at=backend.now(),
        place=city.place,
    )
    return Response(orjson.dumps(said), headers={"cache-control": "no-cache"}, media_type=JSONLD)


@routes.get(
    "/v1/datasets/{dataset}/history",
    responses=openapi.json_page("HistoryItem", tagged=True),
    summary="What happened to a dataset · 갱신 이력",
)
async def dataset_history(request: Request, dataset: DatasetId, asked: Annotated[History, Query()]) -> Response:
    """Its events, oldest first: refreshes with their counts, changed columns, failures of its provider, openings."""
    return await events_of(request, "catalogue", dataset, asked, "dataset")


@routes.put("/v1/datasets/{dataset}", responses=openapi.written(), summary="Register a dataset or change it")
async def put_dataset(request: Request, dataset: DatasetId, body: Dataset, once: OnceFor) -> Response:
    """The same facts again change nothing. Other columns or rules: its source is read again."""
    return await submit(request, [RegisterDataset(**stamp(request), dataset=dataset, facts=body)], once)


@routes.post("/v1/datasets/{dataset}/retire", responses=openapi.written(), summary="Retire a dataset · 폐기")
async def retire_dataset(request: Request, dataset: DatasetId, body: Retirement, once: OnceFor) -> Response:
    """It takes no rows any more; the last ones stay readable, and marked."""
    command = RetireDataset(**stamp(request), dataset=dataset, **dict(body))
    return await submit(request, [command], once)


def _json(said: dict[str, Any], status: Literal[200, 201] = 200) -> Response:
    headers = {"cache-control": "no-cache", "vary": "Authorization"}
    return Response(orjson.dumps(said, option=orjson.OPT_UTC_Z), status, headers, JSON)
