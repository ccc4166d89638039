"""Which blocks must be there, and which must not: what `bomnae verify` holds against the folder of objects. Pure."""

from actors.sighting.blocks import name_of
from actors.sighting.state import State
from schemas.base import Event
from schemas.sighting import BlocksExpired, BlocksLost, SightingsErased


def expected(state: State) -> dict[str, str]:
    """SHA-256 by name of every block that must be there; those of a camera under erasure may be on their way out."""
    return {
        name_of(block): block
        for camera in state.cameras.values()
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
