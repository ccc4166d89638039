"""Each test has a real nats-server of its own, on free ports, in a temporary folder."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from streams import credentials
from streams.server import EmbeddedServer
from streams.topology import RETENTION

SMALL = dict.fromkeys(RETENTION, 64)
"""Limits of all streams in MB, so that many servers fit on the disk of a test."""


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "data") as server:
        yield server


@pytest.fixture
async def operator(nats_server: EmbeddedServer) -> AsyncIterator[Client]:
    """A connection that may do everything in the city's account."""
    options = credentials.local(nats_server.folder, "operator").options()
    nc = await nats.connect(nats_server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, **options)
    yield nc
    await nc.close()
