"""What a batch says to the server is what nats-py would say."""

from typing import Any

import pytest
from nats.errors import MaxPayloadError
from nats.protocol.command import hpub_cmd

from streams import codec
from streams.batch import Message, _hpub
from streams.log import Record


def test_a_message_is_said_as_nats_py_says_it() -> None:
    head = "NATS/1.0\r\nce-id: a-1\r\nce-subject: 다리\r\n\r\n".encode()
    message = Message("city.log.facility.0.b.x", b"{}", codec.head({"ce-id": "a-1"}))
    said = _hpub(message, codec.head({"ce-subject": "다리"}), 1_000)
    assert said == hpub_cmd("city.log.facility.0.b.x", "", head, b"{}").replace(b"  ", b" ")


@pytest.mark.parametrize("subject", ["city.log x", "city.log\r\nPUB"])
def test_nobody_smuggles_words_of_the_protocol_into_a_subject(subject: str) -> None:
    with pytest.raises(ValueError, match="cannot be said"):
        _hpub(Message(subject, b"{}", ""), "", 1_000)


SMUGGLED = ["1\r\nNats-Batch-Commit: 1", "1\n", "1\r"]


@pytest.mark.parametrize("text", SMUGGLED)
def test_nobody_smuggles_a_header_into_another(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be said"):
        codec.head({"traceparent": text})


@pytest.mark.parametrize("text", SMUGGLED)
@pytest.mark.parametrize("field", ["subject", "type", "id", "batch", "headers"])
def test_nobody_smuggles_a_header_into_a_record(field: str, text: str) -> None:
    fields: dict[str, Any] = {"subject": "city.log.facility.0.b.x", "type": "t", "id": "1", "batch": "b", "headers": {}}
    fields[field] = {"traceparent": text} if field == "headers" else f"city.log.facility.0.{text}.x"
    with pytest.raises(ValueError, match="cannot be said"):
        codec.log_head_of(Record(data=b"{}", time=0, **fields))


def test_headers_come_back_from_their_lines() -> None:
    headers = {"a": "b: c", "ce-subject": "다리", "empty": ""}
    assert codec.headers_of(codec.head(headers)) == headers


def test_a_message_that_the_server_would_close_the_connection_for_is_not_sent() -> None:
    with pytest.raises(MaxPayloadError):
        _hpub(Message("city.log", b"x" * 990, codec.head({"a": "b"})), "", 1_000)
