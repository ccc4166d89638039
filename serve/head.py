"""HEAD wherever GET is: the same answer without its body, so no route has to say it twice."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ENDLESS = frozenset({"/v1/live"})
"""A stream without end has no length and no tag to ask for: HEAD is answered with 405 there."""


class Head:
    """Middleware around the router; what it asks the router for is a GET, rights included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; of the answer to a HEAD the first message, and an empty body."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or scope["path"] in ENDLESS:
            return await self._app(scope, receive, send)
        asked = {**scope, "method": "GET"}

        async def bare(message: Message) -> None:
            if message["type"] == "http.response.start":
                scope["route"] = asked.get("route")
                await send(message)
                await send({"type": "http.response.body", "body": b""})

        return await self._app(asked, receive, bare)
