"""What `bomnae verify` and the sweeping of orphans know of the erasable objects of a context."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from schemas.base import Event


class Held(NamedTuple):
    """An object that must be there: of which entity it is, its SHA-256, and what to do where it is lost."""

    entity: str
    digest: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Erasable:
    """The objects of one context, below one folder of the store. Both functions are pure.

    `expected`: all that must be there, by name, of the state of a shard; those on their way out may be left out.
    `gone`: the names that an event of one of the types `ending` tells to be no more.
    `private`: what is gone must have been erased; else it may lie there until it is swept.
    `once`: a name that nobody holds is never stored again, so that orphans may be swept while owners are at work.
    """

    folder: str
    expected: Callable[[Any], Mapping[str, Held]]
    gone: Callable[[Event], Collection[str]]
    ending: frozenset[str]
    private: bool = False
    once: bool = False
