"""What a replica measures of its requests, as plain numbers."""

import httpx
import pytest

from actors.meters import Numbers
from serve.admission import SHARED_TIMES, Limits
from serve.app import Config, create_app
from serve.auth import Verifier
from serve.measuring import METRICS
from tests.unit.api.conftest import SECRET


@pytest.fixture
def numbers():
    return Numbers()


@pytest.fixture
async def measured(backend, numbers):
    limits = Limits(client_rate=0.001, client_burst=1, max_body=100)
    app = create_app(backend, Verifier(SECRET), Config(limits=limits), numbers)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://city") as made:
        yield made


def counted(numbers: Numbers, name: str) -> dict[tuple[str, ...], float]:
    return {key[1:]: value for key, value in numbers.values.items() if key[0] == name}


async def test_requests_are_counted_by_route_not_by_address(measured, numbers):
    await measured.get("/v1/facilities/none-1")
    await measured.get("/v1/facilities/none-2")
    await measured.get("/nowhere")
    assert counted(numbers, "bomnae_http_requests") == {
        ("/v1/facilities/{facility}", "GET", "404"): 2,
        ("", "GET", "404"): 1,
    }
    assert counted(numbers, "bomnae_http_seconds_count") == {("/v1/facilities/{facility}", "GET"): 2, ("", "GET"): 1}


async def test_a_method_of_a_clients_own_invention_is_no_label(measured, numbers):
    for method in ("BREW", "PROPFIND"):
        await measured.request(method, "/healthz")
    assert {key[1] for key in counted(numbers, "bomnae_http_requests")} == {""}


async def test_what_admission_refuses_is_counted_by_reason_and_class(measured, numbers):
    await measured.post("/v1/readings", content=b"x" * 200)
    for _ in range(SHARED_TIMES):
        await measured.get("/v1/facilities")
    assert counted(numbers, "bomnae_http_refused") == {("size", "write"): 1, ("rate", "read"): 1}
    assert counted(numbers, "bomnae_http_requests")["", "GET", "429"] == 1


async def test_all_that_is_told_is_declared(measured, numbers):
    await measured.post("/v1/readings", content=b"x" * 200)
    told = {key[0].removesuffix("_count").removesuffix("_sum") for key in numbers.values}
    kinds = {metric.name: metric.kind for metric in METRICS}
    assert told == {name for name, kind in kinds.items() if kind != "gauge"}
