"""What is asked of a cluster that has just started is asked again until it has settled."""

import itertools
from typing import Any

import pytest

from schemas.errors import UnavailableError
from streams import api
from streams.api import JetStreamApiError, answered, when_settled

OFFLINE, NAME_IN_USE = 10005, 10058


class Asked:
    """Answers with each of these in turn, the last one for ever."""

    def __init__(self, *answers: dict[str, Any] | Exception) -> None:
        self.answers, self.count = itertools.chain(answers, itertools.repeat(answers[-1])), 0

    async def __call__(self) -> dict[str, Any]:
        self.count += 1
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


def refusal(code: int) -> JetStreamApiError:
    return JetStreamApiError("$JS.API.STREAM.CREATE.X", code, "because")


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_AGAIN_S", 0.001)
    monkeypatch.setattr(api, "_SETTLE_S", 0.05)


async def test_a_peer_that_is_offline_or_a_server_that_is_silent_is_asked_again() -> None:
    asked = Asked(refusal(OFFLINE), UnavailableError("silent"), {"did": "it"})
    assert await when_settled(asked) == {"did": "it"}
    assert asked.count == 3


async def test_what_will_not_change_is_raised_at_once() -> None:
    asked = Asked(refusal(NAME_IN_USE))
    with pytest.raises(JetStreamApiError, match="because"):
        await when_settled(asked)
    assert asked.count == 1


async def test_a_cluster_that_never_settles_is_told_as_what_it_said_last() -> None:
    asked = Asked(refusal(OFFLINE))
    with pytest.raises(JetStreamApiError, match="because"):
        await when_settled(asked)
    assert asked.count > 1


def test_an_answer_without_a_body_is_empty_and_a_refusal_is_raised() -> None:
    assert answered("x", b"") == {}
    with pytest.raises(JetStreamApiError) as raised:
        answered("x", b'{"error":{"err_code":10005,"description":"no suitable peers"}}')
    assert raised.value.code == OFFLINE
