"""Overload is answered early, as problems that say when to come again."""

import asyncio
import base64

import httpx
import orjson
import pytest

from schemas.errors import TooManyRequestsError, UnavailableError
from schemas.settings import Settings
from serve.admission import SHARED, SHARED_TIMES, Buckets, Gate, Limits, _length
from serve.app import Config
from serve.pictures.sandbox import Limits as Picture
from tests.unit.api.conftest import SAFETY, bearer


async def test_a_gate_lets_in_as_many_as_it_has_places_and_the_first_who_waits_next():
    gate = Gate("read", 1, queue=2, wait_s=5)
    await gate.enter()
    order: list[str] = []

    async def come(name: str) -> None:
        await gate.enter()
        order.append(name)

    waiting = [asyncio.create_task(come(name)) for name in ("first", "second")]
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError):
        await gate.enter()
    gate.leave()
    await waiting[0]
    assert order == ["first"]
    gate.leave()
    await waiting[1]
    gate.leave()
    await asyncio.wait_for(gate.enter(), 0.1)


async def test_who_waits_too_long_or_gives_up_takes_no_place():
    gate = Gate("read", 1, queue=2, wait_s=0.01)
    await gate.enter()
    with pytest.raises(UnavailableError):
        await gate.enter()
    impatient = asyncio.create_task(gate.enter())
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    gate.leave()
    await gate.enter()
    with pytest.raises(UnavailableError):
        await gate.enter()


async def test_a_place_given_to_one_who_is_cancelled_at_that_moment_is_not_lost():
    gate = Gate("read", 1, queue=2, wait_s=5)
    await gate.enter()
    waiting = asyncio.create_task(gate.enter())
    await asyncio.sleep(0)
    gate.leave()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.wait_for(gate.enter(), 0.1)


def test_a_bucket_refills_with_time_and_says_when():
    buckets = Buckets(rate=0.5, burst=2)
    buckets.take("kim", 0.0)
    buckets.take("kim", 0.0)
    buckets.take("lee", 0.0)
    with pytest.raises(TooManyRequestsError) as refused:
        buckets.take("kim", 0.0)
    assert refused.value.retry_after_s >= 2
    buckets.take("kim", 2.0)


@pytest.fixture
def tight(make_app):
    def make(**limits: object) -> httpx.AsyncClient:
        app = make_app(Config(limits=Limits(**limits)))
        return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=("10.0.0.7", 1)), base_url="http://city")

    return make


async def test_a_client_that_asks_too_often_gets_429_with_retry_after(tight):
    async with tight(client_rate=0.1, client_burst=2) as client:
        codes = [(await client.get("/v1/facilities")).status_code for _ in range(3)]
        assert codes == [200, 200, 429]
        refused = await client.get("/v1/facilities")
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["content-type"] == "application/problem+json"
        assert (await client.get("/healthz")).status_code == 200


async def test_tokens_that_were_never_verified_open_no_buckets_of_their_own(tight):
    async with tight(client_rate=0.1, client_burst=3) as client:
        codes = [
            (await client.get("/v1/facilities", headers={"authorization": f"Bearer {number}"})).status_code
            for number in range(4)
        ]
        assert codes == [401, 401, 401, 429]


async def test_a_principal_has_a_bucket_beside_its_address(tight):
    async with tight(client_rate=0.1, client_burst=1) as client:
        assert (await client.get("/v1/facilities", headers=bearer("staff"))).status_code == 200
        assert (await client.get("/v1/facilities")).status_code == 429
        assert (await client.get("/v1/facilities", headers=bearer("staff"))).status_code == 200


@pytest.mark.parametrize(
    ("proxies", "forwarded", "client"),
    [
        (0, "9.9.9.9", "10.0.0.7"),
        (1, "9.9.9.9", "9.9.9.9"),
        (1, "forged, 9.9.9.9", "9.9.9.9"),
        (2, "forged, 9.9.9.9, 10.1.1.1", "9.9.9.9"),
        (2, "9.9.9.9", SHARED),
        (1, "", SHARED),
        (1, "9.9.9.9, 127.0.0.1", SHARED),
    ],
)
def test_only_what_our_own_proxies_append_names_a_client(make_app, proxies, forwarded, client):
    app = make_app(Config(trusted_proxies=proxies))
    scope = {"headers": [(b"x-forwarded-for", forwarded.encode())], "client": ("10.0.0.7", 1)}
    assert app.state.client(scope) == client


def test_a_proxy_that_adds_a_line_of_its_own_counts_like_one_that_appends(make_app):
    headers = [(b"x-forwarded-for", b"8.8.8.8, 7.7.7.7"), (b"accept", b"*/*"), (b"x-forwarded-for", b"9.9.9.9")]
    app = make_app(Config(trusted_proxies=1))
    assert app.state.client({"headers": headers, "client": ("10.0.0.7", 1)}) == "9.9.9.9"


def test_clients_behind_the_ingress_share_a_larger_allowance(make_app):
    assert make_app().state.client({"headers": [], "client": ("127.0.0.1", 1)}) == SHARED
    buckets = Buckets(rate=1, burst=2)
    for _ in range(2 * SHARED_TIMES):
        buckets.take(SHARED, 0.0)
    with pytest.raises(TooManyRequestsError):
        buckets.take(SHARED, 0.0)


async def test_more_at_once_than_there_are_places_and_queue_get_503(tight, backend):
    go = asyncio.Event()

    async def slow(position: object, timeout_s: float) -> None:
        await go.wait()

    backend.wait_for = slow
    async with tight(read=1, queue=1, queue_s=5) as client:
        path = "/v1/facilities?min_position=ZjAuMQ"
        inside = [asyncio.create_task(client.get(path)) for _ in range(2)]
        await asyncio.sleep(0.05)
        refused = await client.get(path)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert (await client.put("/v1/facilities/x", json={}, headers=SAFETY)).status_code == 422, (
            "writes have their own"
        )
        go.set()
        assert [one.status_code for one in await asyncio.gather(*inside)] == [200, 200]


@pytest.mark.parametrize("name", ["as_of", "as%5Fof", "%61s_o%66"])
async def test_reads_of_the_past_wait_among_themselves_and_hold_up_no_others(tight, backend, name):
    go, view_at = asyncio.Event(), backend.view_at

    async def slow(*asked: object) -> object:
        await go.wait()
        return await view_at(*asked)

    backend.view_at = slow
    async with tight(past=1, queue=0) as client:
        path = f"/v1/facilities?{name}=2026-01-15T03:00:00Z"
        inside = asyncio.create_task(client.get(path))
        await asyncio.sleep(0.05)
        assert (await client.get(path)).status_code == 503
        assert (await client.get("/v1/facilities")).status_code == 200
        go.set()
        assert (await inside).status_code == 200


async def test_a_body_that_is_too_large_is_413_whether_it_says_its_length_or_not(tight):
    async def parts():
        for _ in range(10):
            yield b"x" * 1000

    async with tight(max_body=5000) as client:
        for body in (b"x" * 10_000, parts()):
            answer = await client.put("/v1/facilities/x", content=body, headers=SAFETY)
            assert answer.status_code == 413
            assert answer.headers["content-type"] == "application/problem+json"


def test_a_length_that_is_no_number_is_none():
    assert [_length({"headers": [(b"content-length", said)]}) for said in (b"12", b"\xb2", b"-1", b"")] == [12, 0, 0, 0]


@pytest.mark.parametrize("declared", [True, False])
async def test_a_photograph_that_can_be_decoded_fits_into_a_search_and_what_does_not_fit_is_told_as_such(
    make_app, declared
):
    """A photograph as large as the decoder takes, in base64, to a case that is not there; then two of them."""
    app, police = make_app(Config.of(Settings(), {})), bearer("police")
    photo = base64.b64encode(b"jpeg" + bytes(Picture().bytes - 4)).decode()

    async def ask(path, count):
        body = orjson.dumps({"photos": [photo] * count})

        async def parts():
            yield body

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://city") as client:
            headers = police | {"content-type": "application/json"}
            return await client.post(path, content=body if declared else parts(), headers=headers)

    for what in ("searches", "watches"):
        assert (await ask(f"/v1/cases/case-1/{what}", 1)).status_code == 404
        refused = await ask(f"/v1/cases/case-1/{what}", 2)
        assert refused.status_code == 413
        assert "24,000,000 bytes, which hold 18 MB of photographs" in refused.json()["detail"]
    assert "send it in parts" in (await ask("/v1/cases", 1)).json()["detail"]


async def test_a_picture_of_a_camera_may_be_as_large_as_can_be_decoded(make_app):
    app, gateway = make_app(Config.of(Settings(), {})), bearer("gateway", gateway="gate-1")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://city") as client:
        for more, status in ((0, 200), (1, 413)):
            picture = b"jpeg" + bytes(Picture().bytes - 4 + more)
            answer = await client.post("/v1/encodings", content=picture, headers=gateway)
            assert answer.status_code == status
        assert "a picture has at most 16,000,000 bytes" in answer.json()["detail"]
