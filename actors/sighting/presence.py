"""Which blocks of sightings must be there, and which must not. Pure."""

from actors.erasable import Erasable, Held
from actors.sighting.blocks import name_of
from actors.sighting.state import State
from schemas.base import Event
from schemas.sighting import BlocksExpired, BlocksLost, SightingsErased

_REMEDY = "bring it back from a backup; without it its sightings are in no search that is built anew"


def expected(state: State) -> dict[str, Held]:
    """Every block that must be there; those of a camera under erasure may be on their way out."""
    return {
        name_of(block): Held(name, block, _REMEDY)
        for name, camera in state.cameras.items()
        if all(erasure.erased_at is not None for erasure in camera.erasures.values())
        for block in camera.blocks
    }


def gone(event: Event) -> list[str]:
    """The names of the blocks that must not be there any more after an event."""
    match event:
        case SightingsErased():
            return [name_of(told.before) for told in event.blocks if told.before != told.after]
        case BlocksExpired() | BlocksLost():
            return [name_of(block) for block in event.blocks]
        case _:
            return []


ERASABLE = Erasable(
    "blocks", expected, gone, frozenset({SightingsErased.type, BlocksExpired.type, BlocksLost.type}), private=True
)
