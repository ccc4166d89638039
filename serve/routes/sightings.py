"""Sightings over HTTP: the sender's own cameras only, split by partition, stored on INGEST before the answer."""

import asyncio
from collections import defaultdict
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from fastapi import Request
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from actors.envelope import text, whole
from actors.sighting.rows import LONGEST, MAGIC, UnreadableError, read
from schemas.errors import ForbiddenError, InvalidError
from schemas.sighting import ATTRIBUTES, MAX_SIGHTINGS, SIGHTINGS, Sighting
from serve import openapi_cases, positions, render
from serve.backend import Backend, Piece
from serve.idempotency import OnceFor
from serve.reading import MinPosition, frame, view_after
from serve.routing import router
from serve.writing import accept
from streams import codec, subjects
from streams.ingest import Observed

routes = router("sightings")
_ONE, _MANY = TypeAdapter(Sighting), TypeAdapter(list[Sighting])
_LOOSE = pa.schema([field.with_nullable(True) for field in SIGHTINGS])
_NAMED = 1_000
"""Refused cameras that an answer names: it may have to be kept in the log."""


@routes.post(
    "/v1/sightings",
    status_code=202,
    responses=openapi_cases.sightings_accepted(),
    openapi_extra=openapi_cases.SIGHTINGS_BODY,
    summary="Send sightings · 목격 전송",
)
async def post_sightings(request: Request, once: OnceFor, min_position: MinPosition = None) -> Response:
    """One sighting or a list as JSON, or an Arrow IPC stream of them; stored durably when this answers.

    A camera (a device's token that names it as its `facility`) sends its own, a gateway those of its cameras. A
    sighting counts once however often it is sent. Cameras that are not the sender's are refused by name while the
    others count; 403 when nothing is left. What only folding can judge is kept among the rejected input, without
    embedding or picture.
    """
    table = _parse(request.headers.get("content-type", ""), await request.body())
    await view_after(request, "sighting", min_position)
    return await accept(request, once, lambda: _store(request, table))


async def _store(request: Request, table: pa.Table) -> dict[str, Any]:
    refused, batches = _split(request, table)
    if not batches:
        raise ForbiddenError("; ".join(f"{one['camera']}: {one['reason']}" for one in refused[:10]))
    backend: Backend = request.app.state.backend
    headers = {"content-type": render.ARROW}
    headers |= {codec.TRACEPARENT: trace} if (trace := codec.trace_of(request.headers)) else {}
    stored = await asyncio.gather(*(backend.ingest(subject, headers, _stream(rows)) for _, subject, rows in batches))
    pieces = [
        Piece("sighting", shard, sequence, True) for (shard, _, _), (_, sequence) in zip(batches, stored, strict=True)
    ]
    return {
        "position": positions.encode(tuple(pieces)),
        "accepted": sum(rows.num_rows for _, _, rows in batches),
        "refused": refused[:_NAMED],
    }


def _parse(content_type: str, body: bytes) -> pa.Table:
    kind = content_type.partition(";")[0].strip().lower()
    if kind == render.ARROW:
        return _from_arrow(body)
    if kind != "application/json":
        raise HTTPException(415, f"send application/json or {render.ARROW}")
    try:
        many = body.lstrip()[:1] == b"["
        sightings = _MANY.validate_json(body) if many else [_ONE.validate_json(body)]
    except ValidationError as error:
        found = [{"at": "/".join(map(str, one["loc"])), "reason": one["msg"]} for one in error.errors()[:100]]
        raise InvalidError("some sightings cannot be read: see errors; none of them counts", found) from None
    _check_size(len(sightings))
    rows = []
    for number, one in enumerate(sightings):
        given = one.attributes
        if given is not None and not given.keys() <= ATTRIBUTES.keys():
            raise InvalidError(
                "there is an attribute that no sighting has", [{"at": str(number), "reason": "attribute"}]
            )
        whole = None if given is None else {name: given.get(name) for name in ATTRIBUTES}
        rows.append({**dict(one), "attributes": whole})
    try:
        return pa.Table.from_pylist(rows, _LOOSE)
    except (pa.ArrowException, OverflowError) as error:
        raise InvalidError("a number does not fit: boxes are 32-bit integers") from error


def _from_arrow(body: bytes) -> pa.Table:
    if body[:4] != MAGIC:
        raise InvalidError("not an Arrow IPC stream of sightings")
    try:
        rows = read(Observed(0, "", subjects.SIGHTINGS, 0, {}, body))
    except UnreadableError as error:
        raise InvalidError(error.reason) from None
    _check_size(len(rows))
    with pa.ipc.open_stream(body) as reader:
        return reader.read_all()


def _check_size(rows: int) -> None:
    if not 1 <= rows <= MAX_SIGHTINGS:
        raise InvalidError(f"a request carries 1 to {MAX_SIGHTINGS:,} sightings, not {rows:,}")


def _split(request: Request, table: pa.Table) -> tuple[list[dict[str, str]], list[tuple[int, str, pa.Table]]]:
    """The refused cameras, and per partition the subject to publish on with the sender's own rows."""
    backend: Backend = request.app.state.backend
    sender = request.state.principal
    named = text(whole(table["camera"]), LONGEST)
    distinct = [one for one in pc.unique(named).to_pylist() if one is not None]
    known = frame(request, backend.view("sighting"), "cameras").filter(pl.col("camera").is_in(distinct))
    gateways = dict(known.select("camera", "gateway").iter_rows())
    refused: list[dict[str, str]] = []
    mine: dict[int, list[str]] = defaultdict(list)
    for camera in distinct:
        if camera not in gateways:
            refused.append({"camera": camera[:63], "reason": "is not registered"})
        elif camera == sender.facility or (sender.gateway is not None and gateways[camera] == sender.gateway):
            mine[subjects.partition(camera, backend.shards("sighting"))].append(camera)
        else:
            refused.append({"camera": camera, "reason": "is not a camera of this sender"})
    kind = f"{subjects.GATEWAY_PREFIX}{sender.gateway}" if sender.gateway else subjects.SIGHTINGS
    return refused, [
        (shard, subjects.raw("sighting", names[0], kind), table.filter(pc.is_in(named, pa.array(names, pa.string()))))
        for shard, names in sorted(mine.items())
    ]


def _stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks().unify_dictionaries())
    return bytes(sink.getvalue())
