"""Snapshots in the object store of a real nats-server."""

import pytest
from nats.aio.client import Client

from streams.blobs import Blobs, NatsBlobs
from streams.topology import SNAPSHOTS, Topology, ensure_streams
from tests.contracts.blobs import BlobsContract
from tests.integration.conftest import SMALL


class TestNatsBlobs(BlobsContract):
    @pytest.fixture
    async def blobs(self, operator: Client) -> Blobs:
        await ensure_streams(operator, Topology({"facility": 1}, max_mb=SMALL))
        return NatsBlobs(await operator.jetstream().object_store(SNAPSHOTS))
