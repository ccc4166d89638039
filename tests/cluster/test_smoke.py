"""Bad input through HAProxy and Serve: every operation answers with a problem document, none with 500."""

import re
from collections.abc import Iterator

import pytest

from tests.cluster.running import Running

pytestmark = pytest.mark.cluster

BODIES = (b"", b"{", b"[]", b'{"no": "such field"}', b"\xff\xfe\x00", b"1e999")
QUERIES = ("limit=-1", "cursor=%FF", "as_of=yesterday", "min_position=%00", "bbox=1,2", "limit=1&limit=x")


def operations(city: Running) -> Iterator[tuple[str, str]]:
    for path, methods in city.get("/openapi.json")["paths"].items():
        for method in methods:
            # A stream that is accepted does not end.
            if path != "/v1/live":
                yield method.upper(), re.sub(r"\{[^}]+\}", "no-such-thing", path)


def test_no_bad_request_gets_500_through_serve_and_every_refusal_is_a_problem_document(city: Running) -> None:
    operator = city.token("operator")
    asked = 0
    for method, path in operations(city):
        tries = [{"params": query} for query in QUERIES]
        if method != "GET":
            tries = [{"content": body, "headers": {"content-type": "application/json"}} for body in BODIES]
        for one in tries:
            headers = {**operator, **one.pop("headers", {})}  # type: ignore[dict-item]
            answer = city.api.request(method, path, headers=headers, **one)  # type: ignore[arg-type]
            asked += 1
            assert answer.status_code < 500, (method, path, one, answer.text)
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json", (method, path, one)
                assert answer.json()["status"] == answer.status_code
    assert asked > 100
