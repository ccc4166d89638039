"""Requests to JetStream's own API, with its errors turned into ours."""

from typing import Any

import orjson
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from schemas.errors import BomnaeError, UnavailableError

REQUEST_TIMEOUT_S = 5.0
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
    answer: dict[str, Any] = orjson.loads(reply.data)
    if refusal := answer.get("error"):
        raise JetStreamApiError(subject, int(refusal.get("err_code", 0)), str(refusal.get("description", "")))
    return answer
