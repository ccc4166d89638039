"""Publishing to a stream, pipelined: all messages in order, each acknowledged, within a deadline."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import BadHeaderError, BadSubjectError, MaxPayloadError
from nats.errors import Error as NatsError

from schemas.errors import UnavailableError
from streams.api import JetStreamApiError
from streams.batch import FULL

MSG_ID = "Nats-Msg-Id"
"""A message with an id that the stream has seen within its duplicate window is acknowledged and not stored again."""

_ATTEMPT_S = 2.0
_PAUSE_S = 0.05
_IN_FLIGHT = 1000
_MALFORMED = 400
"""JetStream's word for a message that it would not take at any other time either."""
NEVER_TAKEN = (MaxPayloadError, BadSubjectError, BadHeaderError, JetStreamApiError)
"""What `publish` raises for a message with which a repetition meets the same answer."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to publish; `headers` hold its `Nats-Msg-Id`, which makes publishing it again harmless."""

    subject: str
    headers: dict[str, str]
    data: bytes


async def publish(nc: Client, messages: Sequence[Outgoing], deadline_s: float = 10.0) -> list[int]:
    """The sequence of every message when the stream has acknowledged all; until then what is not is sent again.

    Raises `UnavailableError` after `deadline_s`, or at once where the connection is closed for good: some messages may
    be stored, publish all of them again. Raises one of `NEVER_TAKEN` for a message that the server would never take,
    whatever became of the others.
    """
    deadline = time.monotonic() + deadline_s
    stored: dict[int, int] = {}
    for start in range(0, len(messages), _IN_FLIGHT):
        left = dict(enumerate(messages[start : start + _IN_FLIGHT], start))
        refusal = "no answer"
        while left:
            if nc.is_closed:
                raise UnavailableError("the connection to NATS is closed")
            # While it reconnects nats-py would buffer every attempt anew, until its buffer is full.
            if nc.is_connected:
                said = await _attempt(nc, left, stored, min(deadline, time.monotonic() + _ATTEMPT_S))
                if isinstance(said, JetStreamApiError):
                    raise said
                refusal = said or refusal
            if left and time.monotonic() >= deadline:
                raise UnavailableError(f"{len(left)} messages were not stored in {deadline_s:.1f} s ({refusal})")
            if left:
                await asyncio.sleep(_PAUSE_S)
    return [stored[number] for number in range(len(messages))]


async def _attempt(
    nc: Client, left: dict[int, Outgoing], stored: dict[int, int], until: float
) -> str | JetStreamApiError | None:
    """Send everything in `left` and move to `stored` what is acknowledged; a refusal: as an error if it is for good."""
    inbox, sent = nc.new_inbox(), set(left)
    answered: set[int] = set()
    done = asyncio.Event()
    refusal: str | JetStreamApiError | None = None

    async def on_answer(msg: Msg) -> None:
        nonlocal refusal
        number = int(msg.subject.rsplit(".", 1)[1])
        answer = _answer(msg, left[number].subject if number in left else "")
        if isinstance(answer, int):
            left.pop(number, None)
            stored[number] = answer
        elif not isinstance(refusal, JetStreamApiError):
            refusal = answer
        answered.add(number)
        if answered >= sent:
            done.set()

    subscription = await nc.subscribe(f"{inbox}.*", cb=on_answer)
    try:
        async with asyncio.timeout(max(0.0, until - time.monotonic())):
            for number, message in list(left.items()):
                # A copy: nats-py adds to the headers it is given.
                await nc.publish(message.subject, message.data, f"{inbox}.{number}", dict(message.headers))
            await done.wait()
    except (MaxPayloadError, BadSubjectError, BadHeaderError):
        raise
    except TimeoutError:
        pass
    except NatsError as error:
        refusal = refusal if isinstance(refusal, JetStreamApiError) else str(error)
    with contextlib.suppress(NatsError):
        await subscription.unsubscribe()
    return refusal


def _answer(msg: Msg, subject: str) -> int | str | JetStreamApiError:
    """The sequence at which a message is stored, or why it is not: as an error where it will never be."""
    if msg.headers and (status := msg.headers.get("Status")):
        return f"status {status}"
    answer = orjson.loads(msg.data)
    if (error := answer.get("error")) is None:
        return int(answer["seq"])
    code, why = int(error.get("err_code", 0)), str(error.get("description"))
    return JetStreamApiError(subject, code, why) if error.get("code") == _MALFORMED and code not in FULL else why
