"""People of a video file in pairs of pictures: as one camera saw them, and as another camera might have (simulated)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from serve.pictures.attributes import Box, quality
from serve.pictures.decode import frames
from serve.pictures.detect import Detector
from serve.pictures.embed import ColourEmbedder
from serve.pictures.sandbox import Pixels
from serve.pictures.track import Detection, Tracker, Tracklet

LEAST_FRAMES = 10
LEAST_HEIGHT = 40
OTHER_HEIGHT, OTHER_QUALITY = 48, 35
"""What the other camera delivers: pixels of a person's height, and JPEG quality."""


@dataclass(frozen=True, slots=True)
class Person:
    """One tracklet: its best crop, that and a crop of another moment as another camera might see it, and when it was.

    Two tracklets may be one person who left and came back; two that were there at once are two persons for certain.
    """

    best: Pixels
    same: Pixels
    other: Pixels
    first_us: int
    last_us: int

    def beside(self, person: "Person") -> bool:
        """Whether both were there at once."""
        return self.first_us <= person.last_us and person.first_us <= self.last_us


def people(path: Path, detector: Detector, every: int = 1, until_us: int | None = None) -> list[Person]:
    """Everybody whom the tracker follows for long enough, in order of appearance."""
    kept: dict[int, Pixels] = {}
    tracker: Tracker[Pixels] = Tracker(longest_us=20_000_000, least=LEAST_FRAMES)
    ended: list[Tracklet[Pixels]] = []
    for frame in frames(path, every):
        if until_us is not None and frame.at_us > until_us:
            break
        kept[frame.at_us] = frame.pixels
        ended += tracker.add(frame.at_us, _detections(frame.pixels, detector))
    ended += tracker.finish()
    found = (_person(one, kept, number) for number, one in enumerate(ended))
    return [one for one in found if one is not None]


def other_camera(crop: Pixels, seed: int) -> Pixels:
    """The same person from another camera, simulated.

    Mirrored; up to a tenth cut off each side; hue moved by up to 8 of 180 and gamma 0.7 to 1.4; `OTHER_HEIGHT` pixels
    tall; JPEG of `OTHER_QUALITY`.
    """
    random = np.random.default_rng(seed)
    height, width = crop.shape[:2]
    left, top, right, bottom = (random.uniform(0, 0.1, 4) * [width, height, width, height]).astype(int)
    cut = crop[top : height - bottom, left : width - right, :][:, ::-1]
    hsv = cv2.cvtColor(np.ascontiguousarray(cut), cv2.COLOR_BGR2HSV).astype(np.int32)
    hsv[..., 0] = (hsv[..., 0] + int(random.integers(-8, 9))) % 180
    hsv[..., 2] = np.rint(255 * (hsv[..., 2] / 255) ** random.uniform(0.7, 1.4))
    turned = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2BGR)
    scale = OTHER_HEIGHT / turned.shape[0]
    small = cv2.resize(turned, (max(8, round(turned.shape[1] * scale)), OTHER_HEIGHT), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, OTHER_QUALITY])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _detections(pixels: Pixels, detector: Detector) -> list[Detection[Pixels]]:
    found = detector.detect(pixels)
    crops = [_crop(pixels, box) for box in found.boxes.tolist()]
    looks = ColourEmbedder().embed(crops)
    frame = (pixels.shape[0], pixels.shape[1])
    return [
        Detection(tuple(box), look, quality(crop, tuple(box), frame, float(score)), crop)
        for box, crop, look, score in zip(found.boxes.tolist(), crops, looks, found.scores, strict=True)
    ]


def _person(one: Tracklet[Pixels], kept: dict[int, Pixels], seed: int) -> Person | None:
    if one.best.shape[0] < LEAST_HEIGHT:
        return None
    moments = _other_moments(one.path, one.best_at_us)
    at_us, box = moments[len(moments) // 2]
    same, other = (other_camera(crop, seed) for crop in (one.best, _crop(kept[at_us], box)))
    return Person(one.best, same, other, one.path[0][0], one.path[-1][0])


def _other_moments(path: Sequence[tuple[int, Box]], best_at_us: int) -> list[tuple[int, Box]]:
    """The half of the moments that lies further from the best one in time, largest boxes first."""
    far = sorted(path, key=lambda moment: -abs(moment[0] - best_at_us))[: max(1, len(path) // 2)]
    return sorted(far, key=lambda moment: -moment[1][3])


def _crop(pixels: Pixels, box: Iterable[int]) -> Pixels:
    x, y, width, height = box
    return pixels[y : y + height, x : x + width].copy()
