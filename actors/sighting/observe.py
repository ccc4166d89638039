"""What cameras and gateways publish on INGEST: good rows become blocks, the others are refused with a reason.

Nothing of a person ever stands in a refusal: ids, cameras, times and reasons alone.
"""

from collections.abc import Sequence

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from actors.context import Outcome
from actors.sighting.blocks import block_of, name_of
from actors.sighting.fold import evolve, keys_text
from actors.sighting.judge import REASONS, Group, Judged, groups, judge, unit
from actors.sighting.keys import keys_of
from actors.sighting.rows import I8, Rows, UnreadableError, read
from actors.sighting.state import DAY, Camera, State
from schemas.base import from_micros
from schemas.sighting import CameraHeard, CameraRestored, SightingEvent, SightingsObserved
from streams import codec
from streams.ingest import Observed
from streams.log import Position
from streams.rejected import Rejection
from streams.subjects import GATEWAY_PREFIX, SIGHTINGS

MAX_BLOCKS = 200
"""Blocks that one message may lead to: cameras times models times days."""
MAX_KEYS = 256 * 1024
"""Keys in one commit, about: 8 bytes each, base64, well below what a commit holds."""
MAX_BYTES = 64 * 1024 * 1024
"""Bytes of input in one commit, about: its blocks are in memory until then."""
_TOLD = 1000
"""Refused rows that one refusal names."""
_SIGNS = 3
"""Signs of life that are told in a camera's `silent_after_s` at most."""


def observe(state: State, messages: Sequence[Observed], start: Position, max_events: int) -> Outcome:
    """Fold messages into the state in stream order, evolving each event; never raises on input.

    A message is consumed whole: `end.rows` is 0. `end` falls short of the messages where further ones would exceed
    `max_events`, `MAX_KEYS` or `MAX_BYTES`; one is consumed in any case. `Outcome.rows` counts the new sightings.
    """
    outcome = Outcome([], [], start)
    size = keys = 0
    for message in messages:
        if message.sequence <= start.sequence:
            continue
        full = len(outcome.events) + MAX_BLOCKS > max_events or keys >= MAX_KEYS or size + len(message.data) > MAX_BYTES
        if size and full:
            break
        before = outcome.rows
        _observe(state, message, outcome)
        outcome.end = Position(message.sequence)
        keys, size = keys + outcome.rows - before, size + len(message.data)
    return outcome


def _observe(state: State, message: Observed, outcome: Outcome) -> None:
    try:
        if message.kind != SIGHTINGS and not message.kind.startswith(GATEWAY_PREFIX):
            raise UnreadableError("kind", "this kind is not known here: publish on .sightings or .gw-<gateway>")
        rows = read(message)
        judged = judge(state, message, rows)
        found = groups(rows, judged)
        if len(found) > MAX_BLOCKS or sum(len(_days(rows.time[group.rows])) for group in found) > MAX_BLOCKS:
            raise UnreadableError(
                "too-many", f"more than {MAX_BLOCKS} cameras times models times days (UTC): send smaller batches"
            )
        refusals = _refusals(message, rows, judged)
    except UnreadableError as error:
        outcome.rejections.append(_refused(message, error.code, error.reason, b"[]"))
        return
    except MemoryError:  # of the process, not of the message
        raise
    except Exception as error:  # the rows are anybody's, and nothing has changed yet
        reason = f"the rows cannot be judged ({type(error).__name__}): check how they are written"
        outcome.rejections.append(_refused(message, "undecodable", reason, b"[]"))
        return
    outcome.rejections += refusals
    for group in found:
        if (camera := judged.cameras[group.camera]) is not None:
            _take(state, message, rows, judged, group, camera, outcome)
    if not len(rows):
        _sign(state, message, outcome)


def _take(
    state: State, message: Observed, rows: Rows, judged: Judged, group: Group, camera: Camera, outcome: Outcome
) -> None:
    """Make a block of the new rows of a group for each day.

    A block leaves when its last row is too old: so no row outlives its retention by more than a day, whatever came in
    the same message.
    """
    camera_id, model = rows.camera.names[group.camera], rows.model.names[group.model]
    keys = keys_of(rows.ids.take(pa.array(group.rows)))
    new = np.zeros(len(keys), bool)
    new[np.unique(keys, return_index=True)[1]] = True
    new &= ~camera.seen.contains(keys)
    _restore(state, message, camera_id, camera, outcome)
    if not new.any():
        _hear(state, message, camera_id, camera, outcome)
        return
    which, keys = group.rows[new], keys[new]
    dimensions = int(rows.length[which[0]])
    for day in _days(rows.time[which]):
        part, times = which[day], rows.time[which[day]]
        embeddings = unit(rows, judged, part, dimensions)
        block, data = block_of(rows, part, camera_id, model, embeddings, judged.pictures)
        event = SightingsObserved(
            at=from_micros(message.arrived),
            camera=camera_id,
            block=block,
            model=model,
            dimensions=dimensions,
            rows=len(part),
            first=from_micros(int(times.min())),
            last=from_micros(int(times.max())),
            keys=keys_text(keys[day]),
        )
        outcome.objects.append((name_of(block), data))
        outcome.rows += len(part)
        _tell(state, message, event, outcome)


def _days(times: I8) -> list[NDArray[np.intp]]:
    """Which of some times fall into each day (UTC), earliest first; within a day in their order."""
    days = times // DAY
    order = np.argsort(days, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(days[order])) + 1)


def _sign(state: State, message: Observed, outcome: Outcome) -> None:
    """An empty message: its camera is alive."""
    camera = state.cameras.get(message.entity)
    if camera is None:
        return
    if message.kind == SIGHTINGS or camera.facts.gateway == message.kind.removeprefix(GATEWAY_PREFIX):
        _restore(state, message, message.entity, camera, outcome)
        _hear(state, message, message.entity, camera, outcome)


def _restore(state: State, message: Observed, camera_id: str, camera: Camera, outcome: Outcome) -> None:
    if camera.silent_since is not None:
        since = from_micros(camera.silent_since)
        event = CameraRestored(at=from_micros(message.arrived), camera=camera_id, since=since)
        _tell(state, message, event, outcome)


def _hear(state: State, message: Observed, camera_id: str, camera: Camera, outcome: Outcome) -> None:
    if message.arrived - camera.heard >= camera.silent_after // _SIGNS:
        _tell(state, message, CameraHeard(at=from_micros(message.arrived), camera=camera_id), outcome)


def _tell(state: State, message: Observed, event: SightingEvent, outcome: Outcome) -> None:
    evolve(state, event)
    outcome.events.append(event)
    outcome.traces.append(codec.trace_of(message.headers))


def _refusals(message: Observed, rows: Rows, judged: Judged) -> list[Rejection]:
    codes = [code for code in np.unique(judged.reason).tolist() if code]
    return [_refuse_rows(message, rows, np.flatnonzero(judged.reason == code), *REASONS[code]) for code in codes]


def _refuse_rows(message: Observed, rows: Rows, which: NDArray[np.intp], code: str, reason: str) -> Rejection:
    named = which[:_TOLD]
    ids = rows.ids.take(pa.array(named)).to_pylist() if code != "id" else [None] * len(named)
    cameras = [rows.camera.names[number] if number >= 0 else None for number in rows.camera.codes[named].tolist()]
    # A camera that nobody knows may be any text at all.
    cameras = [None if code in {"unknown-camera", "malformed", "id"} else camera for camera in cameras]
    ids = [None if code == "malformed" else one for one in ids]
    told = [
        {"row": row, "sighting_id": sighting, "camera": camera, "time": time}
        for row, sighting, camera, time in zip(named.tolist(), ids, cameras, rows.time[named].tolist(), strict=True)
    ]
    count = f" ({len(which)} rows, first row {which[0]})"
    return _refused(message, code, reason + count, orjson.dumps(told))


def _refused(message: Observed, code: str, reason: str, data: bytes) -> Rejection:
    identity = f"sighting-{message.sequence}-{code}"
    return Rejection(identity, message.entity, reason, data, codec.JSON, message.sequence)
