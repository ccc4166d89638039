"""The memory store keeps the contract of every event store."""

import pytest

from streams.log import EventStore
from streams.memory import MemoryStore
from tests.contracts.event_store import EventStoreContract


class TestMemoryStore(EventStoreContract):
    @pytest.fixture
    def store(self) -> EventStore:
        return MemoryStore()
