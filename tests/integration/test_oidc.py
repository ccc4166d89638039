"""Tokens of an outside issuer, over the network: discovery and keys from a server on loopback, RS256."""

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from schemas.errors import UnauthenticatedError, UnavailableError
from serve.app import create_app
from serve.auth import Oidc, Verifier
from tests.unit.api.memory import MemoryBackend

NOW = datetime.now(UTC)


class Issuer:
    """An issuer with keys by id; `answer` replaces what it says, and `asked` lists the paths it was asked for."""

    def __init__(self, folder: Path) -> None:
        self.keys: dict[str, rsa.RSAPrivateKey] = {}
        self.answer: bytes | None = None
        self.asked: list[str] = []
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                found = issuer.answer if issuer.answer is not None else issuer.document(self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(found)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.certificate = folder / "issuer.pem"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(_certificate(self.certificate))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def document(self, path: str) -> bytes:
        if path == "/.well-known/openid-configuration":
            return json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/keys"}).encode()
        published = [
            json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())) | {"kid": kid, "use": "sig"}
            for kid, key in self.keys.items()
        ]
        return json.dumps({"keys": published}).encode()

    def add(self, kid: str) -> None:
        self.keys[kid] = rsa.generate_private_key(65_537, 2048)

    def token(self, kid: str, key: rsa.RSAPrivateKey | None = None, **claims: Any) -> str:
        said = {
            "iss": self.url,
            "aud": "bomnae",
            "sub": "kim",
            "roles": ["safety"],
            "exp": NOW + timedelta(hours=1),
            **claims,
        }
        return jwt.encode(said, key or self.keys[kid], "RS256", headers={"kid": kid})

    def stop(self) -> None:
        if self.thread.is_alive():
            self.server.shutdown()
            self.thread.join()
            self.server.server_close()


def _certificate(path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer of a test")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def issuer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    made = Issuer(tmp_path)
    made.add("first")
    monkeypatch.setenv("SSL_CERT_FILE", str(made.certificate))
    yield made
    made.stop()


@pytest.fixture
def verifier(issuer: Issuer) -> Verifier:
    return Verifier(None, Oidc(issuer.url, "bomnae", again_s=0.0))


async def roles(verifier: Verifier, token: str) -> frozenset[str]:
    return (await verifier.verify(token, NOW.timestamp())).roles


async def test_a_token_holds_with_the_key_that_discovery_leads_to(issuer: Issuer, verifier: Verifier) -> None:
    assert await roles(verifier, issuer.token("first")) == {"safety"}
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]
    assert await roles(verifier, issuer.token("first", sub="lee")) == {"safety"}
    assert len(issuer.asked) == 2


async def test_a_key_set_named_by_the_settings_needs_no_discovery(issuer: Issuer) -> None:
    verifier = Verifier(None, Oidc(issuer.url, "bomnae", jwks_url=f"{issuer.url}/keys"))
    assert await roles(verifier, issuer.token("first")) == {"safety"}
    assert issuer.asked == ["/keys"]


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another service"},
        {"iss": "https://another.example"},
        {"exp": NOW - timedelta(seconds=1)},
        {"nbf": NOW + timedelta(hours=1)},
    ],
)
async def test_a_token_for_another_audience_by_another_issuer_or_of_another_time_does_not_hold(
    issuer: Issuer, verifier: Verifier, claims: dict[str, Any]
) -> None:
    with pytest.raises(UnauthenticatedError):
        await roles(verifier, issuer.token("first", **claims))


async def test_a_rotated_key_is_fetched_and_the_old_one_no_longer_holds(issuer: Issuer, verifier: Verifier) -> None:
    old = issuer.token("first", sub="lee")
    await roles(verifier, issuer.token("first"))
    issuer.keys.clear()
    issuer.add("second")
    assert await roles(verifier, issuer.token("second")) == {"safety"}
    with pytest.raises(UnauthenticatedError):
        await roles(verifier, old)


async def test_a_key_that_the_issuer_never_had_does_not_hold(issuer: Issuer, verifier: Verifier) -> None:
    stranger = rsa.generate_private_key(65_537, 2048)
    for kid in ("first", "strange"):
        with pytest.raises(UnauthenticatedError):
            await roles(verifier, issuer.token(kid, stranger))


async def test_a_flood_of_unknown_keys_is_no_flood_of_requests_to_the_issuer(issuer: Issuer) -> None:
    verifier = Verifier(None, Oidc(issuer.url, "bomnae", again_s=60.0))
    stranger = rsa.generate_private_key(65_537, 2048)
    tokens = [issuer.token(f"strange-{number}", stranger) for number in range(20)]
    found = await asyncio.gather(*(roles(verifier, token) for token in tokens), return_exceptions=True)
    assert {type(one) for one in found} == {UnauthenticatedError}
    assert issuer.asked.count("/keys") <= 2


async def test_while_the_issuer_is_away_its_tokens_are_answered_with_503(issuer: Issuer, verifier: Verifier) -> None:
    token = issuer.token("first")
    issuer.stop()
    with pytest.raises(UnavailableError):
        await roles(verifier, token)
    app = create_app(await MemoryBackend().start(), verifier)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://city") as client:
        answer = await client.get("/v1/facilities", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert (await client.get("/v1/facilities")).status_code == 200, "without a token nobody asks the issuer"


async def test_keys_that_are_known_hold_though_the_issuer_is_away(issuer: Issuer, verifier: Verifier) -> None:
    await roles(verifier, issuer.token("first"))
    token = issuer.token("first", sub="lee")
    issuer.stop()
    assert await roles(verifier, token) == {"safety"}


@pytest.mark.parametrize("said", [b"", b"<html>maintenance</html>", b"[]", b'{"keys": 7}', b'{"jwks_uri": 7}'])
async def test_an_issuer_that_talks_nonsense_counts_as_away(issuer: Issuer, verifier: Verifier, said: bytes) -> None:
    issuer.answer = said
    with pytest.raises(UnavailableError):
        await roles(verifier, issuer.token("first"))
    issuer.answer = None
    assert await roles(verifier, issuer.token("first")) == {"safety"}


async def test_an_issuer_whose_certificate_nobody_vouches_for_counts_as_away(
    issuer: Issuer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(UnavailableError):
        await roles(verifier, issuer.token("first"))
