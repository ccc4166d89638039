"""The decider of cameras: what a command leads to, and what time alone brings about."""

from datetime import timedelta
from typing import assert_never

from actors.sighting.state import Block, Camera, Erasure, State
from schemas.base import from_micros, micros
from schemas.errors import ConflictError, InvalidError, NotFoundError
from schemas.sighting import (
    BlockErased,
    BlocksExpired,
    BlocksLost,
    CameraRegistered,
    CameraSilent,
    CompleteErasure,
    ErasureRequested,
    GiveUpBlocks,
    RegisterCamera,
    RequestErasure,
    SightingEvent,
    SightingsErased,
)

AnySightingCommand = RegisterCamera | RequestErasure | CompleteErasure | GiveUpBlocks

FUTURE = timedelta(minutes=5)
"""How far a camera's clock may run ahead."""
MINUTE = 60_000_000
_EXPIRING = 1000
"""Blocks of one `BlocksExpired`."""


def decide(state: State, command: AnySightingCommand) -> list[SightingEvent]:
    """The events that a command leads to; `[]` when it is already so. Changes nothing.

    Raises `NotFoundError`, `ConflictError` or `InvalidError` for a request that is impossible now.
    """
    match command:
        case RegisterCamera():
            known = state.cameras.get(command.camera)
            registered = CameraRegistered(at=command.at, camera=command.camera, facts=command.facts)
            return [] if known is not None and known.facts == command.facts else [registered]
        case RequestErasure():
            return _request(state, command)
        case CompleteErasure():
            return _complete(state, command)
        case GiveUpBlocks():
            return _give_up(state, command)
        case _:
            assert_never(command)


def tick(state: State, clock: int, max_events: int) -> list[SightingEvent]:
    """What has become silent or too old by `clock` (µs UTC): at most `max_events`, the rest at the next look. Pure."""
    events: list[SightingEvent] = []
    # By whole minutes, so that blocks leave in groups.
    minute = clock - clock % MINUTE
    for camera_id, camera in state.cameras.items():
        if len(events) + 2 > max_events:
            break
        if camera.silent_since is None and camera.heard + camera.silent_after <= clock:
            at = from_micros(camera.heard + camera.silent_after)
            events.append(CameraSilent(at=at, camera=camera_id, since=from_micros(camera.heard)))
        if camera.oldest is not None and camera.oldest < minute - camera.retention:
            events.append(_expired(camera_id, camera, minute))
    return events


def _expired(camera_id: str, camera: Camera, minute: int) -> BlocksExpired:
    over = [name for name, block in camera.blocks.items() if block.last < minute - camera.retention][:_EXPIRING]
    rows = sum(camera.blocks[name].rows for name in over)
    return BlocksExpired(at=from_micros(minute), camera=camera_id, blocks=tuple(over), rows=rows)


def _request(state: State, command: RequestErasure) -> list[SightingEvent]:
    camera = _camera(state, command.camera)
    asked = ErasureRequested(**dict(command))
    if (known := camera.erasures.get(command.erasure)) is not None:
        if known.asked.model_copy(update={"at": command.at}) != asked:
            raise ConflictError(f"erasure {command.erasure!r} asks for something else: take another id")
        return []
    if command.window is not None and command.window.end > command.at + FUTURE:
        raise InvalidError("only what has been seen can be erased: the window ends in the future")
    return [asked]


def _complete(state: State, command: CompleteErasure) -> list[SightingEvent]:
    camera = _camera(state, command.camera)
    erasure = _erasure(camera, command.camera, command.erasure)
    if erasure.erased_at is not None or _told_before(erasure, command):
        return []
    for told in command.blocks:
        _check(camera, told)
    if command.last:
        _check_whole(camera, erasure, command)
    return [
        SightingsErased(
            at=command.at,
            camera=command.camera,
            erasure=command.erasure,
            rows=sum(told.rows for told in command.blocks),
            blocks=command.blocks,
            segments=command.segments,
            last=command.last,
        )
    ]


def _give_up(state: State, command: GiveUpBlocks) -> list[SightingEvent]:
    camera = _camera(state, command.camera)
    erasure = _erasure(camera, command.camera, command.erasure)
    lost = tuple(name for name in command.blocks if name in camera.blocks)
    if erasure.erased_at is not None or not lost:
        return []
    rows = sum(camera.blocks[name].rows for name in lost)
    return [BlocksLost(at=command.at, camera=command.camera, erasure=command.erasure, blocks=lost, rows=rows)]


def _told_before(erasure: Erasure, command: CompleteErasure) -> bool:
    told = {block.before for block in command.blocks}
    return bool(told) and not command.last and told <= erasure.told


def _check(camera: Camera, told: BlockErased) -> None:
    block = camera.blocks.get(told.before)
    if block is None:
        raise ConflictError(f"block {told.before} is no longer there: look again what is to be erased")
    if told.rows + told.left != block.rows or bool(told.after) != bool(told.left) or told.after in camera.rests:
        raise InvalidError(f"block {told.before} has {block.rows} rows: those erased and those left do not add up")
    if told.rows and told.after == told.before:
        raise InvalidError(f"block {told.before} cannot have lost rows and be the same")


def _check_whole(camera: Camera, erasure: Erasure, command: CompleteErasure) -> None:
    """Every block that lies wholly in the window must be told to be gone; of others only its rows can tell."""
    if (window := erasure.asked.window) is None:
        return
    gone = {told.before for told in command.blocks if not told.left}
    start, end = micros(window.start), micros(window.end)
    left = [name for name, block in camera.blocks.items() if _within(block, start, end) and name not in gone]
    if left:
        raise ConflictError(f"{len(left)} blocks lie in the window and are not told to be gone, first {min(left)}")


def _within(block: Block, start: int, end: int) -> bool:
    return block.rows > 0 and start <= block.first and block.last < end


def _erasure(camera: Camera, camera_id: str, erasure: str) -> Erasure:
    if (known := camera.erasures.get(erasure)) is None:
        raise NotFoundError(f"erasure of camera {camera_id!r}", erasure)
    return known


def _camera(state: State, camera: str) -> Camera:
    if (known := state.cameras.get(camera)) is None:
        raise NotFoundError("camera", camera)
    return known
