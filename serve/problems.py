"""Every error as problem details (RFC 9457): the one table from errors to HTTP statuses."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import compile_path

from schemas import errors
from serve.auth import ALLOWED
from serve.head import ENDLESS
from streams.api import JetStreamApiError

MEDIA_TYPE = "application/problem+json"

STATUS: dict[type[errors.BomnaeError], tuple[int, str]] = {
    errors.NotFoundError: (404, "not-found"),
    errors.ConflictError: (409, "conflict"),
    errors.InvalidError: (422, "invalid"),
    errors.IdempotencyConflictError: (422, "idempotency-key-reused"),
    errors.UnauthenticatedError: (401, "unauthenticated"),
    errors.ForbiddenError: (403, "forbidden"),
    errors.GoneError: (410, "gone"),
    errors.TooManyRequestsError: (429, "too-many-requests"),
    errors.UnavailableError: (503, "unavailable"),
    errors.StorageFullError: (503, "storage-full"),
    errors.OversizedError: (500, "oversized"),
    errors.AppendTimeoutError: (503, "outcome-unknown"),
    errors.SequenceConflictError: (503, "owner-changed"),
    errors.FencedError: (503, "owner-changed"),
    errors.LogGapError: (503, "log-gap"),
    errors.LostLogError: (503, "lost-log"),
    errors.DivergenceError: (500, "divergence"),
    errors.ObjectError: (500, "divergence"),
    errors.UnknownEventError: (500, "unknown-event"),
    errors.PackError: (500, "pack"),
    errors.SetupError: (500, "setup"),
    JetStreamApiError: (503, "log-refused"),
}
"""Status and last part of the problem's `type`; an `AppendTimeoutError` is safe to repeat with its Idempotency-Key."""


def response(
    status: int,
    name: str,
    detail: str,
    *,
    instance: str = "",
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """One problem document as a response, `more` its further members. 503 and 429 always say `Retry-After`."""
    body = {
        "type": f"urn:bomnae:problem:{name}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": instance,
        **(more or {}),
    }
    headers = {**({"retry-after": "1"} if status in (429, 503) else {}), **(headers or {})}
    # json, not orjson: an error may quote a lone surrogate, which has no UTF-8 form but an escaped one.
    return Response(json.dumps(body), status, headers, MEDIA_TYPE)


def of(error: errors.BomnaeError, instance: str = "") -> Response:
    """The response for an error raised on purpose."""
    status, name = next((STATUS[base] for base in type(error).__mro__ if base in STATUS), (500, "internal"))
    headers: dict[str, str] = {}
    more: dict[str, Any] = {}
    match error:
        case errors.UnauthenticatedError():
            headers["www-authenticate"] = 'Bearer realm="bomnae"'
        case errors.UnavailableError() | errors.TooManyRequestsError():
            headers["retry-after"] = str(error.retry_after_s)
        case errors.InvalidError() if error.errors:
            more["errors"] = error.errors
        case _:
            pass
    return response(status, name, str(error), instance=instance, headers=headers, more=more)


async def _on_purpose(request: Request, error: Exception) -> Response:
    if not isinstance(error, errors.BomnaeError):
        raise error
    return of(error, request.url.path)


async def _validation(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    found = [{"at": "/".join(map(str, one["loc"])), "reason": str(one["msg"])} for one in error.errors()]
    detail = f"{len(found)} place{'s' if len(found) != 1 else ''} in the request cannot be read: see errors"
    return response(422, "invalid", detail, instance=request.url.path, more={"errors": found})


async def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    name = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    detail = {
        404: f"nothing is served at {request.url.path}: see /docs",
        405: f"{request.method} is not for {request.url.path}: see the Allow header",
    }.get(error.status_code, error.detail)
    headers = {"allow": _allowed(request.url.path)} if error.status_code == 405 else error.headers
    return response(error.status_code, name, detail, instance=request.url.path, headers=headers)


_PATHS = [(method, compile_path(path)[0]) for method, path in ALLOWED]


def _allowed(path: str) -> str:
    # The router names the methods of the first route with this path only.
    methods = {method for method, pattern in _PATHS if pattern.match(path)}
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods and path not in ENDLESS else set())))


async def _unexpected(request: Request, _error: Exception) -> Response:
    return response(
        500, "internal", "something broke here; the log of this process says what", instance=request.url.path
    )


def install(app: FastAPI) -> None:
    """Answer every error of the app with problem details."""
    app.add_exception_handler(errors.BomnaeError, _on_purpose)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)
