"""Feed events as they happen, as server-sent events: citizens get `city.pub.>`, staff `city.staff.>`."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Annotated, Literal

import orjson
from fastapi import Header, Query, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from schemas.base import EntityId
from schemas.errors import BomnaeError, InvalidError, TooManyRequestsError
from serve import openapi
from serve.admission import SHARED
from serve.backend import Backend, Feed, FeedItem
from serve.routing import router
from streams.codec import CE_TYPE, structured
from streams.ending import ended
from streams.subjects import feed_subject

routes = router("live")
HEARTBEAT_S = 15.0
"""A comment after this silence, so that proxies (60 s is a usual timeout) keep the stream and dead clients show."""

Event = Annotated[
    str | None,
    Query(max_length=60, pattern=r"^[a-z][a-z-]*$", description="Such as `alarm-raised`.", examples=["alarm-raised"]),
]
LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", max_length=100, description="Resume behind this event; 410 when too long ago."),
]


class Streams:
    """Live streams per client, bounded by role; `shared` bounds those of all clients without an address together."""

    def __init__(self, per_client: int, per_staff: int, shared: int) -> None:
        self._open: Counter[str] = Counter()
        self._per_client, self._per_staff, self._shared = per_client, per_staff, shared

    def enter(self, client: str, staff: bool) -> None:
        """Count one stream. Raises `TooManyRequestsError` above the client's limit."""
        most = self._shared if client == SHARED else self._per_staff if staff else self._per_client
        if self._open[client] >= most:
            raise TooManyRequestsError(f"at most {most} live streams per client: close one", 10)
        self._open[client] += 1

    def leave(self, client: str) -> None:
        """Count one stream less."""
        self._open[client] -= 1
        if self._open[client] <= 0:
            del self._open[client]


@routes.get("/v1/live", responses=openapi.event_stream(), summary="Events as they happen")
async def live(
    request: Request,
    context: Literal["facility", "road"] | None = None,
    entity: EntityId | None = None,
    event: Event = None,
    last_event_id: LastEventId = None,
) -> Response:
    """Server-sent events; `data` is a CloudEvent in its JSON form, `event` its type. Reconnecting resumes.

    An event that tells of something made up has the extension attribute `synthetic`: true.
    """
    backend: Backend = request.app.state.backend
    streams: Streams = request.app.state.streams
    principal = request.state.principal
    client = request.app.state.client(request.scope)
    audience = "staff" if principal.staff else "pub"
    subject = feed_subject(audience, context or "*", entity or "*", event or "*")
    last = _place(last_event_id)
    streams.enter(client, principal.staff)
    try:
        feed = await backend.feed([subject], last)
    except BaseException:
        streams.leave(client)
        raise
    left_s = None if principal.expires is None else principal.expires - backend.now().timestamp()
    headers = {"cache-control": "no-cache", "x-accel-buffering": "no", "content-type": "text/event-stream"}
    return _Live(_events(feed, left_s), feed.items, lambda: streams.leave(client), headers)


class _Live(StreamingResponse):
    """Gives the stream back however it ends, even when the client leaves before the first byte."""

    def __init__(
        self,
        body: AsyncIterator[bytes],
        items: AsyncGenerator[FeedItem, None],
        leave: Callable[[], None],
        headers: dict[str, str],
    ) -> None:
        super().__init__(body, headers=headers)
        self._items, self._leave = items, leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()
            await self._items.aclose()


def _place(last_event_id: str | None) -> int | None:
    if last_event_id is None:
        return None
    # `isdigit` alone takes `²`, of which `int` makes nothing.
    if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 19):
        raise InvalidError("Last-Event-ID is not an id of this feed: give the `id` of an event, or leave it out")
    return int(last_event_id)


async def _events(feed: Feed, left_s: float | None) -> AsyncIterator[bytes]:
    """SSE frames until the feed ends or `left_s`, the life of the token, is over.

    The first says where the stream begins, so that who hears nothing before the connection breaks misses nothing.
    """
    loop = asyncio.get_running_loop()
    end = None if left_s is None else loop.time() + left_s
    items = feed.items
    yield b"retry: 2000\nid: %d\n: open\n\n" % feed.last
    coming: asyncio.Future[FeedItem] = asyncio.ensure_future(anext(items))
    try:
        while end is None or loop.time() < end:
            await asyncio.wait([coming], timeout=HEARTBEAT_S)
            if not coming.done():
                yield b": still here\n\n"
                continue
            yield _frame(coming.result())
            coming = asyncio.ensure_future(anext(items))
    except StopAsyncIteration:
        pass
    except BomnaeError as error:
        yield b"event: error\ndata: %b\n\n" % orjson.dumps({"detail": str(error)})
    finally:
        await ended(coming)


def _frame(item: FeedItem) -> bytes:
    kind = item.headers.get(CE_TYPE, item.subject)
    return f"id: {item.id}\nevent: {kind}\ndata: ".encode() + structured(item.headers, item.data) + b"\n\n"
