import pytest

from schemas import registry
from tests.unit.shard.counter import Bump, Bumped


@pytest.fixture(autouse=True)
def _counters_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """For these tests alone: what lists all events shall not find them."""
    monkeypatch.setitem(registry.COMMANDS, "Bump", Bump)
    monkeypatch.setitem(registry.EVENTS, Bumped.type, Bumped)
