"""Which rows of a message count, and why the others do not."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from actors.sighting.decider import FUTURE
from actors.sighting.jpeg import bare
from actors.sighting.keys import Mask
from actors.sighting.rows import F4, Rows
from actors.sighting.state import Camera, State
from schemas.base import micros
from schemas.sighting import ATTRIBUTES, MAX_DIMENSIONS, MAX_PICTURE
from streams.ingest import Observed
from streams.subjects import GATEWAY_PREFIX, SIGHTINGS

_FUTURE = FUTURE.seconds * 1_000_000
_ID = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,79}$"
_MODEL = r"^[a-z0-9][a-z0-9.-]{0,62}$"
_UNIT = 1e-6
"""How far a squared norm may be from 1 for an embedding to be kept as it is, bit for bit."""
_TINY = 1e-20

REASONS: tuple[tuple[str, str], ...] = (
    ("", ""),
    ("malformed", "a cell that must be there is null or cannot be read: see schemas.sighting.SIGHTINGS"),
    ("id", "sighting_id is 1 to 80 of A-Z a-z 0-9 . _ : - and begins with a letter or digit"),
    ("unknown-camera", "no such camera is registered in this part of the city: register it, or publish on its subject"),
    ("foreign-camera", "the camera is not the one of this subject, or does not name this gateway"),
    ("model", "a model is named by 1 to 63 of a-z 0-9 . -"),
    ("vector", f"an embedding has 2 to {MAX_DIMENSIONS} finite numbers that are not all zero"),
    ("dimensions", "the model has another number of dimensions: a new model needs a new name"),
    ("quality", "quality is 0 to 1"),
    ("attributes", "an attribute has a value that schemas.sighting.ATTRIBUTES does not know"),
    ("picture", f"a picture is a whole JPEG of at most {MAX_PICTURE} bytes"),
    ("future", "the time lies more than 5 minutes ahead"),
    ("too-old", "the time lies before the camera's retention"),
    ("erased", "sightings of this time, or this sighting, were erased and are not taken again"),
)
"""Codes of refusals, and the sentence for each; row by row the first that applies, in this order."""
_CODE = {code: number for number, (code, _) in enumerate(REASONS)}


@dataclass(slots=True)
class Judged:
    """By row: the number of its reason (0: it counts); by code of the camera column: the camera, where it may speak.

    `pictures` by row, without metadata: of a camera's position, its owner's name or its maker's notes nothing is kept.
    """

    reason: NDArray[np.uint8]
    cameras: list[Camera | None]
    squares: NDArray[np.float64]
    pictures: pa.BinaryArray


def judge(state: State, message: Observed, rows: Rows) -> Judged:
    """Judge all rows at the message's arrival. Pure."""
    found = Judged(np.zeros(len(rows), np.uint8), [], np.zeros(len(rows)), rows.picture)
    _mark(found, "malformed", rows.faulty)
    _mark(found, "id", ~_matches(rows.ids, _ID))
    _judge_cameras(state, message, rows, found)
    models = _matches(pa.array(rows.model.names, pa.string()), _MODEL)
    _mark(found, "model", _of_codes(rows.model.codes, ~models))
    _judge_vectors(rows, found)
    _mark(found, "quality", ~((rows.quality >= 0) & (rows.quality <= 1)))
    for number, values in enumerate(ATTRIBUTES.values()):
        column = rows.attributes.field(number)
        if column.null_count < len(column):
            known = pc.is_in(column, value_set=pa.array(values, pa.string()))
            _mark(found, "attributes", np.asarray(pc.and_(column.is_valid(), pc.invert(known))))
    _judge_pictures(rows, found)
    _mark(found, "future", rows.time > message.arrived + _FUTURE)
    _judge_age(message, rows, found)
    _judge_dimensions(rows, found)
    return found


def matrix(rows: Rows, which: NDArray[np.intp], dimensions: int) -> F4:
    """The embeddings of some rows that have the same length, as given; a view where they lie one behind the other."""
    start = rows.start[which]
    if len(which) and (np.diff(start) == dimensions).all():
        return rows.flat[start[0] : start[0] + len(which) * dimensions].reshape(-1, dimensions)
    found: F4 = rows.flat[start[:, None] + np.arange(dimensions)]
    return found


def unit(rows: Rows, judged: Judged, which: NDArray[np.intp], dimensions: int) -> F4:
    """The embeddings of some rows with unit length; those that have it already are left as they are."""
    given, square = matrix(rows, which, dimensions), judged.squares[which]
    scale = np.where(np.abs(square - 1) <= _UNIT, 1.0, 1 / np.sqrt(square))
    if (scale == 1.0).all():
        return given
    scaled: F4 = (given * scale[:, None]).astype(np.float32)
    return scaled


def _mark(found: Judged, code: str, rows: Mask) -> None:
    found.reason[rows & (found.reason == 0)] = _CODE[code]


def _matches(names: pa.Array, pattern: str) -> Mask:
    matched: Mask = np.asarray(pc.fill_null(pc.match_substring_regex(names, pattern), False))
    # `$` also matches before a line's end.
    broken: Mask = np.asarray(pc.fill_null(pc.match_substring(names, "\n"), False))
    return matched & ~broken


def _of_codes(codes: NDArray[np.int32], marks: Mask) -> Mask:
    """The mark of each row's name; False for a null."""
    found: Mask = np.append(marks, False)[codes]
    return found


def _judge_cameras(state: State, message: Observed, rows: Rows, found: Judged) -> None:
    gateway = message.kind.removeprefix(GATEWAY_PREFIX) if message.kind != SIGHTINGS else None
    unknown, foreign = [], []
    for name in rows.camera.names:
        camera = state.cameras.get(name)
        own = camera is not None and (name == message.entity if gateway is None else camera.facts.gateway == gateway)
        unknown.append(camera is None)
        foreign.append(not own)
        found.cameras.append(camera if own else None)
    _mark(found, "unknown-camera", _of_codes(rows.camera.codes, np.array(unknown, bool)))
    _mark(found, "foreign-camera", _of_codes(rows.camera.codes, np.array(foreign, bool)))


def _judge_vectors(rows: Rows, found: Judged) -> None:
    fits = (rows.length >= 2) & (rows.length <= MAX_DIMENSIONS)
    _mark(found, "vector", ~fits)
    for dimensions in np.unique(rows.length[found.reason == 0]).tolist():
        which = np.flatnonzero((rows.length == dimensions) & (found.reason == 0))
        given = matrix(rows, which, dimensions)
        # In float64: squares of float32 cannot overflow there.
        found.squares[which] = np.einsum("ij,ij->i", given, given, dtype=np.float64, casting="same_kind")
    wrong = ~np.isfinite(found.squares) | (found.squares < _TINY)
    _mark(found, "vector", wrong)


def _judge_pictures(rows: Rows, found: Judged) -> None:
    picture = rows.picture
    if picture.null_count == len(picture):
        return
    large = np.asarray(pc.fill_null(pc.greater(pc.binary_length(picture), MAX_PICTURE), False))
    _mark(found, "picture", large)
    wanted = np.asarray(picture.is_valid()) & (found.reason == 0)
    found.pictures = pa.array(
        [bare(one.as_py()) if good else None for one, good in zip(picture, wanted.tolist(), strict=True)], pa.binary()
    )
    _mark(found, "picture", wanted & np.asarray(found.pictures.is_null()))


def _judge_age(message: Observed, rows: Rows, found: Judged) -> None:
    for code, camera in enumerate(found.cameras):
        if camera is None:
            continue
        mine = rows.camera.codes == code
        _mark(found, "too-old", mine & (rows.time < message.arrived - camera.retention))
        _mark(found, "erased", mine & _erased(camera, rows))


def _erased(camera: Camera, rows: Rows) -> Mask:
    found = np.zeros(len(rows), bool)
    for erasure in camera.erasures.values():
        if (window := erasure.asked.window) is not None:
            found |= (rows.time >= micros(window.start)) & (rows.time < micros(window.end))
        else:
            found |= np.asarray(pc.is_in(rows.ids, value_set=pa.array(erasure.asked.sightings, pa.string())))
    return found


def _judge_dimensions(rows: Rows, found: Judged) -> None:
    """A model's dimensions are those of the first sighting that its camera sent with it."""
    for pair in groups(rows, found):
        camera = found.cameras[pair.camera]
        if camera is None:
            continue
        known = camera.models.get(rows.model.names[pair.model], int(rows.length[pair.rows[0]]))
        wrong = np.zeros(len(rows), bool)
        wrong[pair.rows[rows.length[pair.rows] != known]] = True
        _mark(found, "dimensions", wrong)


@dataclass(frozen=True, slots=True)
class Group:
    """The good rows of one camera and one model, in row order; `camera` and `model` are codes."""

    camera: int
    model: int
    rows: NDArray[np.intp]


def groups(rows: Rows, judged: Judged) -> list[Group]:
    """The good rows by camera and model, in the order of each group's first row."""
    good = np.flatnonzero(judged.reason == 0)
    if not len(good):
        return []
    pair = rows.camera.codes[good].astype(np.int64) * (len(rows.model.names) + 1) + rows.model.codes[good]
    order = np.argsort(pair, kind="stable")
    cuts = np.flatnonzero(np.diff(pair[order])) + 1
    parts = sorted(np.split(good[order], cuts), key=lambda part: int(part[0]))
    return [Group(int(rows.camera.codes[part[0]]), int(rows.model.codes[part[0]]), part) for part in parts]
