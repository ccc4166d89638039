"""Overload answered early: bounded concurrency with a short queue per class, a token bucket per client, a body limit.

Plain ASGI around the app, so that a refused request costs microseconds and no handler ever runs for it.
"""

import asyncio
import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from actors.meters import Meters
from schemas.errors import BomnaeError, TooManyRequestsError, UnavailableError
from serve import problems

ENCODINGS = "/v1/encodings"
_DATA = re.compile(r"/v1/datasets/[^/]+/(rows|map|chart|tiles/.*)|/v1/population.*")
_ROWS = re.compile(r"/v1/datasets/[^/]+/rows|/v1/population/sources/[^/]+/days")
_PHOTOGRAPHS = re.compile("/v1/cases/[^/]+/(searches|watches)")
_OWN = {"/v1/live": "live", ENCODINGS: "picture"}
"""Routes with places of their own: cameras that wait for a busy encoder keep no officer from a search."""
EXEMPT = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked by those who must be answered exactly when there is overload."""
SHARED, SHARED_TIMES = "shared", 5
"""Whose bucket a client without an address of its own draws from, and how many times a client's it holds.

Serve's ingress tells no addresses, so behind it alone everybody without a token is one client.
"""
_CLIENTS = 10_000
"""Buckets kept; the one unused for longest is forgotten, and would be full again anyway."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one replica takes. Seconds, requests per second, bytes."""

    read: int = 256
    write: int = 256
    past: int = 2
    data: int = 8
    live: int = 512
    picture: int = 32
    queue: int = 256
    queue_s: float = 1.0
    client_rate: float = 2_000.0
    client_burst: int = 4_000
    max_body: int = 8_000_000
    max_search: int = 24_000_000
    max_picture: int = 16_000_000
    max_dataset: int = 64_000_000

    def body(self, path: str) -> tuple[int, str]:
        """The most bytes that a request for a path may carry, and what to say of more."""
        if path == ENCODINGS:
            most = self.max_picture
            return most, f"a picture has at most {most:,} bytes: take it smaller"
        if _PHOTOGRAPHS.fullmatch(path):
            most, mb = self.max_search, self.max_search * 3 // 4_000_000
            told = f"a search or watch has at most {most:,} bytes, which hold {mb} MB of photographs in base64"
            return most, f"{told}: make them smaller, or take fewer at once"
        if _ROWS.fullmatch(path):
            return self.max_dataset, f"a file has at most {self.max_dataset:,} bytes: send it in parts, or as Parquet"
        return self.max_body, f"a body has at most {self.max_body:,} bytes here: send it in parts"


class Gate:
    """At most `places` inside, at most `queue` waiting, each at most `wait_s`; first come, first served."""

    def __init__(self, name: str, places: int, queue: int, wait_s: float) -> None:
        self._name, self._free, self._queue, self._wait_s = name, places, queue, wait_s
        self._places = places
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def inside(self) -> int:
        """Places taken."""
        return self._places - self._free

    @property
    def waiting(self) -> int:
        """Those who wait for one."""
        return len(self._waiting)

    async def enter(self) -> None:
        """Take a place; `leave` gives it back. Raises `UnavailableError` where the queue or the wait is too long."""
        if self._free > 0:
            self._free -= 1
            return
        if len(self._waiting) >= self._queue:
            raise UnavailableError(f"too many {self._name} requests at once")
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            async with asyncio.timeout(self._wait_s):
                await place
        except BaseException as error:
            if place.done() and not place.cancelled():
                self.leave()
            elif place in self._waiting:
                self._waiting.remove(place)
            if not isinstance(error, TimeoutError):
                raise
            reason = f"no place for this {self._name} request came free in {self._wait_s} s"
            raise UnavailableError(reason) from None

    def leave(self) -> None:
        """Give the place to the first who waits."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._free += 1


def gates_of(limits: Limits) -> dict[str, Gate]:
    """The places of one replica, by class."""
    return {
        name: Gate(name, getattr(limits, name), limits.queue, limits.queue_s)
        for name in ("read", "past", "data", "write", "live", "picture")
    }


class Buckets:
    """A token bucket per client: `rate` requests per second on average, `burst` at once."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, float(burst)
        self._clients: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, now: float) -> None:
        """Count one request. Raises `TooManyRequestsError` from an empty bucket."""
        times = SHARED_TIMES if client == SHARED else 1
        rate, burst = self._rate * times, self._burst * times
        left, since = self._clients.get(client, (burst, now))
        left = min(burst, left + (now - since) * rate)
        if left < 1:
            raise TooManyRequestsError(f"more than {rate:g} requests per second", int((1 - left) / rate) + 1)
        self._clients[client] = (left - 1, now)
        self._clients.move_to_end(client)
        while len(self._clients) > _CLIENTS:
            self._clients.popitem(last=False)


class Admission:
    """The middleware. `client` tells whose bucket a request counts against, `gates` are the places of each class."""

    def __init__(
        self, app: ASGIApp, limits: Limits, gates: dict[str, Gate], client: Callable[[Scope], str], meters: Meters
    ) -> None:
        self._app, self._limits, self._client, self._gates, self._meters = app, limits, client, gates, meters
        self._buckets = Buckets(limits.client_rate, limits.client_burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admit or answer with a problem."""
        if scope["type"] != "http" or scope["path"] in EXEMPT:
            return await self._app(scope, receive, send)
        gate, reason = self._gates[kind := _kind(scope)], "rate"
        try:
            self._buckets.take(self._client(scope), time.monotonic())
            most, why = self._limits.body(scope["path"])
            if _length(scope) > most:
                self._meters.add("bomnae_http_refused", 1, **{"reason": "size", "class": kind})
                too_large = problems.response(413, "content-too-large", why, instance=scope["path"])
                return await too_large(scope, receive, send)
            reason = "places"
            await gate.enter()
        except BomnaeError as error:
            self._meters.add("bomnae_http_refused", 1, **{"reason": reason, "class": kind})
            return await problems.of(error, scope["path"])(scope, receive, send)
        try:
            bounded = receive if scope["method"] in ("GET", "HEAD") else _bounded(receive, most, why)
            return await self._app(scope, bounded, send)
        finally:
            gate.leave()


def _bounded(receive: Receive, most: int, why: str) -> Receive:
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise HTTPException(413, why)
        return message

    return bounded


def _kind(scope: Scope) -> str:
    if (own := _OWN.get(scope["path"])) is not None:
        return own
    if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
        return "write"
    # A read of a past moment replays a log, a statistic may read months: seconds where another read costs microseconds.
    if scope["path"].startswith("/v1/statistics/"):
        return "past"
    if _names_a_moment(scope["query_string"]):
        return "past"
    # What reads whole tables, and draws: some of it takes a second of a thread.
    return "data" if _DATA.fullmatch(scope["path"]) else "read"


def _names_a_moment(query: bytes) -> bool:
    # Read as the routes read it: `as%5Fof` is `as_of`, too.
    return bool(query) and any(name == "as_of" for name, _ in parse_qsl(query.decode("latin-1"), True))


def _length(scope: Scope) -> int:
    value = header(scope, b"content-length")
    return int(value) if value.isascii() and value.isdigit() else 0


def header(scope: Scope, name: bytes) -> str:
    """The values of a request header, joined by commas, empty where there is none."""
    headers: Any = scope["headers"]
    return ",".join(value.decode("latin-1") for key, value in headers if key == name)
