"""Stored events by type: reading them back, old versions included.

An event's stored name and version never change. When a shape must change, the new class gets the next version and
`upcaster` registers the function that turns the old dictionary into the new one; a golden file keeps the old bytes.
"""

from collections.abc import Callable
from typing import Any

import orjson

from schemas import catalogue, facility, person, population, road, sighting
from schemas.base import Command, Event
from schemas.errors import InvalidError, UnknownEventError

_CONTEXTS = (facility, road, sighting, person, population, catalogue)

EVENTS: dict[str, type[Event]] = {cls.type: cls for module in _CONTEXTS for cls in module.EVENTS}
"""Every event class that is written today, by stored type."""

COMMANDS: dict[str, type[Command]] = {cls.__name__: cls for module in _CONTEXTS for cls in module.COMMANDS}
"""Every command class, by name."""

Upcast = Callable[[dict[str, Any]], dict[str, Any]]
_upcasters: dict[str, tuple[str, Upcast]] = {}


def upcaster(old_type: str, new_type: str) -> Callable[[Upcast], Upcast]:
    """Register a function that turns the data of `old_type` into the data of `new_type` (the next version)."""

    def register(function: Upcast) -> Upcast:
        _upcasters[old_type] = (new_type, function)
        return function

    return register


@upcaster("city.person.search-recorded.v1", "city.person.search-recorded.v2")
def _without_what_was_asked(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "asked": None}


def is_old(stored_type: str) -> bool:
    """Whether events are stored in this type no more, and are read through upcasters."""
    return stored_type in _upcasters


def read_event(stored_type: str, data: bytes) -> Event:
    """The event stored as `data` under `stored_type`, brought to its newest version.

    Raises `UnknownEventError` where nothing reads that type. Pure, so safe to repeat.
    """
    if stored_type in EVENTS:
        return EVENTS[stored_type].model_validate_json(data)
    fields = orjson.loads(data)
    while stored_type in _upcasters:
        stored_type, function = _upcasters[stored_type]
        fields = function(fields)
    if stored_type not in EVENTS:
        raise UnknownEventError(stored_type)
    return EVENTS[stored_type].model_validate_json(orjson.dumps(fields))


def command_to_json(command: Command) -> bytes:
    """A command as it is kept in the journal of a commit record."""
    return b'{"command":"%b",%b' % (type(command).__name__.encode(), command.to_json()[1:])


def command_from_dict(fields: dict[str, Any]) -> Command:
    """Inverse of `command_to_json`, decoded. Raises `InvalidError` for a name that no class has."""
    rest = dict(fields)
    name = rest.pop("command", "")
    if name not in COMMANDS:
        raise InvalidError(f"unknown command {name!r}")
    return COMMANDS[name].model_validate_json(orjson.dumps(rest))
