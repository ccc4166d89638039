"""Requests to JetStream's own API, with its errors turned into ours."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from schemas.errors import BomnaeError, UnavailableError

REQUEST_TIMEOUT_S = 5.0
_SETTLING = frozenset({10005, 10008})
"""Error codes of a cluster that has just started: no suitable peers, temporarily unavailable."""
_SETTLE_S, _AGAIN_S = 20.0, 0.2
UNREACHABLE = (NatsError, OSError)
"""What a connection that fails raises where nobody has turned it into an error of ours."""


class JetStreamApiError(BomnaeError):
    """JetStream refused a request; `code` is its `err_code`."""

    def __init__(self, subject: str, code: int, description: str) -> None:
        super().__init__(f"{subject}: {description} ({code})")
        self.subject, self.code, self.description = subject, code, description


async def request(
    nc: Client, subject: str, body: dict[str, Any] | None = None, timeout_s: float = REQUEST_TIMEOUT_S
) -> dict[str, Any]:
    """The decoded answer of the server.

    Raises `JetStreamApiError` when the server refuses, `UnavailableError` when it does not answer in time.
    """
    try:
        reply = await nc.request(subject, orjson.dumps(body) if body is not None else b"", timeout=timeout_s)
    except (TimeoutError, NoRespondersError, NatsError, OSError) as error:
        raise UnavailableError(f"JetStream does not answer {subject}: {error!r}") from error
    return answered(subject, reply.data)


def answered(subject: str, data: bytes) -> dict[str, Any]:
    """An answer of the server, decoded; nothing is `{}`. Raises `JetStreamApiError` where it is a refusal."""
    answer: dict[str, Any] = orjson.loads(data) if data else {}
    if refusal := answer.get("error"):
        raise JetStreamApiError(subject, int(refusal.get("err_code", 0)), str(refusal.get("description", "")))
    return answer


async def when_settled(ask: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """What `ask` answers, asked again for 20 seconds where a cluster has only just started.

    Its servers hear of each other, and of who listens where, one by one, and what is asked while they choose a leader
    is not answered at all. `ask` must be safe to repeat. Raises what it raises.
    """
    until = time.monotonic() + _SETTLE_S
    while True:
        try:
            return await ask()
        except (JetStreamApiError, NoRespondersError, UnavailableError) as error:
            refused = isinstance(error, JetStreamApiError) and error.code not in _SETTLING
            if refused or time.monotonic() > until:
                raise
        await asyncio.sleep(_AGAIN_S)
