"""What a batch says to the server is what nats-py would say."""

from typing import Any

import pytest
from nats.protocol.command import hpub_cmd

from schemas.errors import OversizedError
from streams import codec
from streams.batch import Message, _hpub, append_batch
from streams.log import Record


def test_a_message_is_said_as_nats_py_says_it() -> None:
    head = "NATS/1.0\r\nce-id: a-1\r\nce-subject: 다리\r\n\r\n".encode()
    message = Message("city.log.facility.0.b.x", b"{}", codec.head({"ce-id": "a-1"}))
    said = _hpub(message, codec.head({"ce-subject": "다리"}))
    assert said == hpub_cmd("city.log.facility.0.b.x", "", head, b"{}").replace(b"  ", b" ")


@pytest.mark.parametrize("subject", ["city.log x", "city.log\r\nPUB"])
def test_nobody_smuggles_words_of_the_protocol_into_a_subject(subject: str) -> None:
    with pytest.raises(ValueError, match="cannot be said"):
        _hpub(Message(subject, b"{}", ""), "")


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


class Refusing:
    """A connection that a test lets nothing be sent on."""

    max_payload, is_connected = 8_000, True

    async def _send_command(self, said: bytes) -> None:
        pytest.fail("nothing of such a batch may be sent")

    request = _send_command


@pytest.mark.parametrize("sizes", [[9_000], [9_000, 2], [2, 9_000], [2, 9_000, 2]])
async def test_a_record_that_the_server_would_never_take_is_an_error_of_its_own_and_nothing_is_sent(
    sizes: list[int],
) -> None:
    messages = [Message("city.log", b"x" * size, codec.head({"a": "b"})) for size in sizes]
    with pytest.raises(OversizedError, match="at most 7,744 bytes, not one of 9,018"):
        await append_batch(Refusing(), "LOG", messages, 1, 5.0)  # type: ignore[arg-type]
