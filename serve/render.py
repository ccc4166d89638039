"""Tables to bytes: JSON or Arrow, with ETag and gzip, rendered once per state and remembered.

A hot read costs a dictionary look-up: the key holds the version of the view, so nothing is ever invalidated, only
forgotten, least recently used first.
"""

import asyncio
import gzip
import hashlib
import io
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeVar

import orjson
import polars as pl
import pyarrow as pa
from fastapi import Request
from starlette.responses import Response

from serve import positions
from serve.backend import Piece, View

T = TypeVar("T")
JSON, GEOJSON, ARROW = "application/json", "application/geo+json", "application/vnd.apache.arrow.stream"
_WORTH_GZIP = 1_000
"""Bytes; below about a network packet, compressing saves nothing."""
_ENTRY = 900
"""Bytes of a remembered body beside its texts: objects, and its place (measured: 750 with the shortest of them)."""
_DERIVED = 256
_LARGE_ROWS = 5_000
"""Rows whose rendering (some 3 µs each) would hold up the event loop: they go to a thread."""


@dataclass(slots=True)
class Rendered:
    """A body that can be sent again and again."""

    body: bytes
    media_type: str
    etag: str
    position: str
    key_size: int = 0
    gzipped: bytes | None = None
    counted: int = 0

    @property
    def size(self) -> int:
        """About how many bytes it takes in memory, with its key."""
        compressed = len(self.gzipped) if self.gzipped is not None else 0
        return len(self.body) + compressed + len(self.position) + self.key_size + _ENTRY

    def answer(self, request: Request) -> Response:
        """304 where the client has it already, gzip where it is worth it and accepted."""
        headers = {
            "etag": self.etag,
            "cache-control": "no-cache",
            "vary": "Accept, Accept-Encoding, Authorization",
            "bomnae-position": self.position,
        }
        if matches(request.headers.get("if-none-match"), self.etag):
            return Response(None, 304, headers)
        if len(self.body) < _WORTH_GZIP or not _takes_gzip(request.headers.get("accept-encoding", "")):
            return Response(self.body, 200, headers, self.media_type)
        if self.gzipped is None:
            self.gzipped = gzip.compress(self.body, 1, mtime=0)
        headers["content-encoding"] = "gzip"
        return Response(self.gzipped, 200, headers, self.media_type)


def rendered_of(body: bytes, media_type: str, view: View) -> Rendered:
    """A body that tells what the view holds."""
    # Weak, since gzip has the same tag; of the body, so that an unrelated commit changes nothing.
    etag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    position = positions.encode(tuple(Piece(view.context, shard, at) for shard, at in view.positions.items()))
    return Rendered(body, media_type, etag, position)


def matches(condition: str | None, etag: str) -> bool:
    """Whether an `If-None-Match` names this ETag (RFC 9110, 13.1.2: weakly)."""
    if condition is None:
        return False
    return any(one.strip().removeprefix("W/") in ("*", etag.removeprefix("W/")) for one in condition.split(","))


def _takes_gzip(accepted: str) -> bool:
    qualities = _qualities(accepted)
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


@lru_cache(256)
def _qualities(header: str) -> Mapping[str, float]:
    """What an `Accept…` header names, and how much it is wanted: 0 not at all, 1 most."""
    found: dict[str, float] = {}
    for one in header.lower().replace(" ", "").split(","):
        name, *parameters = one.split(";")
        with suppress(ValueError):
            found[name] = float(next((text[2:] for text in parameters if text.startswith("q=")), "1"))
    return found


@dataclass(frozen=True, slots=True)
class Job:
    """What to render when it is not remembered; `rows` tells the size."""

    produce: Callable[[], bytes]
    media_type: str = JSON
    rows: int = 0


class Renderer:
    """Remembers rendered bodies up to about `max_bytes` with their keys, and the frames of the newest views."""

    def __init__(self, max_bytes: int = 128_000_000) -> None:
        self._kept: OrderedDict[Hashable, Rendered] = OrderedDict()
        self._frames: OrderedDict[Hashable, pl.DataFrame] = OrderedDict()
        self._derived: OrderedDict[Hashable, Any] = OrderedDict()
        self._bytes, self._max = 0, max_bytes

    def frame(self, view: View, table: str) -> pl.DataFrame:
        """A table of a view as a frame, without copying; the same object while the view is the same."""
        key = (view.context, view.version, table)
        if (frame := self._frames.get(key)) is None:
            frame = self._frames[key] = frame_of(view.tables[table])
            while len(self._frames) > 32:
                self._frames.popitem(last=False)
        return frame

    def derived(self, view: View, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` makes of a view, once while it is the same; do not change it. `key` names it within the view.

        For small things that many requests need: an operation on a frame costs a third of a millisecond, however small.
        """
        whole = (view.context, view.version, key)
        if whole not in self._derived:
            self._derived[whole] = make()
            while len(self._derived) > _DERIVED:
                self._derived.popitem(last=False)
        found: T = self._derived[whole]
        return found

    async def answer(self, request: Request, view: View, key: Hashable, job: Job) -> Response:
        """The response for what the job produces; `key` names it within the view.

        It runs once per key and version (twice when two ask at the same moment for something large).
        """
        whole = (view.context, view.version, key, job.media_type)
        large = job.rows > _LARGE_ROWS
        if (rendered := self._kept.get(whole)) is None:
            body = await asyncio.to_thread(job.produce) if large else job.produce()
            rendered = self._keep(whole, body, job.media_type, view, len(repr(key)))
        else:
            self._kept.move_to_end(whole)
        if rendered.gzipped is not None:
            return rendered.answer(request)
        answer = await asyncio.to_thread(rendered.answer, request) if large else rendered.answer(request)
        if self._kept.get(whole) is rendered:
            self._count(rendered)
        return answer

    def _keep(self, key: Hashable, body: bytes, media_type: str, view: View, key_size: int = 0) -> Rendered:
        rendered = rendered_of(body, media_type, view)
        rendered.key_size = key_size
        if (before := self._kept.pop(key, None)) is not None:
            self._bytes -= before.counted
        self._kept[key] = rendered
        self._count(rendered)
        return rendered

    def _count(self, rendered: Rendered) -> None:
        """Count what it has become, and forget others to make room for it."""
        self._bytes += rendered.size - rendered.counted
        rendered.counted = rendered.size
        while self._bytes > self._max and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].counted


def frame_of(table: pa.Table) -> pl.DataFrame:
    """A table as a frame, without copying."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a Series only comes from an array
    return frame


def json_rows(frame: pl.DataFrame) -> bytes:
    """A JSON array of objects; times as RFC 3339 in UTC with microseconds, NaN as null."""
    return frame.with_columns(iso(pl.col(pl.Datetime))).write_json().encode()


def iso(times: pl.Expr) -> pl.Expr:
    """Times as RFC 3339 in UTC with microseconds."""
    return times.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")


def json_row(frame: pl.DataFrame) -> bytes:
    """The first row as a JSON object."""
    return json_rows(frame.head(1))[1:-1]


def json_page(frame: pl.DataFrame, following: str | None) -> bytes:
    """`{"items": […], "next": cursor}`."""
    return b'{"items":%b,"next":%b}' % (json_rows(frame), orjson.dumps(following))


def arrow(frame: pl.DataFrame, schema: pa.Schema, following: str | None = None) -> bytes:
    """An Arrow IPC stream of the frame in the types of `schema`; its metadata say what page follows (`next`)."""
    fields = [schema.field(name) for name in frame.columns]
    metadata = {} if following is None else {"next": following}
    table = frame.to_arrow().cast(pa.schema(fields)).replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def table(rows: pl.DataFrame, form: Literal["csv", "parquet", "arrow"]) -> bytes:
    """Rows as a file: CSV with times as `iso` and a mark by which spreadsheets know UTF-8, Parquet, an Arrow stream."""
    sink = io.BytesIO()
    match form:
        case "csv":
            rows.with_columns(iso(pl.col(pl.Datetime))).write_csv(sink, include_bom=True)
        case "parquet":
            rows.write_parquet(sink)
        case "arrow":
            rows.write_ipc_stream(sink, compat_level=pl.CompatLevel.oldest())
    return sink.getvalue()


def wants_arrow(request: Request) -> bool:
    """Whether the client asks for Arrow, and for JSON not more."""
    wanted = _qualities(request.headers.get("accept", ""))
    return wanted.get(ARROW, 0.0) > 0 and wanted[ARROW] >= wanted.get(JSON, 0.0)
