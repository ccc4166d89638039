"""Reading a stream with a consumer of one's own: two overlapped pull requests, no acknowledgements, gaps noticed.

A durable consumer shared by successive owners loses what a dead owner had in flight, so each reader makes an ephemeral
consumer from its own position. nats-py's `fetch` waits for one request to end before the next is sent; overlapping two
of them reads several times faster (see `docs/decisions/0002-own-consumer.md`).
"""

import asyncio
import contextlib
import json
import secrets
from collections import deque
from collections.abc import Sequence
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from schemas.errors import UnavailableError
from streams.api import request
from streams.ending import ended

_EXPIRES_S = 5
_GRACE_S = 2.0
_LOOK_S = 0.5


class PullReader:
    """The messages of a stream behind a sequence, in order.

    `messages` holds what has arrived; `wake` is set when it grows. The consumer is made again from the last message
    when a consumer sequence is missing or the server forgot it (it lives in memory only). Memory is bounded by two
    requests of `batch` messages and `max_bytes` bytes each. `headers_only`: messages come without their data.
    """

    def __init__(
        self,
        nc: Client,
        stream: str,
        subject: str | Sequence[str] | None,
        wake: asyncio.Event,
        batch: int = 250,
        max_bytes: int = 16 * 1024 * 1024,
        headers_only: bool = False,
    ) -> None:
        self._nc, self._stream, self._subject, self._wake = nc, stream, subject, wake
        self._batch, self._max_bytes, self._headers_only = batch, max_bytes, headers_only
        self.messages: deque[Msg] = deque()
        self.pending = 0
        """Messages that the server still holds behind the newest one that arrived."""
        self._asked: deque[int] = deque()
        self._consumer = ""
        self._delivered = 0
        self._last = 0
        self._heard = 0.0
        self._connections = 0
        self._subscription: Subscription | None = None
        self._task: asyncio.Task[None] | None = None
        self._remake = asyncio.Event()

    async def open(self, after: int) -> int:
        """Start behind `after`; the number of messages that wait. Raises `UnavailableError` without a server."""
        self._last = after
        await self._create()
        self._task = asyncio.create_task(self._tend(), name=f"pull {self._stream}")
        return self.pending

    def take(self, limit: int) -> list[Msg]:
        """Up to `limit` arrived messages; asks the server for more as room appears."""
        taken = [self.messages.popleft() for _ in range(min(limit, len(self.messages)))]
        if taken:
            self._ask_if_room()
        return taken

    async def close(self) -> None:
        """Stop, and remove the consumer from the server where it can be reached; safe to repeat."""
        if self._task is not None:
            await ended(self._task)
            self._task = None
        with contextlib.suppress(NatsError, UnavailableError, OSError):
            await self._drop()

    async def _drop(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.unsubscribe()
        if self._consumer:
            name, self._consumer = self._consumer, ""
            await self._nc.publish(f"$JS.API.CONSUMER.DELETE.{self._stream}.{name}")

    async def _create(self) -> None:
        await self._drop()
        name = f"r{secrets.token_hex(8)}"
        config: dict[str, Any] = {
            "name": name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._last + 1,
            "ack_policy": "none",
            "replay_policy": "instant",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": 60_000_000_000,
            "max_waiting": 16,
            "headers_only": self._headers_only,
        }
        subject = f"$JS.API.CONSUMER.CREATE.{self._stream}.{name}"
        if isinstance(self._subject, str):
            config["filter_subject"] = self._subject
            subject += f".{self._subject}"
        elif self._subject is not None:
            config["filter_subjects"] = list(self._subject)
        reply = await request(self._nc, subject, {"stream_name": self._stream, "config": config})
        # Messages that were read but not taken stay queued: the new consumer starts behind them.
        self.pending = int(reply["num_pending"])
        self._consumer, self._delivered = name, 0
        self._asked.clear()
        inbox = self._nc.new_inbox()
        self._inbox = inbox
        self._subscription = await self._nc.subscribe(
            inbox, cb=self._arrive, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        self._heard = asyncio.get_running_loop().time()
        self._connections = self._nc.stats["reconnects"]
        self._ask_if_room()

    def _ask_if_room(self) -> None:
        while self._consumer and len(self._asked) < 2 and len(self.messages) < 2 * self._batch:
            self._asked.append(self._batch)
            body = {"batch": self._batch, "max_bytes": self._max_bytes, "expires": _EXPIRES_S * 1_000_000_000}
            subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}"
            task = asyncio.ensure_future(self._nc.publish(subject, json.dumps(body).encode(), reply=self._inbox))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _arrive(self, msg: Msg) -> None:
        self._heard = asyncio.get_running_loop().time()
        if not msg.reply.startswith("$JS.ACK."):
            self._status(msg)
            return
        consumer, sequence, delivered, _, pending = _parse_reply(msg.reply)
        if consumer != self._consumer or sequence <= self._last:
            return
        if delivered != self._delivered + 1:
            self._consumer = ""
            self._remake.set()
            return
        self._delivered, self._last, self.pending = delivered, sequence, pending
        self.messages.append(msg)
        if self._asked:
            self._asked[0] -= 1
            if self._asked[0] == 0:
                self._asked.popleft()
                self._ask_if_room()
        self._wake.set()

    def _status(self, msg: Msg) -> None:
        """A request ended early (expired, its bytes were used up) or found no consumer."""
        status = (msg.headers or {}).get("Status", "")
        if status == "100":
            return
        if self._asked:
            self._asked.popleft()
        if status in ("503", "404") or "Consumer" in (msg.headers or {}).get("Description", ""):
            self._remake.set()
        else:
            self._ask_if_room()

    async def _tend(self) -> None:
        """Make the consumer again when it is gone or silent for longer than its requests last."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._remake.wait()
            silent = asyncio.get_running_loop().time() - self._heard > _EXPIRES_S + _GRACE_S
            starved = silent and len(self.messages) < 2 * self._batch
            if not (self._remake.is_set() or starved or self._connections != self._nc.stats["reconnects"]):
                continue
            try:
                await self._create()
                self._remake.clear()
            except (NatsError, UnavailableError, OSError):
                await asyncio.sleep(0.25)


def stream_position(msg: Msg) -> tuple[int, int]:
    """Stream sequence and storage time (µs UTC) of a message delivered by a consumer."""
    _, sequence, _, nanoseconds, _ = _parse_reply(msg.reply)
    return sequence, nanoseconds // 1000


def _parse_reply(reply: str) -> tuple[str, int, int, int, int]:
    """Consumer, stream sequence, consumer sequence, nanoseconds and pending of `$JS.ACK.…` (ADR-15, both forms)."""
    tokens = reply.split(".")
    consumer, _, stream, delivered, nanoseconds, pending = tokens[3:9] if len(tokens) == 9 else tokens[5:11]
    return consumer, int(stream), int(delivered), int(nanoseconds), int(pending)
