"""What a batch says to the server is what nats-py would say."""

import pytest
from nats.errors import MaxPayloadError
from nats.protocol.command import hpub_cmd

from streams.batch import _hpub


def test_a_message_is_said_as_nats_py_says_it() -> None:
    head = "NATS/1.0\r\nce-id: a-1\r\nce-subject: 다리\r\n\r\n".encode()
    said = _hpub("city.log.facility.0.b.x", b"{}", {"ce-id": "a-1", "ce-subject": "다리"}, 1_000)
    assert said == hpub_cmd("city.log.facility.0.b.x", "", head, b"{}").replace(b"  ", b" ")


@pytest.mark.parametrize(
    ("subject", "headers"),
    [
        ("city.log x", {}),
        ("city.log\r\nPUB", {}),
        ("city.log", {"traceparent": "1\r\nNats-Batch-Commit: 1"}),
        ("city.log", {"traceparent": "1\n"}),
    ],
)
def test_nobody_smuggles_words_of_the_protocol_in(subject: str, headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="cannot be said"):
        _hpub(subject, b"{}", headers, 1_000)


def test_a_message_that_the_server_would_close_the_connection_for_is_not_sent() -> None:
    with pytest.raises(MaxPayloadError):
        _hpub("city.log", b"x" * 990, {"a": "b"}, 1_000)
