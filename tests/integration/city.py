"""What the tests of permissions share: a running city with users of every kind, and how each of them connects."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from streams import credentials
from streams.credentials import Credential
from streams.officers import ensure_consumers
from streams.server import EmbeddedServer
from streams.topology import RETENTION, Topology, ensure_streams

TOPOLOGY = Topology(
    {"facility": 2, "road": 1, "sighting": 1, "person": 1, "population": 1, "catalogue": 1},
    max_mb=dict.fromkeys(RETENTION, 32),
)


class City:
    """A server with its streams, one credential of each kind, and the errors that the server sent to each user."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.server = server
        self.folder: Path = server.folder
        self.device = credentials.add(self.folder, "device", "meter-1", ("bridge-1",))
        self.other_device = credentials.add(self.folder, "device", "meter-2", ("bridge-2",))
        self.gateway = credentials.add(self.folder, "gateway", "north", ("main-road",))
        self.provider = credentials.add(self.folder, "provider", "bus-desk", ("stops", "lamps"))
        self.app = credentials.add(self.folder, "app", "map")
        self.other_app = credentials.add(self.folder, "app", "signs")
        self.staff = credentials.add(self.folder, "staff-app", "desk")
        self.officer = credentials.add(self.folder, "officer", "kim", ("case-1", "case-2"))
        self.other_officer = credentials.add(self.folder, "officer", "lee", ("case-2", "case-3"))
        self.host = credentials.add(self.folder, "host", "worker-1")
        self.operator = credentials.local(self.folder, "operator")
        self.handed_operator = credentials.add(self.folder, "operator", "ops")
        self.backup = credentials.add(self.folder, "backup", "nightly")
        self.feed_admin = credentials.local(self.folder, "feed-admin")
        asyncio.run(self._create_streams())

    async def _create_streams(self) -> None:
        async with self.connected(self.operator) as operator, self.connected(self.feed_admin) as admin:
            await ensure_streams(operator, TOPOLOGY, admin)
            await ensure_consumers(operator, credentials.entries(self.folder))

    @asynccontextmanager
    async def connected(self, who: Credential | None, websocket: bool = False) -> AsyncIterator[Client]:
        """A connection as a user, or as nobody; `permission violations` are collected in `refusals`."""
        url = self.server.websocket_url if websocket else self.server.url
        options = who.options() if who else {}
        refusals: list[str] = []

        async def note(error: Exception) -> None:
            refusals.append(str(error).lower())

        async with opened(url, error_cb=note, **options) as nc:
            nc.refusals = refusals  # type: ignore[attr-defined]
            yield nc


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[Client]:
    """A connection that is gone afterwards, also where the server refuses it or cuts it off.

    nats-py leaves the transport of a refused connection open, and closes that of one that was cut off in a task that
    the end of the test may overtake. Whatever test the garbage is collected in would fail for it.
    """
    nc = Client()
    try:
        await nc.connect(url, allow_reconnect=False, **options)
        yield nc
    finally:
        if not nc.is_closed:
            await nc.close()
        if (transport := nc._transport) is not None:
            transport.close()  # type: ignore[no-untyped-call]
            with suppress(OSError):
                await transport.wait_closed()  # type: ignore[no-untyped-call]


async def refused(nc: Client, subject: str, data: bytes = b"", headers: dict[str, str] | None = None) -> bool:
    """Whether the server refuses to let this user publish on a subject."""
    before = len(nc.refusals)  # type: ignore[attr-defined]
    await nc.publish(subject, data, headers=headers)
    return await _violated(nc, before)


async def deaf(nc: Client, subject: str) -> bool:
    """Whether the server refuses to let this user subscribe to a subject."""
    before = len(nc.refusals)  # type: ignore[attr-defined]
    subscription = await nc.subscribe(subject)
    if not (refused_now := await _violated(nc, before)):
        await subscription.unsubscribe()
    return refused_now


async def _violated(nc: Client, before: int) -> bool:
    """Whether the server said so by now; its words come before its answer to the flush, and are told in a task."""
    await nc.flush()
    for _ in range(10):
        await asyncio.sleep(0.01)
        if any("permissions violation" in text for text in nc.refusals[before:]):  # type: ignore[attr-defined]
            return True
    return False
