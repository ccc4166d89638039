"""Detections of one camera joined to tracklets: a person who walks by is one sighting and not one a frame. Pure.

A detection belongs to the tracklet whose box, moved on at its pace, overlaps it most; looks decide among neighbours,
and find a person again who was hidden for a moment. A tracklet that lasts is cut, so that its sighting comes in time.
"""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from serve.pictures.attributes import Box
from serve.pictures.network import Floats

T = TypeVar("T")

_LEAST_OVERLAP, _LEAST_LOOK = 0.15, 0.75
_REACH, _SPARSE_REACH = 0.6, 1.5
"""How far, in heights of the box, a person may be from where they were expected, to be found again by looks."""


@dataclass(slots=True)
class Tracklet(Generic[T]):
    """One person over some frames: `path` is when and where; `best` came with the best detection like the others."""

    began_us: int
    number: int
    best: T
    best_at_us: int
    best_quality: float
    path: list[tuple[int, Box]]
    _box: Floats = field(repr=False)
    _pace: Floats = field(repr=False)
    _look: Floats = field(repr=False)
    _last_us: int = field(repr=False)
    _best_worth: float = field(repr=False)


@dataclass(frozen=True, slots=True)
class Detection(Generic[T]):
    """One person in one frame: box (x, y, width, height), a unit vector of looks, quality 0 to 1, and what to keep."""

    box: Box
    look: Floats
    quality: float
    kept: T


class Tracker(Generic[T]):
    """Joins detections of frames that come in order of time.

    A tracklet ends `gap_us` after it was last seen, or `longest_us` after it began; one with fewer than `least`
    detections is taken for a false alarm and dropped. `sparse`: pictures come a second or more apart, so that another
    person may stand where one stood; looks must agree as well then, and a person may have walked further.
    """

    def __init__(
        self, gap_us: int = 1_000_000, longest_us: int = 10_000_000, least: int = 3, *, sparse: bool = False
    ) -> None:
        self._gap_us, self._longest_us, self._least, self._sparse = gap_us, longest_us, least, sparse
        self._open: list[Tracklet[T]] = []

    def add(self, at_us: int, detections: list[Detection[T]]) -> list[Tracklet[T]]:
        """Take a frame; the tracklets that have ended, in order of their begin and number."""
        ended = self.until(at_us)
        free = set(range(len(detections)))
        for place, number in self._pairs(at_us, detections):
            _extend(self._open[place], at_us, detections[number])
            free.discard(number)
        # From left to right, so that the numbers of those who begin together do not depend on the detector's order.
        for number, index in enumerate(sorted(free, key=lambda index: detections[index].box)):
            self._open.append(_begin(at_us, number, detections[index]))
        return ended

    def until(self, at_us: int) -> list[Tracklet[T]]:
        """End the tracklets whose time is over by then, whether or not another frame came."""
        ended = [one for one in self._open if self._over(one, at_us)]
        self._open = [one for one in self._open if not self._over(one, at_us)]
        return self._kept(ended)

    def finish(self) -> list[Tracklet[T]]:
        """End all tracklets."""
        ended, self._open = self._open, []
        return self._kept(ended)

    def _over(self, one: Tracklet[T], at_us: int) -> bool:
        return at_us - one._last_us > self._gap_us or at_us - one.began_us >= self._longest_us

    def _kept(self, ended: list[Tracklet[T]]) -> list[Tracklet[T]]:
        enough = [one for one in ended if len(one.path) >= self._least]
        return sorted(enough, key=lambda one: (one.began_us, one.number))

    def _pairs(self, at_us: int, detections: list[Detection[T]]) -> list[tuple[int, int]]:
        """Open tracklets and detections that belong together, best first, each at most once."""
        if not self._open or not detections:
            return []
        since = np.array([(at_us - one._last_us) / 1e6 for one in self._open], np.float32)[:, None]
        expected = np.stack([one._box for one in self._open])
        expected[:, :2] += np.stack([one._pace for one in self._open]) * since
        boxes = np.array([one.box for one in detections], np.float32)
        overlaps = overlap(expected, boxes)
        looks = np.stack([one._look for one in self._open]) @ np.stack([one.look for one in detections]).T
        reach = _SPARSE_REACH if self._sparse else _REACH
        near = _distance(expected, boxes) <= reach * expected[:, 3:4]
        joined = near & (looks >= _LEAST_LOOK)
        if not self._sparse:
            joined |= overlaps >= _LEAST_OVERLAP
        worth = np.where(joined, overlaps + looks, -1.0)
        found: list[tuple[int, int]] = []
        while (place := np.unravel_index(int(worth.argmax()), worth.shape)) and worth[place] >= 0:
            found.append((int(place[0]), int(place[1])))
            worth[place[0], :] = -1.0
            worth[:, place[1]] = -1.0
        return found


def overlap(one: Floats, other: Floats) -> NDArray[np.float32]:
    """Intersection over union of boxes n x 4 and m x 4 (x, y, width, height): n x m."""
    left = np.maximum(one[:, None, :2], other[None, :, :2])
    right = np.minimum(one[:, None, :2] + one[:, None, 2:], other[None, :, :2] + other[None, :, 2:])
    shared = np.clip(right - left, 0, None).prod(axis=2)
    areas = one[:, 2:].prod(axis=1)[:, None] + other[:, 2:].prod(axis=1)[None, :]
    return np.asarray(shared / np.maximum(areas - shared, 1e-9), np.float32)


def _distance(one: Floats, other: Floats) -> Floats:
    middles = [boxes[:, :2] + boxes[:, 2:] / 2 for boxes in (one, other)]
    return np.asarray(np.linalg.norm(middles[0][:, None] - middles[1][None], axis=2), np.float32)


def _begin(at_us: int, number: int, seen: Detection[T]) -> Tracklet[T]:
    still = np.zeros(2, np.float32)
    box = np.array(seen.box, np.float32)
    path = [(at_us, seen.box)]
    return Tracklet(at_us, number, seen.kept, at_us, seen.quality, path, box, still, seen.look, at_us, 0.0)


def _extend(one: Tracklet[T], at_us: int, seen: Detection[T]) -> None:
    box = np.array(seen.box, np.float32)
    moved = (box[:2] + box[2:] / 2) - (one._box[:2] + one._box[2:] / 2)
    # Half of the new pace: boxes tremble.
    one._pace = ((one._pace + moved / max((at_us - one._last_us) / 1e6, 1e-3)) / 2).astype(np.float32)
    look = one._look * 0.8 + seen.look * 0.2
    one._look = (look / max(float(np.linalg.norm(look)), 1e-9)).astype(np.float32)
    one._box, one._last_us = box, at_us
    one.path.append((at_us, seen.box))
    # A crop that looks unlike the others shows something else too: a sign in front, another person.
    worth = seen.quality * float(one._look @ seen.look)
    if worth > one._best_worth:
        one.best, one.best_at_us, one.best_quality, one._best_worth = seen.kept, at_us, seen.quality, worth
