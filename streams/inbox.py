"""Rows of datasets that providers publish on NATS (`city.raw.catalogue.<dataset>.rows`), as they wait to be taken in.

`INGEST_CATALOGUE` is read by whoever refreshes datasets, not by the owners of shards. What was taken in is removed,
so what the stream holds is what is still to be done: no position is kept beside it.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol, cast

from nats.aio.client import Client
from nats.aio.msg import Msg

from streams import codec
from streams.api import request
from streams.erasing import erase_one
from streams.jetstream import read_stream
from streams.pull import stream_position
from streams.rejected import Rejection, reject
from streams.subjects import ingest_stream, parse_ingest
from streams.topology import MOST_WAITING

_CONTEXT = "catalogue"
_STREAM = ingest_stream(_CONTEXT)


@dataclass(frozen=True, slots=True)
class Sent:
    """One message of a provider. `sequence` is INGEST's."""

    sequence: int
    data: bytes
    content_type: str = ""


class Inbox(Protocol):
    """What waits, by dataset. Raises `UnavailableError` where the server does not answer."""

    async def waiting(self) -> Mapping[str, int]:
        """How many messages wait, by dataset; whether there is such a dataset or not."""
        ...

    async def read(self, dataset: str, most: int) -> list[Sent]:
        """What waits of a dataset, oldest first: `most` bytes at most, and one message at least where any waits."""
        ...

    async def clear(self, dataset: str, upto: int) -> None:
        """Remove the messages of a dataset up to a sequence: they were taken in. Safe to repeat."""
        ...

    async def refuse(self, dataset: str, sent: Sent, reason: str) -> None:
        """Move one message to REJECTED, with the reason. Safe to repeat."""
        ...


class NatsInbox:
    """An `Inbox` over the connection of a host."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc

    async def waiting(self) -> Mapping[str, int]:
        """See `Inbox`."""
        asked = {"subjects_filter": _subject("*")}
        state = (await request(self._nc, f"$JS.API.STREAM.INFO.{_STREAM}", asked))["state"]
        found = Counter[str]()
        for subject, count in (state.get("subjects") or {}).items():
            found[parse_ingest(subject).entity] += int(count)
        return found

    async def read(self, dataset: str, most: int) -> list[Sent]:
        """See `Inbox`."""
        found, size = list[Sent](), 0
        stored = read_stream(self._nc, _STREAM, 0, _subject(dataset))
        async with aclosing(cast("AsyncGenerator[Msg, None]", stored)):
            async for msg in stored:
                size += len(msg.data)
                if found and (size > most or len(found) == MOST_WAITING):
                    break
                kind = (msg.headers or {}).get(codec.CONTENT_TYPE, "")
                found.append(Sent(stream_position(msg)[0], msg.data, kind))
        return found

    async def clear(self, dataset: str, upto: int) -> None:
        """See `Inbox`."""
        asked = {"filter": _subject(dataset), "seq": upto + 1}
        await request(self._nc, f"$JS.API.STREAM.PURGE.{_STREAM}", asked)

    async def refuse(self, dataset: str, sent: Sent, reason: str) -> None:
        """See `Inbox`."""
        identity = f"{_CONTEXT}-{sent.sequence}"
        await reject(
            self._nc, _CONTEXT, [Rejection(identity, dataset, reason, sent.data, sent.content_type, sent.sequence)]
        )
        await erase_one(self._nc, _STREAM, sent.sequence)


def _subject(dataset: str) -> str:
    return f"city.in.*.{_CONTEXT}.{dataset}.*"
