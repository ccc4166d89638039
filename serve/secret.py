"""The local secret that signs this instance's own tokens."""

import os
import secrets

from schemas.settings import Settings


def ensure_secret(settings: Settings) -> bytes:
    """The HS256 secret (43 characters, 256 random bits), made with mode 0600 where there is none; safe to repeat."""
    path = settings.secret_file
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes().strip()
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_urlsafe(32).encode())
    return path.read_bytes()
