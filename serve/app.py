"""The HTTP API as one ASGI app over a backend: the same in a test, under uvicorn, and on Ray Serve."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Scope

from actors.meters import Meters, Numbers
from schemas.settings import Settings
from serve import openapi, openapi_cases, problems
from serve.admission import SHARED, Admission, Limits, gates_of, header
from serve.auth import Oidc, Verifier
from serve.backend import Backend
from serve.catalogue.desk import City, Desk
from serve.catalogue.refreshing import Refresher, Sources
from serve.head import Head
from serve.measuring import Measured
from serve.pictures.sandbox import Limits as Picture
from serve.population.atlas import Atlas
from serve.render import Renderer
from serve.routes import (
    alarms,
    cameras,
    cases,
    catalogue,
    dataset_input,
    datasets,
    encodings,
    erasures,
    facilities,
    journeys,
    live,
    meta,
    population,
    population_sources,
    readings,
    rejected,
    roads,
    searches,
    sensors,
    sightings,
    siting,
    snow,
    statistics,
    watches,
    works,
)
from serve.secret import read_secret
from serve.siting.run import Solving

_OF_PLACES = (facilities, sensors, alarms, readings, roads, works, snow)
_OF_DATA = (catalogue, datasets, dataset_input, population, population_sources, siting)
_OF_PERSONS = (cases, searches, watches, journeys, cameras, encodings, sightings, erasures)

_EXPOSED = (
    "bomnae-position",
    "bomnae-next",
    "bomnae-dataset-status",
    "bomnae-dataset-version",
    "etag",
    "location",
    "retry-after",
    "idempotency-replayed",
)
"""Headers that scripts in browsers may read."""

DESCRIPTION = """What a city knows of its facilities and roads, now or at any moment, and the commands that change it.

Times are RFC 3339 in UTC. Lists are `{"items", "next"}`. Errors are problem details (RFC 9457).
HEAD is answered like GET, but for `/v1/live`.
What is synthetic says so.
"""


@dataclass(frozen=True, slots=True)
class Config:
    """How one app serves: limits per replica, origins, streams per client, and the AsyncAPI document to show."""

    limits: Limits = field(default_factory=Limits)
    cors_origins: tuple[str, ...] = ("*",)
    live_per_client: int = 8
    live_per_staff: int = 32
    asyncapi: dict[str, Any] = field(default_factory=dict)
    trusted_proxies: int = 0
    city: City = field(default_factory=City)
    sources: Sources = field(default_factory=Sources)

    @classmethod
    def of(cls, settings: Settings, asyncapi: dict[str, Any]) -> "Config":
        """As the settings say."""
        limits = Limits(
            read=settings.read_concurrency,
            past=settings.past_concurrency,
            data=settings.data_concurrency,
            write=settings.write_concurrency,
            live=settings.live_concurrency,
            picture=settings.picture_concurrency,
            queue=settings.queue,
            queue_s=settings.queue_s,
            client_rate=settings.client_rate,
            client_burst=settings.client_burst,
            max_body=int(settings.max_body_mb * 1_000_000),
            max_search=int(settings.max_search_mb * 1_000_000),
            max_picture=Picture().bytes,
            max_dataset=int(settings.max_dataset_mb * 1_000_000),
        )
        streams = settings.live_per_client, settings.live_per_staff
        places = City.of(settings.pack), Sources.of(settings)
        return cls(limits, settings.cors_origins, *streams, asyncapi, settings.trusted_proxies, *places)


def verifier_of(settings: Settings) -> Verifier:
    """Local tokens count where there is a secret file, an outside issuer's where one is named."""
    secret = read_secret(settings) if settings.secret_file.exists() else None
    oidc = None
    if settings.oidc_issuer:
        oidc = Oidc(settings.oidc_issuer, settings.oidc_audience, settings.oidc_roles_claim, settings.oidc_jwks_url)
    return Verifier(secret, oidc, settings.token_cache_s)


def create_app(
    backend: Backend, verifier: Verifier, config: Config | None = None, meters: Meters | None = None
) -> FastAPI:
    """The API over `backend`. Holds no state of the city beside rendered bodies of the newest views."""
    config, meters = config or Config(), meters if meters is not None else Numbers()
    app = FastAPI(
        title="Bomnae 봄내",
        version="0.1.0",
        summary="A city's facilities and roads, event-sourced.",
        description=DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.state.backend = backend
    app.state.verifier = verifier
    app.state.renderer = Renderer()
    app.state.streams = live.Streams(config.live_per_client, config.live_per_staff, config.limits.live // 2)
    app.state.client = _client_of(backend, verifier, config.trusted_proxies)
    app.state.asyncapi = config.asyncapi
    app.state.city = config.city
    app.state.desk = Desk(backend, Refresher(backend, config.sources))
    app.state.atlas = Atlas(backend, app.state.desk)
    app.state.solving = Solving()
    for module in (*_OF_PLACES, statistics, *_OF_DATA, live, rejected, meta, *_OF_PERSONS):
        # As they are: `include_router` wraps them, and then looks twice through all of them for every request.
        app.router.routes.extend(module.routes.routes)
    problems.install(app)
    openapi.install(app, openapi_cases.components())
    app.add_middleware(Head)
    app.state.gates = gates_of(config.limits)
    app.add_middleware(Admission, limits=config.limits, gates=app.state.gates, client=app.state.client, meters=meters)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=config.cors_origins,
        allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["authorization", "content-type", "idempotency-key", "if-none-match", "last-event-id"],
        expose_headers=[*_EXPOSED],
    )
    app.add_middleware(Measured, meters=meters)
    return app


def _client_of(backend: Backend, verifier: Verifier, proxies: int) -> Callable[[Scope], str]:
    def client(scope: Scope) -> str:
        """Whose bucket a request counts against: the principal of a token seen before, else the address."""
        # An unverified token must not open a bucket of its own, or a flood would bring a new one with each request.
        token = header(scope, b"authorization").partition(" ")[2].strip()
        if token and (known := verifier.known(token, backend.now().timestamp())) is not None:
            return f"principal {known.subject}"
        if proxies:
            # Each of our proxies appends whom it heard; what stands before that, anybody may have written.
            heard = [one.strip() for one in header(scope, b"x-forwarded-for").split(",")]
            host = heard[-proxies] if len(heard) >= proxies else ""
        else:
            host = (scope.get("client") or ("", 0))[0]
        # Whoever speaks from this machine may be a proxy that tells nobody for whom.
        return SHARED if host in ("", "127.0.0.1", "::1") else str(host)

    return client
