"""REJECTED on a real server: refused input is kept, listed and sent again."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from schemas.errors import ConflictError, NotFoundError
from streams import rejected
from streams.api import request
from streams.rejected import Rejection
from streams.server import EmbeddedServer
from streams.topology import MAX_MESSAGE
from tests.integration.city import City

JSON = "application/json"


@pytest.fixture
def city(nats_server: EmbeddedServer) -> Iterator[City]:
    return City(nats_server)


def refusal(number: int, entity: str = "bridge-1", reason: str = "unknown sensor", data: bytes = b"{}") -> Rejection:
    return Rejection(f"facility-{number}-x", entity, reason, data, JSON, number)


async def test_refused_input_is_kept_once_and_listed_with_its_reason(city: City) -> None:
    awkward = '값이 없음: 100 % of\r\nrows, "NaN"; see <1>'
    async with city.connected(city.host) as host:
        for _ in range(2):
            await rejected.reject(host, "facility", [refusal(1), refusal(2, "bridge-2", awkward, b"\x00\xff")])
        first, second = await rejected.listing(host)
        assert (first.context, first.entity, first.reason, first.ingest_sequence) == (
            "facility",
            "bridge-1",
            "unknown sensor",
            1,
        )
        assert (second.reason, second.data, second.content_type) == (awkward, b"\x00\xff", JSON)
        assert second.stored_at >= first.stored_at > 0


async def test_the_list_is_read_in_pages_and_filtered_by_entity_and_reason(city: City) -> None:
    async with city.connected(city.host) as host:
        await rejected.reject(
            host, "facility", [refusal(n, f"bridge-{n % 2}", "too old" if n % 3 else "NaN") for n in range(12)]
        )
        await rejected.reject(host, "road", [refusal(99, "bridge-1")])
        first = await rejected.listing(host, limit=5)
        rest = await rejected.listing(host, after=first[-1].sequence)
        assert [one.ingest_sequence for one in first + rest] == [*range(12), 99]
        assert [one.ingest_sequence for one in await rejected.listing(host, entity="bridge-0")] == [0, 2, 4, 6, 8, 10]
        assert [one.ingest_sequence for one in await rejected.listing(host, reason="NaN")] == [0, 3, 6, 9]
        assert [one.context for one in await rejected.listing(host, entity="bridge-1")][-1] == "road"


async def test_resubmitted_input_comes_again_as_it_came_and_only_once(city: City) -> None:
    headers = {"ce-type": "city.facility.reading.v1", "ce-specversion": "1.0", "Nats-Msg-Id": "mine"}
    async with city.connected(city.gateway) as gateway, city.connected(city.operator) as operator:
        subject = "city.raw.facility.bridge-1.gw-north"
        sequence = (await gateway.jetstream().publish(subject, b"whole", headers=headers)).seq
        await rejected.reject(operator, "facility", [refusal(sequence, data=b"refused rows")])
        (kept,) = await rejected.listing(operator)
        assert not kept.resubmitted
        sent = await rejected.resubmit(operator, kept.sequence)
        assert sent.now
        assert await rejected.resubmit(operator, kept.sequence) == replace(sent, now=False)
        (again,) = await rejected.listing(operator)
        assert again.resubmitted
        info = await operator.jetstream().stream_info("INGEST_FACILITY")
        assert info.state.messages == 2
        stored = await operator.jetstream().get_msg("INGEST_FACILITY", 2)
        assert stored.data == b"refused rows"
        assert stored.subject is not None
        assert stored.subject.endswith(".facility.bridge-1.gw-north")
        assert stored.headers is not None
        assert stored.headers["ce-type"] == "city.facility.reading.v1"
        assert stored.headers["content-type"] == JSON
        assert stored.headers[rejected.RESUBMITTED] == str(kept.sequence)


async def test_what_is_not_there_or_not_whole_cannot_be_resubmitted(city: City) -> None:
    async with city.connected(city.host) as host:
        with pytest.raises(NotFoundError):
            await rejected.resubmit(host, 5)
        await rejected.reject(host, "facility", [refusal(1, data=b"x" * (MAX_MESSAGE + 1))])
        (kept,) = await rejected.listing(host)
        assert kept.truncated
        assert len(kept.data) == MAX_MESSAGE
        with pytest.raises(ConflictError, match="could not be kept whole"):
            await rejected.resubmit(host, kept.sequence)


@pytest.mark.parametrize("reason", ["x" * 70_000, "가" * 9_000, "\ud800" * 9_000, "한" + "x" * 8_200])
async def test_a_reason_of_any_length_is_kept_as_much_of_it_as_a_header_holds(city: City, reason: str) -> None:
    async with city.connected(city.host) as host:
        await rejected.reject(host, "facility", [refusal(1, reason=reason), refusal(2)], deadline_s=2)
        first, second = await rejected.listing(host)
    assert second.reason == "unknown sensor"
    assert 900 <= len(first.reason) <= 8_193
    assert first.reason[-1] == "…"
    assert reason.encode(errors="replace").decode().startswith(first.reason[:-1])


async def test_a_senders_content_type_cannot_keep_its_refusal_out(city: City) -> None:
    odd = [replace(refusal(n), content_type=said) for n, said in enumerate(["y" * 65_400, "가\u2028\x00", ""], 1)]
    async with city.connected(city.host) as host:
        await rejected.reject(host, "facility", odd, deadline_s=2)
        assert [one.content_type for one in await rejected.listing(host)] == ["y" * 200, "???", ""]


@pytest.mark.parametrize(
    ("entity", "kept"),
    [
        ("다리", "다리"),
        ("*", "_"),
        (">", "_"),
        ("", "_"),
        ("a b.c", "a_b_c"),
        ("a\x0b\x0c\x1f\x00\xa0\u2028\r\n", "a________"),
        ("a\udcff\ufffd", "a_\ufffd"),
        ("a" * 4_000, "a" * 128),
    ],
)
async def test_whatever_an_entity_is_called_its_refusals_are_kept_and_listed(
    city: City, entity: str, kept: str
) -> None:
    async with city.connected(city.host) as host:
        await rejected.reject(host, "facility", [refusal(1, entity), refusal(2)], deadline_s=2)
        assert [one.entity for one in await rejected.listing(host)] == [kept, "bridge-1"]


async def test_what_the_server_never_takes_is_kept_as_its_place_in_ingest_and_holds_back_no_other(city: City) -> None:
    async with city.connected(city.operator) as operator:
        config = (await request(operator, "$JS.API.STREAM.INFO.REJECTED"))["config"]
        await request(operator, "$JS.API.STREAM.UPDATE.REJECTED", {**config, "max_msg_size": 2_000})
        many = [refusal(1), refusal(2, data=b"x" * 4_000), refusal(3)]
        await rejected.reject(operator, "facility", many, deadline_s=2)
        found = {one.ingest_sequence: one for one in await rejected.listing(operator)}
        assert sorted(found) == [1, 2, 3]
        assert found[3].reason == "unknown sensor"
        assert (found[2].data, found[2].truncated) == (b"", True)
        assert "message size exceeds maximum allowed" in found[2].reason
        with pytest.raises(ConflictError, match="INGEST_FACILITY 2"):
            await rejected.resubmit(operator, found[2].sequence)


async def test_refused_input_of_an_entity_called_resubmitted_is_no_marker(city: City) -> None:
    async with city.connected(city.operator) as operator:
        await rejected.reject(operator, "facility", [refusal(1, "resubmitted")])
        (kept,) = await rejected.listing(operator)
        assert (await rejected.resubmit(operator, kept.sequence)).entity == "resubmitted"


async def test_what_ingest_does_not_take_again_is_a_conflict(city: City) -> None:
    headers = {"ce-note": "n" * 65_400}
    async with city.connected(city.gateway) as gateway, city.connected(city.operator) as operator:
        sequence = (await gateway.jetstream().publish("city.raw.facility.b.gw-north", b"[]", headers=headers)).seq
        await rejected.reject(operator, "facility", [replace(refusal(sequence), content_type="y" * 200)])
        (kept,) = await rejected.listing(operator)
        with pytest.raises(ConflictError, match="does not take it again"):
            await rejected.resubmit(operator, kept.sequence)
