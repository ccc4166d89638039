"""What each replica of the API measures: requests by route, and those that admission refused."""

import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from actors.meters import Meters, Metric

METRICS = (
    Metric(
        "bomnae_http_requests",
        "counter",
        "requests by the `route` of the documentation (empty: none was reached), `method` and `status`",
        ("route", "method", "status"),
    ),
    Metric(
        "bomnae_http_seconds",
        "histogram",
        "from a request's arrival in the replica to the first byte of its answer",
        ("route", "method"),
    ),
    Metric(
        "bomnae_http_refused",
        "counter",
        "refused before any work, by `reason`: `rate` (429), `places` (503: no place came free), `size` (413)",
        ("reason", "class"),
    ),
    Metric("bomnae_http_inside", "gauge", "requests at work by `class`: read, write, past, live", ("class", "process")),
    Metric("bomnae_http_waiting", "gauge", "requests that wait for a place, by `class`", ("class", "process")),
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Measured:
    """Middleware around all others; costs a few microseconds a request."""

    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        self._app, self._meters = app, meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and note when the answer begins."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began = time.perf_counter()

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._note(scope, str(message["status"]), time.perf_counter() - began)
            await send(message)

        return await self._app(scope, receive, noted)

    def _note(self, scope: Scope, status: str, seconds: float) -> None:
        # The router leaves the route in the scope. A method of a client's own invention must not become a label.
        route: Any = scope.get("route")
        path = getattr(route, "path_format", "")
        method = scope["method"] if scope["method"] in _METHODS else ""
        self._meters.add("bomnae_http_requests", 1, route=path, method=method, status=status)
        self._meters.observe("bomnae_http_seconds", seconds, route=path, method=method)
