"""The encoder: frames of a camera to a table of sightings, a photograph of a person to embeddings to search with."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from schemas.errors import InvalidError
from schemas.settings import Settings
from schemas.sighting import MAX_PICTURE, SIGHTINGS
from serve.pictures.attributes import Box, colours, quality
from serve.pictures.decode import jpeg
from serve.pictures.detect import Detector, HogDetector, NetworkDetector
from serve.pictures.embed import ColourEmbedder, Embedder, NetworkEmbedder
from serve.pictures.faces import LEAST_WIDTH, Faces
from serve.pictures.network import Floats
from serve.pictures.sandbox import Pixels
from serve.pictures.track import Detection, Tracker, Tracklet, overlap

GAP_US = 1_000_000
"""Frames further apart than this are pictures of their own: nobody is followed from one to the next."""


@dataclass(frozen=True, slots=True)
class Described:
    """One embedding of a person in a photograph. `kind` is `body` or `face`; `box` x, y, width, height in pixels."""

    kind: str
    model: str
    embedding: Floats
    box: Box
    quality: float
    attributes: dict[str, str | None]


_UNKNOWN = {"upper": None, "lower": None}


@dataclass(frozen=True, slots=True)
class _Seen:
    box: Box
    crop: Pixels


class Encoder:
    """Detector, body encoder and face encoder of one process; one thread at a time."""

    def __init__(self, detector: Detector, body: Embedder, faces: Faces | None) -> None:
        self.detector, self.body, self.faces = detector, body, faces
        self._looks = ColourEmbedder()

    @classmethod
    def of(cls, settings: Settings, threads: int = 1) -> "Encoder":
        """As the settings say: networks by path, else the weak ones. Raises `SetupError` for a path of no use."""
        device = settings.encoder_device
        by_path = settings.person_detector, settings.person_encoder
        detector = NetworkDetector(by_path[0], device, threads) if by_path[0] else HogDetector()
        body = NetworkEmbedder(by_path[1], device, threads) if by_path[1] else ColourEmbedder()
        return cls(detector, body, Faces())

    def sightings(self, frames: Iterable[Pixels], camera: str, times: Iterable[int]) -> pa.Table:
        """`SIGHTINGS` of frames of one camera at times in µs, ascending: see `session`, all at once."""
        pairs = list(zip(times, frames, strict=True))
        apart = any(later[0] - sooner[0] > GAP_US for sooner, later in pairwise(pairs))
        tables = list(self.session(pairs, camera, least=1 if apart or len(pairs) < 3 else 3))
        return pa.concat_tables(tables) if tables else SIGHTINGS.empty_table()

    def session(self, frames: Iterable[tuple[int, Pixels]], camera: str, least: int = 3) -> Iterator[pa.Table]:
        """Follow people through frames (time in µs, pixels), and give a `SIGHTINGS` table when some tracklets ended.

        Each tracklet is one row of the body's model at the moment of its best picture, and one more of the face's
        where the face is large enough. The ids come from camera, time and place of the tracklet's begin and the model:
        the same frames give the same ids. A tracklet counts from `least` detections on.
        """
        tracker: Tracker[_Seen] = Tracker(GAP_US, least=least)
        for at_us, pixels in frames:
            if ended := tracker.add(at_us, self._detections(pixels)):
                yield self._table(camera, ended)
        if ended := tracker.finish():
            yield self._table(camera, ended)

    def query(self, pixels: Pixels) -> list[Described]:
        """Everybody in a photograph, the best first: bodies, and faces that are large enough.

        Where no person is found and the picture is taller than wide, it is taken for a crop of one. Raises
        `InvalidError` where nobody can be seen.
        """
        (found,) = self.queries([pixels])
        if not found:
            raise InvalidError("no person and no face large enough is to be seen in the picture")
        return found

    def queries(self, pictures: Sequence[Pixels]) -> list[list[Described]]:
        """As `query` for several at once, with one run of the body encoder; empty where nobody can be seen."""
        seen = [self._people(pixels) for pixels in pictures]
        vectors = iter(self.body.embed([one.kept.crop for people in seen for one in people]))
        answers = []
        for pixels, people in zip(pictures, seen, strict=True):
            bodies = [
                Described("body", self.body.id, next(vectors), one.box, one.quality, colours(one.kept.crop))
                for one in people
            ]
            answers.append(sorted([*bodies, *self._faces(pixels)], key=lambda one: -one.quality))
        return answers

    def _faces(self, pixels: Pixels) -> list[Described]:
        if self.faces is None:
            return []
        return [
            Described("face", self.faces.id, face.embedding, face.box, face.quality, dict(_UNKNOWN))
            for face in self.faces.find(pixels)
        ]

    def _people(self, pixels: Pixels) -> list[Detection[_Seen]]:
        found = self._detections(pixels)
        height, width = pixels.shape[:2]
        if found or height < 1.5 * width:
            return found
        box = (0, 0, width, height)
        # The whole picture touches every edge by definition; that says nothing about the person.
        good = quality(pixels, (2, 2, width, height), (height + 4, width + 4), 1.0)
        return [Detection(box, self._looks.embed([pixels])[0], good, _Seen(box, pixels))]

    def _detections(self, pixels: Pixels) -> list[Detection[_Seen]]:
        found = self.detector.detect(pixels)
        boxes: list[Box] = [(int(x), int(y), int(width), int(height)) for x, y, width, height in found.boxes]
        crops = [pixels[y : y + height, x : x + width].copy() for x, y, width, height in boxes]
        looks = self._looks.embed(crops)
        frame = (pixels.shape[0], pixels.shape[1])
        sizes = found.boxes.astype(np.float32)
        # Where two boxes overlap, each shows a part of the other person.
        alone = 1 - (overlap(sizes, sizes) - np.eye(len(boxes), dtype=np.float32)).max(axis=1, initial=0)
        good = [
            quality(crop, box, frame, float(score)) * float(free)
            for crop, box, score, free in zip(crops, boxes, found.scores, alone, strict=True)
        ]
        return [
            Detection(box, look, worth, _Seen(box, crop))
            for box, look, worth, crop in zip(boxes, looks, good, crops, strict=True)
        ]

    def _table(self, camera: str, ended: Sequence[Tracklet[_Seen]]) -> pa.Table:
        rows = []
        for one, vector in zip(ended, self.body.embed([one.best.crop for one in ended]), strict=True):
            body = (self.body.id, vector, one.best_quality, one.best.box, colours(one.best.crop))
            rows.append(_row(camera, one, *body, picture=jpeg(one.best.crop, MAX_PICTURE)))
            if self.faces and one.best.crop.shape[1] >= LEAST_WIDTH * 1.5 and (seen := self.faces.find(one.best.crop)):
                x, y, width, height = seen[0].box
                box = (x + one.best.box[0], y + one.best.box[1], width, height)
                face = seen[0].embedding, seen[0].quality, box, None
                picture = jpeg(one.best.crop[y : y + height, x : x + width], MAX_PICTURE)
                rows.append(_row(camera, one, self.faces.id, *face, picture=picture))
        return pa.Table.from_pylist(rows, SIGHTINGS)


def _row(
    camera: str,
    one: Tracklet[_Seen],
    model: str,
    vector: Floats,
    good: float,
    box: Box,
    attributes: dict[str, str | None] | None,
    *,
    picture: bytes,
) -> dict[str, object]:
    return {
        "sighting_id": sighting_id(camera, one.began_us, one.number, model),
        "camera": camera,
        "time": one.best_at_us,
        "model": model,
        "embedding": vector,
        "quality": good,
        "box": list(box),
        "attributes": attributes,
        "picture": picture,
    }


def sighting_id(camera: str, began_us: int, number: int, model: str) -> str:
    """The id of the tracklet that began then, `number` from the left among those of the same frame, for one model."""
    told = f"{camera}\0{began_us}\0{number}\0{model}"
    return hashlib.blake2b(told.encode(), digest_size=12).hexdigest()
