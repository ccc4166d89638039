"""Who may do what: the table of roles, and tokens that do not hold."""

from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi.routing import APIRoute

from schemas.errors import ForbiddenError, SetupError, UnauthenticatedError
from serve.auth import ALLOWED, PUBLIC, ROLES, Oidc, Principal, Verifier, mint
from tests.unit.api.conftest import SAFETY, SECRET, bearer
from tests.unit.api.memory import START

NOW = START.timestamp()


def _routes(app):
    """Every route of the app as (method, path), also those that FastAPI did not make."""
    for route in app.routes:
        yield from _nested(route)


def _nested(route):
    if isinstance(route, APIRoute) or hasattr(route, "path_format"):
        yield from ((method, route.path_format) for method in route.methods or ["*"])
    for inner in (
        getattr(getattr(route, "original_router", None), "routes", None) or getattr(route, "routes", None) or []
    ):
        yield from _nested(inner)


def test_every_route_stands_in_the_table_of_roles(make_app):
    found = set(_routes(make_app()))
    assert len(found) > 30
    assert found == set(ALLOWED), "a route without a row is denied to all; a row without a route is a mistake"


async def test_a_route_that_is_not_in_the_table_is_denied_even_to_operators(client, monkeypatch):
    monkeypatch.delitem(ALLOWED, ("GET", "/v1/facilities"))
    assert (await client.get("/v1/facilities", headers=bearer("operator"))).status_code == 403


@pytest.mark.parametrize(("method", "path"), [one for one, roles in ALLOWED.items() if roles is not PUBLIC])
async def test_a_protected_route_refuses_everyone_but_its_roles_before_it_looks_at_the_body(client, method, path):
    url = path.replace("{sequence}", "1").replace("{alarm}", "x.high-danger.1").replace("{candidate}", "cam-1.s-1")
    names = ("facility", "sensor", "road", "segment", "work", "snow", "case", "watch", "camera", "erasure")
    for name in names:
        url = url.replace(f"{{{name}}}", "x")
    answer = await client.request(method, url, content=b"{not json")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    for role in ROLES - ALLOWED[method, path] - {"device", "gateway"}:
        answer = await client.request(method, url, content=b"{not json", headers=bearer(role))
        assert answer.status_code == 403, role


async def test_reading_public_state_needs_no_token_but_a_bad_one_is_refused(city):
    assert (await city.get("/v1/facilities")).status_code == 200
    for bad in ("Bearer nonsense", "Basic abc", "Bearer", SAFETY["authorization"][:-3] + "abc"):
        answer = await city.get("/v1/facilities", headers={"authorization": bad})
        assert answer.status_code == 401, bad
        assert answer.headers["content-type"] == "application/problem+json"


def _claims(**more):
    return {"iss": "bomnae", "aud": "bomnae", "sub": "kim", "roles": ["safety"], "exp": NOW + 60} | more


@pytest.mark.parametrize(
    "claims",
    [
        _claims(exp=NOW - 1),
        _claims(aud="other"),
        _claims(iss="other"),
        _claims(nbf=NOW + 3600),
        _claims(sub=""),
        {name: value for name, value in _claims().items() if name != "exp"},
        _claims(facility=["bridge-1"]),
    ],
)
async def test_a_token_with_wrong_claims_does_not_hold(claims):
    with pytest.raises(UnauthenticatedError):
        await Verifier(SECRET).verify(jwt.encode(claims, SECRET, "HS256"), NOW)


async def test_an_unsigned_token_and_one_signed_with_a_public_key_do_not_hold():
    key = ec.generate_private_key(ec.SECP256R1())
    verifier = Verifier(SECRET, Oidc("https://id.example", "bomnae"))
    for token in (jwt.encode(_claims(), None, "none"), jwt.encode(_claims(), "x" * 32, "HS256")):
        with pytest.raises(UnauthenticatedError):
            await verifier.verify(token, NOW)
    with pytest.raises(UnauthenticatedError):
        await Verifier(SECRET).verify(jwt.encode(_claims(), key, "ES256"), NOW)


async def test_the_token_of_an_outside_issuer_holds_with_its_key(monkeypatch):
    key = ec.generate_private_key(ec.SECP256R1())
    verifier = Verifier(None, Oidc("https://id.example", "bomnae", "groups"))
    monkeypatch.setattr(verifier, "_issuer_key", lambda token, oidc: key.public_key())
    token = jwt.encode(_claims(iss="https://id.example", groups=["police", "wheel"]), key, "ES256")
    principal = await verifier.verify(token, NOW)
    assert principal.roles == {"police"}
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(UnauthenticatedError):
        await verifier.verify(jwt.encode(_claims(iss="https://id.example"), other, "ES256"), NOW)


async def test_a_remembered_token_still_ends_when_it_expires():
    verifier = Verifier(SECRET, cache_s=300)
    token = mint(SECRET, Principal("kim", frozenset({"staff"})), START, timedelta(seconds=10))
    assert (await verifier.verify(token, NOW)).staff
    assert verifier.known(token, NOW + 9) is not None
    with pytest.raises(UnauthenticatedError):
        await verifier.verify(token, NOW + 11)


def test_a_devices_token_must_name_its_facility():
    with pytest.raises(ForbiddenError):
        mint(SECRET, Principal("d", frozenset({"device"})), START, timedelta(1))
    with pytest.raises(ForbiddenError):
        mint(SECRET, Principal("d", frozenset({"staff"}), facility="bridge-1"), START, timedelta(1))


def test_a_short_secret_is_refused():
    with pytest.raises(SetupError):
        Verifier(b"short")
