"""Who asks, and what they may: bearer tokens, and one table from routes to roles; what is not in it is denied."""

import asyncio
import json
import threading
import time
import urllib.request
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.client import HTTPException
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

import jwt
from fastapi import Request

from schemas.errors import ForbiddenError, SetupError, UnauthenticatedError, UnavailableError

Role = Literal[
    "citizen", "staff", "safety", "road", "police", "case-officer", "auditor", "operator", "device", "gateway"
]
ROLES: frozenset[str] = frozenset(get_args(Role))
STAFF: frozenset[str] = frozenset({"staff", "safety", "road", "police", "auditor", "operator"})
"""Roles that see what is for staff (`city.staff.>`, who acknowledged, rejected input is for operators alone)."""

PUBLIC: frozenset[str] = frozenset({"*"})
_SAFETY = frozenset({"safety", "operator"})
_ROAD = frozenset({"road", "operator"})
_SENDERS = frozenset({"device", "gateway"})
_OPERATOR = frozenset({"operator"})
_POLICE = frozenset({"police"})
_OFFICERS = frozenset({"police", "case-officer"})
_AUDITED = _OFFICERS | {"auditor"}
_PLANNERS = frozenset({"staff", "safety", "road", "operator"})
_ERASERS = frozenset({"operator", "police"})

ALLOWED: dict[tuple[str, str], frozenset[str]] = {
    ("GET", "/healthz"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("GET", "/metrics"): PUBLIC,
    ("GET", "/openapi.json"): PUBLIC,
    ("GET", "/docs"): PUBLIC,
    ("GET", "/docs/{file}"): PUBLIC,
    ("GET", "/v1/asyncapi.json"): PUBLIC,
    ("GET", "/v1/live"): PUBLIC,
    ("GET", "/v1/facilities"): PUBLIC,
    ("GET", "/v1/facilities/{facility}"): PUBLIC,
    ("GET", "/v1/facilities/{facility}/history"): PUBLIC,
    ("PUT", "/v1/facilities/{facility}"): _SAFETY,
    ("PUT", "/v1/facilities/{facility}/sensors/{sensor}"): _SAFETY,
    ("PUT", "/v1/facilities/{facility}/sensors/{sensor}/thresholds"): _SAFETY,
    ("PUT", "/v1/facilities/{facility}/sensors/{sensor}/calibration"): _SAFETY,
    ("PUT", "/v1/facilities/{facility}/sensors/{sensor}/replacement"): _SAFETY,
    ("POST", "/v1/facilities/{facility}/maintenance"): _SAFETY,
    ("DELETE", "/v1/facilities/{facility}/maintenance"): _SAFETY,
    ("GET", "/v1/sensors/latest"): PUBLIC,
    ("POST", "/v1/readings"): _SENDERS,
    ("GET", "/v1/alarms"): PUBLIC,
    ("POST", "/v1/alarms/{alarm}/acknowledge"): _SAFETY,
    ("POST", "/v1/alarms/{alarm}/shelve"): _SAFETY,
    ("POST", "/v1/alarms/{alarm}/unshelve"): _SAFETY,
    ("POST", "/v1/alarms/{alarm}/clear"): _SAFETY,
    ("POST", "/v1/alarms/{alarm}/judge"): _SAFETY,
    ("GET", "/v1/roads"): PUBLIC,
    ("GET", "/v1/roads/{road}"): PUBLIC,
    ("GET", "/v1/roads/{road}/history"): PUBLIC,
    ("PUT", "/v1/roads/{road}"): _ROAD,
    ("PATCH", "/v1/roads/{road}/segments/{segment}"): _ROAD,
    ("GET", "/v1/works"): PUBLIC,
    ("POST", "/v1/works"): _ROAD,
    ("PATCH", "/v1/works/{work}"): _ROAD,
    ("GET", "/v1/snow"): PUBLIC,
    ("GET", "/v1/snow-events"): PUBLIC,
    ("POST", "/v1/snow"): _ROAD,
    ("PATCH", "/v1/snow/{snow}"): _ROAD,
    ("GET", "/v1/statistics"): PUBLIC,
    ("GET", "/v1/statistics/{statistic}"): PUBLIC,
    ("GET", "/v1/catalogue"): PUBLIC,
    ("GET", "/v1/catalogue.jsonld"): PUBLIC,
    ("GET", "/v1/datasets/{dataset}"): PUBLIC,
    ("PUT", "/v1/datasets/{dataset}"): _OPERATOR,
    ("POST", "/v1/datasets/{dataset}/retire"): _OPERATOR,
    ("POST", "/v1/datasets/{dataset}/refresh"): _OPERATOR,
    ("GET", "/v1/datasets/{dataset}/history"): PUBLIC,
    ("GET", "/v1/datasets/{dataset}/findings"): _OPERATOR,
    ("GET", "/v1/datasets/{dataset}/rows"): PUBLIC,
    ("POST", "/v1/datasets/{dataset}/rows"): _OPERATOR,
    ("GET", "/v1/datasets/{dataset}/map"): PUBLIC,
    ("GET", "/v1/datasets/{dataset}/tiles/{z}/{x}/{y}"): PUBLIC,
    ("GET", "/v1/datasets/{dataset}/chart"): PUBLIC,
    ("GET", "/v1/population"): PUBLIC,
    ("GET", "/v1/population/facilities"): PUBLIC,
    ("GET", "/v1/population/sources"): PUBLIC,
    ("PUT", "/v1/population/sources/{source}"): _OPERATOR,
    ("POST", "/v1/population/sources/{source}/days"): _OPERATOR,
    ("POST", "/v1/population/sources/{source}/retire"): _OPERATOR,
    ("POST", "/v1/siting"): _PLANNERS,
    ("GET", "/v1/cases"): _AUDITED,
    ("POST", "/v1/cases"): _OFFICERS,
    ("GET", "/v1/cases/{case}"): _OFFICERS,
    ("POST", "/v1/cases/{case}/authorise"): _POLICE,
    ("POST", "/v1/cases/{case}/close"): _OFFICERS,
    ("GET", "/v1/cases/{case}/ledger"): _AUDITED,
    ("POST", "/v1/cases/{case}/searches"): _OFFICERS,
    ("GET", "/v1/cases/{case}/candidates"): _OFFICERS,
    ("POST", "/v1/cases/{case}/candidates/{candidate}/confirm"): _OFFICERS,
    ("POST", "/v1/cases/{case}/candidates/{candidate}/dismiss"): _OFFICERS,
    ("GET", "/v1/cases/{case}/pictures/{candidate}"): _OFFICERS,
    ("GET", "/v1/cases/{case}/route"): _OFFICERS,
    ("GET", "/v1/cases/{case}/watches"): _OFFICERS,
    ("POST", "/v1/cases/{case}/watches"): _OFFICERS,
    ("DELETE", "/v1/cases/{case}/watches/{watch}"): _OFFICERS,
    ("GET", "/v1/cameras"): STAFF | _OFFICERS,
    ("PUT", "/v1/cameras/{camera}"): _OPERATOR,
    ("POST", "/v1/sightings"): _SENDERS,
    ("POST", "/v1/encodings"): _SENDERS,
    ("GET", "/v1/erasures"): _ERASERS | {"auditor"},
    ("POST", "/v1/erasures"): _ERASERS,
    ("GET", "/v1/erasures/{erasure}"): _ERASERS | {"auditor"},
    ("GET", "/v1/models"): PUBLIC,
    ("GET", "/v1/rejected"): _OPERATOR,
    ("POST", "/v1/rejected/{sequence}/resubmit"): _OPERATOR,
}
"""Who may ask what. Reading public state needs no token; a token that does come must be valid."""

ISSUER = AUDIENCE = "bomnae"
_OPTIONS: Any = {"require": ["exp", "sub", "iss", "aud"], "verify_exp": False, "verify_nbf": False, "verify_iat": False}
"""Times are compared in `_principal`, against the clock given."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `facility` (of a device, also where it is a camera) and `gateway` say whose input it may send.

    `expires` is epoch seconds.
    """

    subject: str
    roles: frozenset[str]
    facility: str | None = None
    gateway: str | None = None
    expires: float | None = None

    @property
    def staff(self) -> bool:
        """Whether the principal sees what is for staff."""
        return not self.roles.isdisjoint(STAFF)


ANONYMOUS = Principal("anonymous", frozenset())


def mint(secret: bytes, principal: Principal, now: datetime, lifetime: timedelta) -> str:
    """A token of this instance (HS256) for a principal.

    Raises `ForbiddenError` unless a device names its facility, a gateway its gateway, and others neither.
    """
    roles, facility, gateway = principal.roles, principal.facility, principal.gateway
    if ("device" in roles) != (facility is not None) or ("gateway" in roles) != (gateway is not None):
        raise ForbiddenError("a device's token names its facility, a gateway's token its gateway, others neither")
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": principal.subject,
        "roles": sorted(roles),
        "iat": int(now.timestamp()),
        "exp": int((now + lifetime).timestamp()),
    }
    claims |= {"facility": facility} if facility else {}
    claims |= {"gateway": gateway} if gateway else {}
    return jwt.encode(claims, secret, "HS256")


@dataclass(frozen=True, slots=True)
class Oidc:
    """An outside issuer whose RS256 and ES256 tokens count.

    For a key that is not known, and after it did not answer, the issuer is asked again at most every `again_s` seconds:
    a flood of tokens with keys of their own must not become a flood of requests to it.
    """

    issuer: str
    audience: str
    roles_claim: str = "roles"
    jwks_url: str = ""
    again_s: float = 5.0


class Verifier:
    """Verifies tokens, and remembers a good one for `cache_s` seconds (never beyond its expiry), at most 10,000.

    The algorithm chooses the key and the issuer: HS256 is ours, RS256 and ES256 are the outside issuer's; so nobody
    passes a public key off as our secret.
    """

    def __init__(self, secret: bytes | None, oidc: Oidc | None = None, cache_s: float = 30.0) -> None:
        if secret is not None and len(secret) < 32:
            raise SetupError("the JWT secret is shorter than 32 bytes: delete the file, a new one is made at the start")
        self._secret, self._oidc, self._cache_s = secret, oidc, cache_s
        self._known: OrderedDict[str, tuple[float, Principal]] = OrderedDict()
        self._keys: jwt.PyJWKClient | None = None
        self._asking, self._away_until = threading.Lock(), 0.0

    def known(self, token: str, now: float) -> Principal | None:
        """The principal of a token verified a moment ago; None where it must be verified."""
        until, principal = self._known.get(token, (0.0, None))
        return principal if now < until else None

    async def verify(self, token: str, now: float) -> Principal:
        """The principal of a token at `now` (epoch seconds).

        Raises `UnauthenticatedError` for a token that does not hold, `UnavailableError` while the issuer's keys cannot
        be read.
        """
        if (principal := self.known(token, now)) is not None:
            return principal
        try:
            algorithm = str(jwt.get_unverified_header(token).get("alg"))
            if algorithm == "HS256" and self._secret is not None:
                issuer, key = Oidc(ISSUER, AUDIENCE), self._secret
            elif algorithm in ("RS256", "ES256") and self._oidc is not None:
                issuer = self._oidc
                key = await asyncio.to_thread(self._issuer_key, token, issuer)
            else:
                raise UnauthenticatedError("the token is signed in a way that is not accepted here")
            claims = jwt.decode(
                token, key, [algorithm], audience=issuer.audience, issuer=issuer.issuer, options=_OPTIONS
            )
        except jwt.PyJWKClientConnectionError:
            raise UnavailableError("the keys of the token's issuer cannot be read now", 5) from None
        except (jwt.PyJWTError, ValueError) as error:
            raise UnauthenticatedError(f"the token does not hold: {error}") from None
        principal = _principal(claims, issuer.roles_claim, now)
        self._known[token] = (min(now + self._cache_s, principal.expires or now), principal)
        while len(self._known) > 10_000:
            self._known.popitem(last=False)
        return principal

    def _issuer_key(self, token: str, oidc: Oidc) -> Any:
        with self._asking:
            keys = self._keys_of(oidc)
        return keys.get_signing_key_from_jwt(token).key

    def _keys_of(self, oidc: Oidc) -> jwt.PyJWKClient:
        """The issuer's keys, read. One asks at a time, and for a while after a failure nobody does."""
        if time.monotonic() < self._away_until:
            raise jwt.PyJWKClientConnectionError("the issuer did not answer a moment ago")
        try:
            if self._keys is None:
                url = oidc.jwks_url or _discover(oidc.issuer)
                self._keys = jwt.PyJWKClient(url, timeout=5, cooldown_duration=oidc.again_s)
            self._keys.get_jwk_set()
        except (jwt.PyJWTError, OSError, ValueError) as error:
            self._away_until = time.monotonic() + oidc.again_s
            # Whatever is wrong with the issuer's answer says nothing about the token.
            raise jwt.PyJWKClientConnectionError(str(error)) from None
        return self._keys


def _discover(issuer: str) -> str:
    if urlsplit(issuer).scheme != "https":
        raise SetupError("BOMNAE_OIDC_ISSUER must be an https address, or BOMNAE_OIDC_JWKS_URL be given")
    url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - https is checked above
            keys = str(json.load(answer)["jwks_uri"])
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        raise jwt.PyJWKClientConnectionError(str(error)) from None
    if urlsplit(keys).scheme != "https":
        raise jwt.PyJWKClientConnectionError(f"{issuer} names {keys!r} for its keys, which is no https address")
    return keys


def _principal(claims: dict[str, Any], roles_claim: str, now: float) -> Principal:
    if not isinstance(end := claims["exp"], int | float) or end <= now:
        raise UnauthenticatedError("the token has expired: mint a new one")
    if not isinstance(start := claims.get("nbf", 0), int | float) or start > now + 60:
        raise UnauthenticatedError("the token is not valid yet")
    subject, facility, gateway = claims["sub"], claims.get("facility"), claims.get("gateway")
    if not isinstance(subject, str) or not 1 <= len(subject) <= 120:
        raise UnauthenticatedError("the token's subject must have 1 to 120 characters")
    if not isinstance(facility, str | None) or not isinstance(gateway, str | None):
        raise UnauthenticatedError("the token's facility and gateway must be ids")
    given = claims.get(roles_claim) or []
    roles = {given} if isinstance(given, str) else {one for one in given if isinstance(one, str)}
    return Principal(subject, frozenset(roles & ROLES), facility, gateway, float(end))


def bearer(authorization: str) -> str | None:
    """The token in an Authorization header. Raises `UnauthenticatedError` for another scheme."""
    if not authorization:
        return None
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnauthenticatedError("the Authorization header must read `Bearer <token>`")
    return token.strip()


async def authorize(request: Request, method: str, path: str, now: float) -> Principal:
    """Who asks for this route. Raises `UnauthenticatedError` or `ForbiddenError` where they may not."""
    allowed = ALLOWED.get((method, path), frozenset())
    token = bearer(request.headers.get("authorization", ""))
    verifier: Verifier = request.app.state.verifier
    principal = ANONYMOUS if token is None else await verifier.verify(token, now)
    if allowed is not PUBLIC and allowed.isdisjoint(principal.roles):
        if token is None:
            raise UnauthenticatedError
        raise ForbiddenError(f"this needs one of the roles {', '.join(sorted(allowed)) or '(none: nobody may)'}")
    return principal
