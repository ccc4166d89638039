"""The local secret that signs this instance's own tokens."""

import secrets

from schemas.errors import SetupError
from schemas.settings import Settings
from streams import instance

_LEAST = 32
"""Bytes of an HS256 key at least (RFC 7518, 3.2)."""


def ensure_secret(settings: Settings) -> bytes:
    """The HS256 secret (43 characters, 256 random bits), made with mode 0600 where there is none; safe to repeat.

    Raises as `read_secret` does, and where the folder cannot be written.
    """
    path = settings.secret_file
    if not path.exists():
        with instance.writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            instance.create_atomically(path, secrets.token_urlsafe(32).encode())
    return read_secret(settings)


def read_secret(settings: Settings) -> bytes:
    """The HS256 secret. Raises `SetupError`, with what to do, where it is missing or too short to be a whole one."""
    path = settings.secret_file
    found = instance.read(path, "`bomnae up` or `bomnae token` makes it").strip()
    if len(found) < _LEAST:
        raise SetupError(
            f"{path} holds {len(found)} bytes, a secret has {_LEAST} or more: put a copy of it back; or remove it and "
            "start the city anew (`bomnae down`, `bomnae up`), after which tokens from before no longer count"
        )
    return found
