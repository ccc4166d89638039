"""`bomnae token`: a bearer token of this instance for local use."""

from datetime import UTC, datetime, timedelta

from schemas.errors import InvalidError
from schemas.settings import Settings
from serve.auth import ROLES, Principal, mint
from serve.secret import ensure_secret

_LONGEST_H = 366 * 24


def token(settings: Settings, principal: Principal, hours: float) -> str:
    """A token for a principal, valid for `hours` from now; makes the instance's secret where there is none.

    Raises `InvalidError` for a role that does not exist and a lifetime of nothing, `ForbiddenError` unless a device
    names its facility, a gateway its gateway, and others neither.
    """
    if unknown := sorted(principal.roles - ROLES):
        raise InvalidError(f"there is no role {unknown[0]!r}: choose among {', '.join(sorted(ROLES))}")
    if not 0 < hours <= _LONGEST_H:
        raise InvalidError("a token is valid for more than 0 hours and at most a year")
    return mint(ensure_secret(settings), principal, datetime.now(UTC), timedelta(hours=hours))
