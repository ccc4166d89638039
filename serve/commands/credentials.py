"""`bomnae credentials`: users of the embedded NATS, added and revoked while it runs."""

import asyncio
from typing import cast

import orjson
from rich.table import Table

from schemas.settings import Settings
from serve.commands.terminal import err, out
from streams import credentials, instance
from streams.connection import Connection, access_of
from streams.officers import ensure_consumers
from streams.permissions import Kind, inbox


def add(settings: Settings, kind: str, name: str, entities: list[str], json: bool) -> None:
    """Create a user and print its name and password, which are shown this once."""
    made = credentials.add(settings.data, cast("Kind", kind), name, tuple(entities))
    _consumers(settings, kind)
    if json:
        fields = {"user": made.user, "password": made.password, "inbox_prefix": inbox(made.user)}
        out.print(orjson.dumps(fields).decode(), markup=False)
        return
    out.print(f"user      {made.user}", markup=False)
    out.print(f"password  {made.password}", markup=False)
    out.print(f"inbox     {inbox(made.user)}.>   (NATS: --inbox-prefix {inbox(made.user)})", markup=False)
    err.print("The password is not kept in clear: note it now.")


def revoke(settings: Settings, kind: str, name: str) -> None:
    """Take a user away; its open connections are closed."""
    credentials.revoke(settings.data, cast("Kind", kind), name)
    _consumers(settings, kind)
    out.print(f"{kind}-{name} is revoked", markup=False)


def show(settings: Settings, json: bool) -> None:
    """List all users that were given out, without passwords."""
    found = credentials.entries(settings.data)
    if json:
        out.print(orjson.dumps(found).decode(), markup=False)
        return
    table = Table("kind", "name", "user", "entities")
    for one in found:
        table.add_row(one.kind, one.name, one.user, ", ".join(one.entities))
    out.print(table)


def _consumers(settings: Settings, kind: str) -> None:
    """An officer's consumer comes and goes with the credential; where no server runs, at its next start."""
    if kind == "officer" and instance.running_pid(settings.data) is not None:
        asyncio.run(_ensure(settings))


async def _ensure(settings: Settings) -> None:
    connection = await Connection.open(access_of(settings), "credentials")
    try:
        await ensure_consumers(connection.nc, credentials.entries(settings.data))
    finally:
        await connection.close()
