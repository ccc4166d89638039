"""Whatever the document allows, and much that it does not, is answered without a 500 and as the document says."""

import asyncio

import schemathesis
from hypothesis import HealthCheck, Phase, settings

from serve.admission import Limits
from serve.app import Config, create_app
from serve.auth import ROLES, Verifier
from tests.unit.api.conftest import SECRET, bearer
from tests.unit.api.memory import MemoryBackend

NOT_PROMISED = [
    # What a schema cannot say makes valid data impossible: an opaque cursor, a moment before the oldest snapshot.
    schemathesis.checks.positive_data_acceptance,
    # Its second request keeps the headers given here; test_access.py asks every route without a token.
    schemathesis.checks.ignored_auth,
]
EVERYONE = bearer(*(ROLES - {"device", "gateway"}))
SENDER = bearer("device", facility="bridge-1")


def _app():
    backend = asyncio.run(MemoryBackend().start())
    unlimited = Config(limits=Limits(client_rate=1e9, client_burst=10**9))
    return create_app(backend, Verifier(SECRET), unlimited)


schema = schemathesis.openapi.from_asgi("/openapi.json", _app())


@schema.parametrize()
@settings(
    max_examples=15,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_breaks_the_api_and_every_answer_is_as_described(case):
    headers = SENDER if case.operation.path in {"/v1/readings", "/v1/sightings", "/v1/encodings"} else EVERYONE
    excluded = list(NOT_PROMISED)
    if case.method == "GET" and "authorization" not in {name.lower() for name in case.headers or {}}:
        # The token that was left out on purpose is put back above: nothing may be wrong with the request any more.
        excluded.append(schemathesis.checks.negative_data_rejection)
    case.call_and_validate(headers=headers, excluded_checks=excluded)
