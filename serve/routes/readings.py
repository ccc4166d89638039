"""Readings over HTTP: the sender's own sensors only, split by partition, stored on INGEST before the answer."""

import asyncio
from collections import defaultdict
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from fastapi import Request
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from actors.envelope import is_compressed, text, whole
from actors.facility.parse_arrow import check_schema
from actors.facility.rows import RANGES
from schemas.api import Reading, Refusal
from schemas.errors import ForbiddenError, InvalidError
from schemas.tables import MAX_READINGS, READINGS
from serve import openapi, positions, render
from serve.backend import Backend, Piece
from serve.idempotency import OnceFor
from serve.reading import MinPosition, frame, view_after
from serve.routing import router
from serve.writing import accept
from streams import codec, subjects

routes = router("readings")
_ONE, _MANY = TypeAdapter(Reading), TypeAdapter(list[Reading])
_NAMED = 1_000
"""Refusals that an answer names: it may have to be kept in the log."""
_UNIT = pa.field("unit", pa.string())
_LETTERS = {"sensor": 63, "unit": 20}
"""The most that an id and a unit have: no longer one is that of a sensor."""
_FAULTY = "a cell is empty or impossible: fill sensor, time, value, sequence, boot and quality (0, 1 or 2)"


@routes.post(
    "/v1/readings",
    status_code=202,
    responses=openapi.accepted(),
    openapi_extra=openapi.READINGS_BODY,
    summary="Send readings",
)
async def post_readings(request: Request, once: OnceFor, min_position: MinPosition = None) -> Response:
    """One reading or a list as JSON, or an Arrow IPC stream of them; stored durably when this answers.

    A reading counts once however often it is sent, so a repeat needs no key; one with a key costs two commits. Readings
    that cannot be read, and those of sensors that are not the sender's, are refused by row or name while the others
    count; when nothing is left, 422 or 403. What only folding can judge (a time in the future, a wrong unit, in Arrow
    NaN) is kept among the rejected input with its reason.
    """
    table, unread = _parse(request.headers.get("content-type", ""), await request.body())
    await view_after(request, "facility", min_position)
    return await accept(request, once, lambda: _store(request, table, unread))


async def _store(request: Request, table: pa.Table, unread: list[Refusal]) -> dict[str, Any]:
    foreign, batches = _split(request, table)
    refused = unread + foreign
    if not batches:
        raise ForbiddenError("; ".join(f"{one.sensor}: {one.reason}" for one in refused[:10]))
    backend: Backend = request.app.state.backend
    headers = {"content-type": render.ARROW}
    headers |= {codec.TRACEPARENT: trace} if (trace := codec.trace_of(request.headers)) else {}
    stored = await asyncio.gather(*(backend.ingest(subject, headers, _stream(rows)) for _, subject, rows in batches))
    pieces = [
        Piece("facility", shard, sequence, True) for (shard, _, _), (_, sequence) in zip(batches, stored, strict=True)
    ]
    return {
        "position": positions.encode(tuple(pieces)),
        "accepted": sum(rows.num_rows for _, _, rows in batches),
        "refused": [one.model_dump() for one in refused[:_NAMED]],
    }


def _parse(content_type: str, body: bytes) -> tuple[pa.Table, list[Refusal]]:
    """The readings, at least one, and by row those that are none. Raises `InvalidError` where nothing is left."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == render.ARROW:
        return _from_arrow(body)
    if kind != "application/json":
        raise HTTPException(415, f"send application/json or {render.ARROW}")
    readings, refused = _from_json(body)
    columns: dict[str, Any] = {name: [getattr(one, name) for one in readings] for name in READINGS.names}
    fields = list(READINGS)
    if any(one.unit is not None for one in readings):
        columns["unit"], fields = [one.unit for one in readings], [*fields, _UNIT]
    return pa.table(columns, schema=pa.schema(fields)), refused


def _from_json(body: bytes) -> tuple[list[Reading], list[Refusal]]:
    many = body.lstrip()[:1] == b"["
    try:
        readings = _MANY.validate_json(body) if many else [_ONE.validate_json(body)]
        _check_size(len(readings))
        return readings, []
    except ValidationError as error:
        # What is no JSON has no place.
        found = error.errors(include_url=False, include_context=False, include_input=False)
        wrong = {int(one["loc"][0]): one for one in reversed(found) if many and one["loc"]}
        items = from_json(body) if wrong else []
        _check_size(max(len(items), 1))
        if len(wrong) == len(items):
            places = [{"at": "/".join(map(str, one["loc"])), "reason": one["msg"]} for one in found[:100]]
            raise InvalidError("no reading can be read: see errors", places) from None
    refused = [
        Refusal(sensor=_name(items[row]), row=row, reason=f"{'/'.join(map(str, one['loc'][1:]))}: {one['msg']}")
        for row, one in sorted(wrong.items())
    ]
    good = to_json([item for row, item in enumerate(items) if row not in wrong], inf_nan_mode="constants")
    return _MANY.validate_json(good), refused


def _name(item: object) -> str:
    sensor = item.get("sensor") if isinstance(item, dict) else None
    return sensor[: _LETTERS["sensor"]] if isinstance(sensor, str) else ""


def _from_arrow(body: bytes) -> tuple[pa.Table, list[Refusal]]:
    try:
        if is_compressed(body):
            raise InvalidError("the Arrow stream is compressed: send it uncompressed")
        batches, rows = [], 0
        with pa.ipc.open_stream(body) as reader:
            check_schema(reader.schema)
            for batch in reader:
                batch.validate(full=True)
                rows += batch.num_rows
                _check_size(max(rows, 1))
                batches.append(batch)
            table = pa.Table.from_batches(batches, reader.schema)
        _check_size(rows)
        for name in ("boot", "quality"):
            if name not in table.column_names:
                zeros = pa.array([0] * rows, READINGS.field(name).type)
                table = table.append_column(READINGS.field(name), zeros)
        fields = [*READINGS, *([_UNIT] if "unit" in table.column_names else [])]
        if extra := set(table.column_names).difference(field.name for field in fields):
            raise InvalidError(f"a batch of readings has no column {min(extra)!r}")
        for name, most in _LETTERS.items():
            if name in table.column_names:
                column = text(whole(table[name]), most)
                table = table.set_column(table.column_names.index(name), name, column)
        table = table.select([field.name for field in fields])
        table, refused = _without_faulty(table)
        return table.cast(pa.schema(fields)), refused
    except (pa.ArrowException, KeyError, OSError, ValueError) as error:
        raise InvalidError(f"not an Arrow IPC stream of readings: {error}") from None


def _without_faulty(table: pa.Table) -> tuple[pa.Table, list[Refusal]]:
    """The rows whose cells can be those of a reading, and by row the others."""
    faulty = np.zeros(len(table), bool)
    for name in READINGS.names:
        if table[name].null_count:
            faulty |= np.asarray(table[name].is_null())
        if name in RANGES:
            numbers = np.asarray(table[name].fill_null(0))
            faulty |= (numbers < 0) | (numbers > RANGES[name])
    if not faulty.any():
        return table, []
    if faulty.all():
        raise InvalidError(f"no reading can be read: {_FAULTY}")
    rows = np.flatnonzero(faulty)
    sensors = table["sensor"].take(pa.array(rows)).to_pylist()
    refused = [
        Refusal(sensor=sensor or "", row=row, reason=_FAULTY)
        for row, sensor in zip(rows.tolist(), sensors, strict=True)
    ]
    return table.filter(pa.array(~faulty)), refused


def _check_size(rows: int) -> None:
    if not 1 <= rows <= MAX_READINGS:
        raise InvalidError(f"a request carries 1 to {MAX_READINGS:,} readings, not {rows:,}")


def _split(request: Request, table: pa.Table) -> tuple[list[Refusal], list[tuple[int, str, pa.Table]]]:
    """The refused sensors, and per partition the subject to publish on with the sender's own rows."""
    backend: Backend = request.app.state.backend
    sender = request.state.principal
    sensors = pc.cast(table["sensor"], pa.string())
    distinct = pc.unique(sensors).to_pylist()
    known = frame(request, backend.view("facility"), "sensors").filter(pl.col("sensor").is_in(distinct))
    owners: dict[str, list[tuple[str, str | None]]] = defaultdict(list)
    for sensor, *owner in known.select("sensor", "facility", "gateway").iter_rows():
        owners[sensor].append((owner[0], owner[1]))
    refused: list[Refusal] = []
    mine: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for sensor in distinct:
        own = [
            facility
            for facility, gateway in owners.get(sensor, ())
            if facility == sender.facility or (gateway is not None and gateway == sender.gateway)
        ]
        if len(own) == 1:
            mine[subjects.partition(own[0], backend.shards("facility"))].append((sensor, own[0]))
        elif own:
            refused.append(
                Refusal(sensor=sensor, reason=f"is a sensor of {' and '.join(own)}: register it anew under another id")
            )
        else:
            why = "is not a sensor of this sender" if sensor in owners else "is not registered"
            refused.append(Refusal(sensor=sensor, reason=why))
    kind = f"{subjects.GATEWAY_PREFIX}{sender.gateway}" if sender.gateway else subjects.READINGS
    batches = []
    for shard, found in sorted(mine.items()):
        names = [sensor for sensor, _ in found]
        rows = table if len(names) == len(distinct) else table.filter(pc.is_in(sensors, pa.array(names, pa.string())))
        batches.append((shard, subjects.raw("facility", found[0][1], kind), rows))
    return refused, batches


def _stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks().unify_dictionaries())
    return bytes(sink.getvalue())
