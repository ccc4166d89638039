"""Shared by all tests: one running city for those that need Ray, since starting it takes half a minute."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.cluster.running import Running


# Speed is measured in `bench/`: an example that waits for a busy machine is no failure.
settings.register_profile("bomnae", deadline=None)
settings.load_profile("bomnae")


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A city in processes of its own, for the whole run; whoever kills a part of it waits until it is well again."""
    from tests.cluster.running import Running  # noqa: PLC0415 - unit tests need nothing of it

    running = Running(tmp_path_factory.mktemp("city") / "data")
    running.start()
    yield running
    assert running.stop() == 0, running.said()
