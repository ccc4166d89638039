"""Whether the erasable objects that a shard's log names are there, with their digests, and erased ones are not."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from actors.board import ShardKey
from actors.catalogue.presence import ERASABLE as CATALOGUE
from actors.erasable import Erasable, Held
from actors.person.state import State as Cases
from actors.population.presence import ERASABLE as POPULATION
from actors.sighting.presence import ERASABLE as SIGHTING
from schemas.base import Event
from schemas.person import CaseErased
from schemas.registry import read_event
from streams.blobs import Blobs
from streams.log import EventStore, read_batches

_ERASING_S, _ERASING_TRIES = 5.0, 10
"""How long a running city may take to delete what its log has just told to be gone."""


def _of_cases(state: Cases) -> dict[str, Held]:
    """What cases that have not ended searched and watch for; those of others may be on their way out."""
    remedy = "bring it back from a backup, or end the case, which needs it no more"
    open_ones = ((name, case) for name, case in state.cases.items() if case.ended_at is None)
    return {_case_object(name, one): Held(name, one, remedy) for name, case in open_ones for one in case.objects}


def _gone_of_cases(event: Event) -> list[str]:
    return [_case_object(event.case, one) for one in event.objects] if isinstance(event, CaseErased) else []


def _case_object(case: str, digest: str) -> str:
    return f"cases/{case}/{digest}.bin"


ERASABLE: Mapping[str, Erasable] = MappingProxyType(
    {
        "sighting": SIGHTING,
        "person": Erasable("cases", _of_cases, _gone_of_cases, frozenset({CaseErased.type}), private=True),
        "population": POPULATION,
        "catalogue": CATALOGUE,
    }
)
"""By context; the others have none."""


@dataclass(frozen=True, slots=True)
class Finding:
    """An object that is not as the log of a shard says, and what to do."""

    context: str
    shard: int
    entity: str
    object: str
    what: Literal["missing", "damaged", "not erased"]
    remedy: str


async def check(shard: ShardKey, store: EventStore, state: Any, objects: Blobs) -> tuple[int, list[Finding]]:
    """How many objects are there as the state of a shard of `ERASABLE` wants them, and those that are not.

    `state` is that of a commit read before. What the log has dropped meanwhile may be missing. Changes nothing.
    """
    kind = ERASABLE[shard[0]]
    held = kind.expected(state)
    wrong: dict[str, Literal["missing", "damaged"]] = {}
    for name, one in held.items():
        data = await objects.get(name)
        if data is None or hashlib.sha256(data).hexdigest() != one.digest:
            wrong[name] = "missing" if data is None else "damaged"
    # To the newest record, not to that of the state, and only now: what was deleted since is in it.
    gone = await _gone(kind, store) if wrong or kind.private else {}
    found = [
        Finding(*shard, held[name].entity, name, what, held[name].remedy)
        for name, what in wrong.items()
        if name not in gone
    ]
    left = await _left(gone, objects) if kind.private else []
    remedy = "delete it: the log says that it was erased, or has expired"
    found += [Finding(*shard, gone[name], name, "not erased", remedy) for name in left]
    return len(held) - len(wrong), found


async def _gone(kind: Erasable, store: EventStore) -> dict[str, str]:
    """The entity by the name of each object that the log tells to be no more."""
    events = (
        read_event(record.type, record.data)
        async for batch in read_batches(store)
        for record in batch.events
        if record.type in kind.ending
    )
    return {name: event.entity async for event in events for name in kind.gone(event)}


async def _left(gone: Mapping[str, str], objects: Blobs) -> list[str]:
    left = list(gone)
    for _ in range(_ERASING_TRIES):
        left = [name for name in left if await objects.get(name) is not None]
        if not left:
            break
        await asyncio.sleep(_ERASING_S / _ERASING_TRIES)
    return left
