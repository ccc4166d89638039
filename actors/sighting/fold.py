"""The fold of sightings: what each event changes in the state of a shard. It never raises and never judges."""

import base64
from dataclasses import replace

import numpy as np

from actors.sighting.keys import U8
from actors.sighting.state import Block, Camera, Erasure, State
from schemas.base import Event, micros
from schemas.sighting import (
    BlocksExpired,
    BlocksLost,
    CameraHeard,
    CameraRegistered,
    CameraRestored,
    CameraSilent,
    ErasureRequested,
    SightingEvent,
    SightingsErased,
    SightingsObserved,
)


def initial_state() -> State:
    """The state of a shard without cameras."""
    return State()


def evolve(state: State, event: Event) -> None:
    """Apply one event in place. An event about a camera that no event made known changes nothing."""
    if isinstance(event, CameraRegistered):
        _register(state, event)
    elif isinstance(event, SightingEvent) and (camera := state.cameras.get(event.camera)) is not None:
        if isinstance(event, SightingsObserved):
            _observe(state, camera, event)
        elif isinstance(event, BlocksExpired):
            _expire(state, camera, event)
        elif isinstance(event, BlocksLost):
            _lose(state, camera, event)
        elif isinstance(event, ErasureRequested):
            camera.erasures[event.erasure] = Erasure(event)
            state.touch("erasure", event.camera, event.erasure)
        elif isinstance(event, SightingsErased):
            _erase(state, camera, event)
        else:
            _hear(state, camera, event)


def keys_in(text: str) -> U8:
    """The keys of an event."""
    return np.frombuffer(base64.b64decode(text), "<u8").astype(np.uint64)


def keys_text(keys: U8) -> str:
    """Inverse of `keys_in`."""
    return base64.b64encode(keys.astype("<u8").tobytes()).decode()


def _register(state: State, event: CameraRegistered) -> None:
    at = micros(event.at)
    camera = state.cameras.setdefault(event.camera, Camera(event.facts, at, at))
    camera.facts = event.facts
    state.touch("camera", event.camera, event.camera)


def _hear(state: State, camera: Camera, event: SightingEvent) -> None:
    if isinstance(event, CameraSilent):
        camera.silent_since = micros(event.since)
    elif isinstance(event, CameraHeard | CameraRestored):
        camera.heard = max(camera.heard, micros(event.at))
        if isinstance(event, CameraRestored):
            camera.silent_since = None
    state.touch("camera", event.camera, event.camera)


def _observe(state: State, camera: Camera, event: SightingsObserved) -> None:
    keys, first, last = keys_in(event.keys), micros(event.first), micros(event.last)
    camera.blocks[event.block] = Block(event.model, event.dimensions, event.rows, first, last, keys)
    camera.seen.add(keys)
    camera.models.setdefault(event.model, event.dimensions)
    camera.heard = max(camera.heard, micros(event.at))
    camera.sightings += event.rows
    camera.oldest = last if camera.oldest is None else min(camera.oldest, last)
    state.touch("block", event.camera, event.block)
    state.touch("camera", event.camera, event.camera)


def _expire(state: State, camera: Camera, event: BlocksExpired) -> None:
    for name in event.blocks:
        if (block := camera.blocks.pop(name, None)) is not None:
            camera.seen.remove(block.keys)
            state.drop("block", event.camera, name)
    # Of these only keys are left, and an id whose time is over is refused for its age.
    over = [name for name, rest in camera.rests.items() if rest.last < micros(event.at) - camera.retention]
    for name in over:
        camera.seen.remove(camera.rests.pop(name).keys)
        state.drop("rest", event.camera, name)
    camera.take_stock()


def _lose(state: State, camera: Camera, event: BlocksLost) -> None:
    for name in event.blocks:
        if (block := camera.blocks.pop(name, None)) is not None:
            state.drop("block", event.camera, name)
            # Its ids stay known: what was in it is not taken again.
            camera.rests[name] = replace(block, rows=0)
            state.touch("rest", event.camera, name)
    camera.take_stock()


def _erase(state: State, camera: Camera, event: SightingsErased) -> None:
    for told in event.blocks:
        if (block := camera.blocks.pop(told.before, None)) is None:
            continue
        state.drop("block", event.camera, told.before)
        kind, name = ("block", told.after) if told.after else ("rest", told.before)
        (camera.blocks if told.after else camera.rests)[name] = replace(block, rows=told.left)
        state.touch(kind, event.camera, name)
    if (erasure := camera.erasures.get(event.erasure)) is not None:
        erasure.rows += event.rows
        erasure.blocks += len(event.blocks)
        erasure.segments += len(event.segments)
        erasure.told |= {told.before for told in event.blocks}
        if event.last:
            erasure.erased_at, erasure.told = micros(event.at), set()
        state.touch("erasure", event.camera, event.erasure)
    camera.take_stock()
