"""The encoder: frames of a camera to a table of sightings, a photograph of a person to embeddings to search with."""

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
from serve.pictures.follow import GAP_US, Follower, Look, Looks
from serve.pictures.network import Floats
from serve.pictures.sandbox import Pixels
from serve.pictures.track import Detection, Tracker, overlap


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
class Taken:
    """A photograph as it may be kept: who is in it, and `picture`, a new JPEG of its pixels without its metadata."""

    people: list[Described]
    picture: bytes


@dataclass(frozen=True, slots=True)
class Seen:
    """A person in one picture: where, cut out, and how good the crop is, 0 to 1."""

    box: Box
    crop: Pixels
    quality: float


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

        See `Follower`; only the best picture of a tracklet is embedded. A tracklet counts from `least` detections on.
        """
        follower = Follower(camera, self.looks, Tracker[Seen](GAP_US, least=least))
        for at_us, pixels in frames:
            if (table := follower.add(at_us, self.detections(pixels))).num_rows:
                yield table
        if (table := follower.finish()).num_rows:
            yield table

    def people(self, pictures: Sequence[Pixels]) -> list[list[Detection[Looks]]]:
        """Everybody in some pictures, with one run of the body encoder: what a `Follower` elsewhere goes on from."""
        found = [self.detections(pixels) for pixels in pictures]
        looks = iter(self.looks([one.kept for people in found for one in people]))
        return [[Detection(one.box, one.look, one.quality, next(looks)) for one in people] for people in found]

    def looks(self, seen: Sequence[Seen]) -> list[Looks]:
        """Of each person the look of the body's model, and that of the face's where the face is large enough."""
        vectors = self.body.embed([one.crop for one in seen])
        return [(self._body(one, vector), *self._face(one)) for one, vector in zip(seen, vectors, strict=True)]

    def _body(self, one: Seen, vector: Floats) -> Look:
        return Look(self.body.id, vector, one.quality, one.box, colours(one.crop), jpeg(one.crop, MAX_PICTURE))

    def _face(self, one: Seen) -> Looks:
        if self.faces is None or one.crop.shape[1] < LEAST_WIDTH * 1.5 or not (found := self.faces.find(one.crop)):
            return ()
        face = found[0]
        x, y, width, height = face.box
        box = (x + one.box[0], y + one.box[1], width, height)
        picture = jpeg(one.crop[y : y + height, x : x + width], MAX_PICTURE)
        return (Look(self.faces.id, face.embedding, face.quality, box, None, picture),)

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

    def _people(self, pixels: Pixels) -> list[Detection[Seen]]:
        found = self.detections(pixels)
        height, width = pixels.shape[:2]
        if found or height < 1.5 * width:
            return found
        box = (0, 0, width, height)
        # The whole picture touches every edge by definition; that says nothing about the person.
        good = quality(pixels, (2, 2, width, height), (height + 4, width + 4), 1.0)
        return [Detection(box, self._looks.embed([pixels])[0], good, Seen(box, pixels, good))]

    def detections(self, pixels: Pixels) -> list[Detection[Seen]]:
        """Everybody in a picture, without embeddings."""
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
            Detection(box, look, worth, Seen(box, crop, worth))
            for box, look, worth, crop in zip(boxes, looks, good, crops, strict=True)
        ]
