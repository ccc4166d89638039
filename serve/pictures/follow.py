"""People followed through the pictures of one camera: one sighting for each tracklet, told in bounded time."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import pyarrow as pa

from schemas.sighting import SIGHTINGS
from serve.pictures.attributes import Box
from serve.pictures.network import Floats
from serve.pictures.track import Detection, Tracker, Tracklet

T = TypeVar("T")

GAP_US = 1_000_000
"""Frames further apart than this are pictures of their own: nobody is followed from one to the next by place alone."""
_SNAPSHOTS = 2.5
"""Intervals between snapshots for which a person may be missed and still be followed."""


@dataclass(frozen=True, slots=True)
class Look:
    """A person in one picture in the terms of one model; `box` is x, y, width, height there, `picture` a small JPEG."""

    model: str
    embedding: Floats
    quality: float
    box: Box
    attributes: dict[str, str | None] | None
    picture: bytes


Looks = Sequence[Look]


def for_snapshots(every_s: float) -> Tracker[Looks]:
    """What follows people through snapshots taken so often: somebody who stays is told every 10 seconds."""
    return Tracker(max(GAP_US, int(_SNAPSHOTS * every_s * 1e6)), least=1, sparse=True)


class Follower(Generic[T]):
    """Turns what is detected in one camera's pictures, in order of time, into `SIGHTINGS`.

    `looks` gives the looks of some of the detections that were kept: those that are each the best of its tracklet.
    Each tracklet is one row for each of its looks, at the moment of its best picture. The ids come from camera, time
    and place of the tracklet's begin and the model: the same pictures at the same times give the same ids.
    """

    def __init__(self, camera: str, looks: Callable[[Sequence[T]], Sequence[Looks]], tracker: Tracker[T]) -> None:
        self._camera, self._looks, self._tracker = camera, looks, tracker

    def add(self, at_us: int, detections: list[Detection[T]]) -> pa.Table:
        """Take a picture's detections; the sightings whose tracklets have ended."""
        return self._table(self._tracker.add(at_us, detections))

    def until(self, at_us: int) -> pa.Table:
        """The sightings whose tracklets are over by then, though no picture may have come."""
        return self._table(self._tracker.until(at_us))

    def finish(self) -> pa.Table:
        """The sightings of all tracklets that are left."""
        return self._table(self._tracker.finish())

    def _table(self, ended: Sequence[Tracklet[T]]) -> pa.Table:
        if not ended:
            return SIGHTINGS.empty_table()
        pairs = zip(ended, self._looks([one.best for one in ended]), strict=True)
        rows = [self._row(one, look) for one, looks in pairs for look in looks]
        return pa.Table.from_pylist(rows, SIGHTINGS)

    def _row(self, one: Tracklet[T], look: Look) -> dict[str, object]:
        return {
            "sighting_id": sighting_id(self._camera, one.began_us, one.number, look.model),
            "camera": self._camera,
            "time": one.best_at_us,
            "model": look.model,
            "embedding": look.embedding,
            "quality": look.quality,
            "box": list(look.box),
            "attributes": look.attributes,
            "picture": look.picture,
        }


def sighting_id(camera: str, began_us: int, number: int, model: str) -> str:
    """The id of the tracklet that began then, `number` from the left among those of the same frame, for one model."""
    told = f"{camera}\0{began_us}\0{number}\0{model}"
    return hashlib.blake2b(told.encode(), digest_size=12).hexdigest()
