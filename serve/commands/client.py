"""A client of this instance's own HTTP API, with a token minted from the local secret."""

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp

from schemas.errors import InvalidError, UnavailableError
from schemas.settings import Settings
from serve.address import recall
from serve.auth import Principal
from serve.commands.calls import Call
from serve.commands.token import token

_TOKEN_H = 12.0
_PATIENCE_S = 60.0
_TIMEOUT = aiohttp.ClientTimeout(total=30)
_BUSY = (429, 502, 503, 504)


class Api:
    """The API of a running instance, as one who may command facilities, roads and cameras. Use as a context manager."""

    def __init__(self, settings: Settings, by: str) -> None:
        self._base = recall(settings)
        bearer = token(settings, Principal(by, frozenset({"safety", "road", "operator"})), _TOKEN_H)
        self._session = aiohttp.ClientSession(
            self._base, headers={"authorization": f"Bearer {bearer}"}, timeout=_TIMEOUT
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def send(self, calls: Sequence[Call], position: str = "") -> tuple[str, int]:
        """Send in order, each when the one before is durable: the last position, and how many events there were.

        See `ask` for what it raises. All commands are idempotent: sending again changes nothing.
        """
        events = 0
        for call in calls:
            # A change of what was made a moment ago must find it.
            query = {"min_position": position} if position and call.method == "PATCH" else {}
            answer = await self.ask(call, query)
            position, events = answer["position"], events + len(answer["events"])
        return position, events

    async def get(self, path: str, **query: str) -> Any:
        """The body of a read. See `ask`."""
        return await self.ask(Call("GET", path), query)

    async def ask(self, call: Call, query: dict[str, str] | None = None) -> Any:
        """The decoded answer; waits up to a minute for an API that is busy or not there yet.

        Raises `InvalidError` with the problem's own words where it refuses, `UnavailableError` after that minute.
        """
        deadline, why = time.monotonic() + _PATIENCE_S, ""
        while time.monotonic() < deadline:
            try:
                body = call.body or None
                async with self._session.request(call.method, call.path, json=body, params=query) as response:
                    if response.status < 400:
                        return await response.json(content_type=None)
                    said = await response.json(content_type=None)
                    why = str(said.get("detail") or said.get("title"))
                    if response.status not in _BUSY:
                        raise InvalidError(f"{call.method} {call.path}: {why}")
                    pause = float(response.headers.get("retry-after", "1"))
            except aiohttp.ClientConnectorError as error:
                raise UnavailableError(f"the API does not answer at {self._base} ({error.strerror})") from error
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                why, pause = str(error) or type(error).__name__, 1.0
            await asyncio.sleep(min(pause, 5.0))
        raise UnavailableError(f"{call.method} {call.path} at {self._base}: {why}")
