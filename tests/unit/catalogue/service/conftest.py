import pytest

from serve.catalogue import refreshing
from tests.unit.api.memory import MemoryBackend
from tests.unit.catalogue.service.declared import here
from tests.unit.catalogue.service.kept import Kept


@pytest.fixture
async def city(tmp_path, monkeypatch):
    """A `Kept`; what comes is read in this process."""
    monkeypatch.setattr(refreshing, "taken", here)
    return Kept(await MemoryBackend().start(), tmp_path)
