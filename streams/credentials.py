"""Users of the embedded server: added and revoked while it runs, on NATS, WebSocket and MQTT alike."""

import contextlib
import fcntl
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import bcrypt
import orjson
from pydantic import TypeAdapter, ValidationError

from schemas.base import EntityId
from schemas.errors import ConflictError, InvalidError, NotFoundError, SetupError
from streams import instance
from streams.permissions import ANONYMOUS, LOCAL, Kind, accounts, anonymous, grant, inbox, user_name

_BCRYPT_COST = 4
"""The least: secrets of 256 random bits are not guessed at any cost, and the server pays it per connection."""

_LOCAL: tuple[Kind, ...] = ("host", "operator", "feed-admin", "system")
MAX_CASES = 50
"""Cases that one officer's credential names at most."""
_FIELDS = frozenset({"kind", "name", "entities", "hash"})
_ANEW = "start the city anew (`bomnae down`, `bomnae up`), which makes it again"
_ENTITY_ID = TypeAdapter(EntityId)


@dataclass(frozen=True, slots=True)
class Credential:
    """What a client logs in with. The password exists only here: the folder keeps its bcrypt hash."""

    kind: Kind
    name: str
    user: str
    password: str

    def options(self) -> dict[str, Any]:
        """Arguments for `nats.connect`: name, password and the private inbox."""
        return {"user": self.user, "password": self.password, "inbox_prefix": inbox(self.user)}


@dataclass(frozen=True, slots=True)
class Listed:
    """One credential as `entries` shows it."""

    kind: Kind
    name: str
    user: str
    entities: tuple[str, ...]


def add(folder: Path, kind: Kind, name: str, entities: tuple[str, ...] = ()) -> Credential:
    """Create a user and have the running server know it before this returns.

    `entities`: a device's one facility, the roads of a gateway, a camera's own id, a provider's datasets, an officer's
    cases. Raises `InvalidError` for a name that is no id or entities that do not fit the kind, `ConflictError` where
    the user exists, `SetupError` where the server refuses.
    """
    _check(kind, name, entities)
    credential = Credential(kind, name, user_name(kind, name), secrets.token_urlsafe(32))
    with _users(folder) as users:
        if credential.user in users:
            raise ConflictError(f"{credential.user} exists: revoke it first to give it a new password")
        users[credential.user] = _entry(credential, entities)
    render(folder)
    instance.reload(folder)
    if kind == "officer":
        # Seen with nats-server 2.15.1: what a new account imports as a service finds nobody until the second reload.
        instance.reload(folder)
    return credential


def revoke(folder: Path, kind: Kind, name: str) -> None:
    """Take a user away and close its connections before this returns. Raises `NotFoundError` where there is none."""
    with _users(folder) as users:
        if users.pop(user_name(kind, name), None) is None:
            raise NotFoundError("credential", user_name(kind, name))
    render(folder)
    instance.reload(folder)


def entries(folder: Path) -> list[Listed]:
    """All users that were given out, by kind and name, without secrets."""
    with _users(folder) as users:
        found = [Listed(u["kind"], u["name"], user, tuple(u["entities"])) for user, u in users.items()]
    return sorted((e for e in found if e.name != LOCAL), key=lambda e: (e.kind, e.name))


def local(folder: Path, kind: Kind = "host") -> Credential:
    """The node's own credential of a kind (`host`, `operator`, `feed-admin`, `system`), for processes of this node.

    Its password stays readable in the folder (mode 0600) for whoever may read the data itself. `render` makes them.
    Raises `SetupError`, with what to do, where the folder keeps none or a damaged one.
    """
    path = _home(folder) / f"{kind}.json"
    data = instance.read(path, f"name the folder that `bomnae credentials add` wrote to, or {_ANEW}")
    try:
        return Credential(**orjson.loads(data))
    except (ValueError, TypeError) as error:
        raise SetupError(f"{path} is damaged ({error}): remove it and {_ANEW}") from error


def render(folder: Path) -> None:
    """Write the users file that the server includes; make the node's own credentials where they are missing."""
    with _users(folder) as users:
        for kind in _LOCAL:
            path, user = _home(folder) / f"{kind}.json", user_name(kind, LOCAL)
            if not path.exists():
                own = Credential(kind, LOCAL, user, secrets.token_urlsafe(32))
                with instance.writing(path.parent):
                    instance.write_atomically(path, orjson.dumps(own))
                users[user] = _entry(own, ())
            elif user not in users:
                # A start that died between the two files.
                users[user] = _entry(local(folder, kind), ())
        by_account: dict[str, list[dict[str, Any]]] = {}
        for user, entry in users.items():
            allowed = grant(entry["kind"], entry["name"], tuple(entry["entities"]))
            line = {"user": user, "password": entry["hash"], **allowed.to_config()}
            by_account.setdefault(allowed.account, []).append(line)
        officers = {entry["name"]: tuple(entry["entities"]) for entry in users.values() if entry["kind"] == "officer"}
        nobody = anonymous()
        # Without a hash: nats-server logs whoever gives no name in with this very text.
        line = {"user": ANONYMOUS, "password": "", **nobody.to_config()}
        by_account.setdefault(nobody.account, []).append(line)
        parts = {"accounts": accounts(by_account, officers), "system_account": "SYS", "no_auth_user": ANONYMOUS}
        lines = [f"{key}: {orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()}" for key, value in parts.items()]
        home = instance.nats_folder(folder)
        with instance.writing(home):
            home.mkdir(exist_ok=True)
            instance.write_atomically(home / "users.conf", "\n".join(lines).encode())


def _home(folder: Path) -> Path:
    return Path(folder) / "credentials"


@contextlib.contextmanager
def _users(folder: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """The stored users by name, written back when they change; one process at a time."""
    home = _home(folder)
    path = home / "users.json"
    with instance.writing(home):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (home / "lock").open("w")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = instance.read(path, _ANEW) if path.exists() else b"{}"
        users = _parsed(path, before)
        yield users
        if (after := orjson.dumps(users, option=orjson.OPT_INDENT_2)) != before:
            with instance.writing(home):
                instance.write_atomically(path, after)


def _parsed(path: Path, data: bytes) -> dict[str, dict[str, Any]]:
    try:
        users: dict[str, dict[str, Any]] = orjson.loads(data)
        if all(isinstance(entry, dict) and entry.keys() >= _FIELDS for entry in users.values()):
            return users
        why = "a user lacks a field"
    except (ValueError, AttributeError) as error:
        why = str(error)
    raise SetupError(
        f"{path} is damaged ({why}): put a copy of it back; or remove it, {_ANEW}, and add the users again with "
        "`bomnae credentials add`"
    )


def _entry(credential: Credential, entities: tuple[str, ...]) -> dict[str, Any]:
    return {
        "kind": credential.kind,
        "name": credential.name,
        "entities": list(entities),
        "hash": _hash(credential.password),
    }


def _hash(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(_BCRYPT_COST)).decode()


def _check(kind: Kind, name: str, entities: tuple[str, ...]) -> None:
    if kind not in get_args(Kind) or kind in {"feed-admin", "system"}:
        raise InvalidError(f"there is no credential of kind {kind!r}")
    if kind == "device" and len(entities) != 1:
        raise InvalidError("a device speaks for exactly one facility: name it")
    if kind == "camera" and len(entities) != 1:
        raise InvalidError("a camera speaks for itself alone: name it")
    if kind == "officer" and not 1 <= len(entities) <= MAX_CASES:
        raise InvalidError(f"an officer hears of 1 to {MAX_CASES} cases: name them")
    if kind == "provider" and not entities:
        raise InvalidError("a provider sends rows of datasets: name them")
    if kind not in {"device", "gateway", "camera", "provider", "officer"} and entities:
        raise InvalidError(f"a credential of kind {kind} is not bound to entities")
    for value in (name, *entities):
        try:
            _ENTITY_ID.validate_python(value)
        except ValidationError as error:
            raise InvalidError(f"{value!r} is no id: lower-case letters, digits and hyphens, at most 63") from error
    if name == LOCAL:
        raise InvalidError(f"the name {LOCAL!r} belongs to the node itself")
