"""Who may say and hear what on NATS, WebSocket and MQTT: pure permission sets, one per kind of user.

nats-server checks the subject of a message but not its *reply* subject, nor where a consumer delivers to: whoever may
publish into a stream, or ask JetStream anything, can have the server answer on any subject of the same account, the
log's included. So accounts are the walls, and permissions the doors in them:

- `CITY`: shard hosts and the node's own operator, with every stream; `backup`, which copies and checks them.
- `OPS`: operators, who look after the server and see nothing of persons. They ask by service imports, as `EDGE` does.
- `EDGE`: devices, gateways, cameras, providers of datasets. The only way out is the service import of
  `city.raw.>`; answers return to `EDGE`.
- `APPS`: apps, with a copy of `FEED` that no subject of `APPS` leads into, and the live subjects.
- `PUBLIC`: whoever gives no name. Hears `city.pub.>`, says nothing.
- `POLICE_<name>`: one officer each, with the subjects of the cases that the credential names and nothing else. Not one
  account for all: an answer can be aimed at any subject of the account, so an officer could speak in another's case.
- `SYS`: nats-server's system account; nobody but the operator of the machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from streams import subjects

Kind = Literal[
    "device",
    "gateway",
    "camera",
    "camera-gateway",
    "provider",
    "app",
    "staff-app",
    "officer",
    "host",
    "operator",
    "backup",
    "feed-admin",
    "system",
]
"""The last two are the node's own and not given out."""

_INSIDERS: tuple[Kind, ...] = ("host", "operator", "backup", "feed-admin", "system")
ANONYMOUS, LOCAL = "anonymous", "local"
"""Who gives no name; the name of the node's own credentials."""
POLICE = "POLICE_"
CITY_API, MIRROR_DELIVER = "$JS.CITY.API", "mirror.feed"
"""How `APPS` reaches the original of its mirror in `CITY`, and operators its JetStream: their own answers `$JS.API`."""

_ERASED: frozenset[Kind] = frozenset({"camera", "camera-gateway", "provider"})
"""What they send is removed once it is taken in."""
_CONNECTIONS = {
    "EDGE": ("STANDARD", "WEBSOCKET", "MQTT"),
    "APPS": ("STANDARD", "WEBSOCKET"),
    "PUBLIC": ("STANDARD", "WEBSOCKET"),
    "POLICE": ("STANDARD", "WEBSOCKET"),
}


@dataclass(frozen=True, slots=True)
class Grant:
    """What one user may do, in the terms of nats-server."""

    account: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    connections: tuple[str, ...]

    def to_config(self) -> dict[str, Any]:
        """The part of a user's entry that says what it may. An empty list means nothing, not everything."""

        def rule(allowed: tuple[str, ...]) -> dict[str, list[str]]:
            return {"allow": list(allowed)} if allowed else {"deny": [">"]}

        return {
            "permissions": {"publish": rule(self.publish), "subscribe": rule(self.subscribe)},
            "allowed_connection_types": list(self.connections),
        }


def user_name(kind: Kind, name: str) -> str:
    """The user that a credential logs in with; one subject token, so that it can stand in permissions."""
    return f"{kind}-{name}"


def inbox(user: str) -> str:
    """The only place where this user hears answers: pass it as `inbox_prefix` when connecting."""
    return f"_INBOX_{user}"


def grant(kind: Kind, name: str, entities: tuple[str, ...] = ()) -> Grant:  # noqa: C901, PLR0912 - a case per kind
    """The permission set of a user. Pure.

    `entities`: for a device its one facility; for a gateway the roads whose clearing it may report (it sends readings
    on any facility's subject, where only rows of its own sensors count); for a camera itself; for a provider its
    datasets; for an officer its cases.
    Raises `ValueError` for a device or camera without one.
    """
    user = user_name(kind, name)
    own = (f"{inbox(user)}.>",)
    everything = (">",)
    publish: tuple[str, ...]
    subscribe: tuple[str, ...] = own
    match kind:
        case "device":
            (facility,) = entities
            account, publish = "EDGE", (subjects.raw("facility", facility, subjects.READINGS),)
        case "gateway":
            readings = subjects.raw("facility", "*", f"{subjects.GATEWAY_PREFIX}{name}")
            roads = (subjects.raw("road", road, subjects.CLEARING) for road in entities)
            account, publish = "EDGE", (readings, *roads)
        case "camera":
            (camera,) = entities
            account, publish = "EDGE", (subjects.raw("sighting", camera, subjects.SIGHTINGS),)
        case "camera-gateway":
            account, publish = "EDGE", (subjects.raw("sighting", "*", f"{subjects.GATEWAY_PREFIX}{name}"),)
        case "provider":
            account, publish = "EDGE", tuple(subjects.raw("catalogue", one, subjects.ROWS) for one in entities)
        case "app":
            account, publish, subscribe = "APPS", _reader(user, "pub"), ("city.pub.>", *own)
        case "staff-app":
            publish = (*_reader(user, "pub"), *_reader(user, "staff"))
            account, subscribe = "APPS", ("city.pub.>", "city.staff.>", *own)
        case "officer":
            account, publish = f"{POLICE}{name}", _officer(user)
            subscribe = (*(subjects.case_subject(case, ">") for case in entities), *own)
        case "host":
            account, publish, subscribe = "CITY", _HOST_PUBLISHES, ("city.>", *own)
        case "operator" if name != LOCAL:
            account, subscribe = "OPS", (*OPERATOR_HEARS, *own)
            publish = tuple(f"{CITY_API}.{asked}" for asked in OPERATOR_ASKS)
        case "operator" | "backup":
            account, publish, subscribe = "CITY", everything, everything
        case "feed-admin":
            account, publish, subscribe = "APPS", everything, everything
        case "system":
            account, publish, subscribe = "SYS", everything, everything
    return Grant(account, publish, subscribe, _listeners(kind, account))


def _listeners(kind: Kind, account: str) -> tuple[str, ...]:
    if kind in _INSIDERS:
        return ("STANDARD",)
    allowed = _CONNECTIONS[account.split("_", maxsplit=1)[0]]
    # The server's MQTT keeps what is published in streams of its own, where nobody would erase it.
    return tuple(one for one in allowed if one != "MQTT") if kind in _ERASED else allowed


def anonymous() -> Grant:
    """Without a name: live public events only, no consumer and no word."""
    return Grant("PUBLIC", (), ("city.pub.>",), _CONNECTIONS["PUBLIC"])


_HOST_PUBLISHES = (
    "$JS.API.>",
    "$JS.ACK.>",
    "$JS.FC.>",
    "$KV.>",
    "$O.>",
    "city.raw.>",
    "city.log.>",
    "city.pub.>",
    "city.staff.>",
    "city.case.>",
    "city.rejected.>",
    "city.simulator.>",
)


_OPERATED = (subjects.FEED, subjects.REJECTED, subjects.ingest_stream("facility"), subjects.ingest_stream("road"))
"""Streams without persons whose names no number of shards changes."""
OPERATOR_ASKS = (
    "STREAM.NAMES",
    "STREAM.LIST",
    *(f"{what}.{stream}" for stream in _OPERATED for what in ("STREAM.INFO", "STREAM.MSG.GET")),
    *(f"CONSUMER.{what}.{stream}" for stream in _OPERATED for what in ("NAMES", "LIST")),
)
"""What an operator asks JetStream: how full every stream is, and single messages of those without persons.

Of other streams not even `STREAM.INFO`, which names their subjects, and these name cases; no consumer, no snapshot, and
nothing that makes or changes a stream, since a stream may be told to copy another.
"""
OPERATOR_HEARS = ("city.pub.>", "city.staff.>", "city.rejected.>")


def _reader(user: str, audience: str) -> tuple[str, ...]:
    # One consumer, named like the user: a wildcard here would let a user take over or drain another's consumer.
    return (
        f"$JS.API.CONSUMER.CREATE.{subjects.FEED}.{user}.city.{audience}.>",
        f"$JS.API.CONSUMER.INFO.{subjects.FEED}.{user}",
        f"$JS.API.CONSUMER.DELETE.{subjects.FEED}.{user}",
        f"$JS.API.CONSUMER.MSG.NEXT.{subjects.FEED}.{user}",
        f"$JS.ACK.{subjects.FEED}.{user}.>",
        f"$JS.FC.{subjects.FEED}.{user}.>",
    )


def _officer(user: str) -> tuple[str, ...]:
    # No consumer is created here: one of its own making could deliver to any subject of CITY.
    return (
        f"$JS.API.CONSUMER.INFO.{subjects.CASES}.{user}",
        f"$JS.API.CONSUMER.MSG.NEXT.{subjects.CASES}.{user}",
        f"$JS.ACK.{subjects.CASES}.{user}.>",
    )


def _police(officers: Mapping[str, tuple[str, ...]]) -> dict[str, dict[str, Any]]:
    """An account for each officer, with what comes in from `CITY`."""
    found = {}
    for name, cases in officers.items():
        imports: list[dict[str, Any]] = [
            {"stream": {"account": "CITY", "subject": subjects.case_subject(case, ">")}} for case in cases
        ]
        asked = _officer(user_name("officer", name))
        imports += [{"service": {"account": "CITY", "subject": subject}} for subject in asked]
        found[f"{POLICE}{name}"] = {"imports": imports}
    return found


def _to_police(officers: Mapping[str, tuple[str, ...]]) -> list[dict[str, Any]]:
    names = [f"{POLICE}{name}" for name in officers]
    if not names:
        return []  # an empty list of accounts would mean all
    return [
        {"stream": "city.case.>", "accounts": names},
        {"service": f"$JS.API.CONSUMER.INFO.{subjects.CASES}.*", "accounts": names},
        {"service": f"$JS.API.CONSUMER.MSG.NEXT.{subjects.CASES}.*", "accounts": names, "response_type": "stream"},
        {"service": f"$JS.ACK.{subjects.CASES}.>", "accounts": names},
    ]


def accounts(
    users: dict[str, list[dict[str, Any]]], officers: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> dict[str, Any]:
    """The `accounts` block of nats-server with these users by account, and what passes between accounts. Pure.

    `officers`: the cases of each officer by name.
    """
    create = f"CONSUMER.CREATE.{subjects.FEED}"
    live = ("city.pub.>", "city.staff.>")
    blocks: dict[str, dict[str, Any]] = {
        "SYS": {},
        "CITY": {
            "jetstream": "enabled",
            "exports": [
                {"service": "city.raw.>", "accounts": ["EDGE"]},
                {"stream": "city.pub.>", "accounts": ["APPS", "OPS", "PUBLIC"]},
                {"stream": "city.staff.>", "accounts": ["APPS", "OPS"]},
                {"stream": "city.rejected.>", "accounts": ["OPS"]},
                *({"service": f"$JS.API.{asked}", "accounts": ["OPS"]} for asked in OPERATOR_ASKS),
                {"service": f"$JS.API.{create}", "accounts": ["APPS"], "response_type": "stream"},
                {"service": "$JS.FC.>", "accounts": ["APPS"]},
                {"stream": f"{MIRROR_DELIVER}.>", "accounts": ["APPS"]},
                *_to_police(officers),
            ],
        },
        "EDGE": {
            # MQTT keeps its sessions in JetStream streams of the account.
            "jetstream": "enabled",
            "imports": [{"service": {"account": "CITY", "subject": "city.raw.>"}}],
        },
        "APPS": {
            "jetstream": "enabled",
            "imports": [
                *({"stream": {"account": "CITY", "subject": subject}} for subject in live),
                {"service": {"account": "CITY", "subject": f"$JS.API.{create}"}, "to": f"{CITY_API}.{create}"},
                {"service": {"account": "CITY", "subject": "$JS.FC.>"}},
                {"stream": {"account": "CITY", "subject": f"{MIRROR_DELIVER}.>"}},
            ],
        },
        "OPS": {
            "imports": [
                *({"stream": {"account": "CITY", "subject": subject}} for subject in OPERATOR_HEARS),
                *(
                    {"service": {"account": "CITY", "subject": f"$JS.API.{asked}"}, "to": f"{CITY_API}.{asked}"}
                    for asked in OPERATOR_ASKS
                ),
            ]
        },
        "PUBLIC": {"imports": [{"stream": {"account": "CITY", "subject": "city.pub.>"}}]},
        **_police(officers),
    }
    return {name: {**block, "users": users.get(name, [])} for name, block in blocks.items()}
