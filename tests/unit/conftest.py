"""Unit tests cannot open sockets and cannot start Ray."""

import pytest
from pytest_socket import disable_socket


@pytest.fixture(autouse=True)
def _no_network_and_no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    disable_socket(allow_unix_socket=True)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a unit test must not start Ray")

    monkeypatch.setattr("ray.init", refuse)
