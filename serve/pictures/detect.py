"""Where people are in a picture: an OpenVINO network given by path, or OpenCV's built-in detector, which is weak."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from schemas.errors import SetupError
from serve.pictures.network import Floats, Network, model_id
from serve.pictures.sandbox import Pixels

HOG = "opencv-hog-people"


@dataclass(frozen=True, slots=True)
class Detections:
    """People in one picture: `boxes` n x 4 (x, y, width, height in whole pixels inside it), `scores` n, 0 to 1."""

    boxes: NDArray[np.int32]
    scores: Floats


class Detector(Protocol):
    """Finds people; one thread at a time."""

    @property
    def id(self) -> str:
        """The id of its model card."""

    def detect(self, pixels: Pixels) -> Detections:
        """People in a picture, the surest first."""


class NetworkDetector:
    """A detector whose output is 1 x 1 x n x 7 (picture, class, score, left, top, right, bottom as shares), BGR.

    The picture is squeezed to the network's input, so people shorter than about a tenth of its height are missed.
    """

    def __init__(self, path: Path, device: str = "CPU", threads: int = 1, least: float = 0.6) -> None:
        self._network, self._least = Network(path, device, threads), least

    @property
    def id(self) -> str:
        """See `Detector`."""
        return model_id(self._network.path.stem, self._network.digest)

    def detect(self, pixels: Pixels) -> Detections:
        """See `Detector`. Raises `SetupError` where the network is no such detector."""
        small = cv2.resize(pixels, (self._network.width, self._network.height))
        found = self._network(np.ascontiguousarray(small.transpose(2, 0, 1)[None], np.float32))
        if found.ndim != 4 or found.shape[3] != 7:
            raise SetupError(f"{self._network.path} is no detector: it answers {found.shape}, not 1 x 1 x n x 7")
        rows = found[0, 0]
        rows = rows[(rows[:, 0] >= 0) & (rows[:, 2] >= self._least)]
        height, width = pixels.shape[:2]
        return _inside(rows[:, 3:7] * np.array([width, height, width, height], np.float32), rows[:, 2], pixels)


class HogDetector:
    """OpenCV's histogram of oriented gradients with its built-in weights (Dalal and Triggs 2005). Weak.

    It needs people of about 100 pixels, so small pictures are enlarged first.
    """

    id = HOG
    _LONGEST = 1_000

    def __init__(self, least: float = 0.5) -> None:
        self._least = least
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(np.array(cv2.HOGDescriptor.getDefaultPeopleDetector(), np.float32))

    def detect(self, pixels: Pixels) -> Detections:
        """See `Detector`. Its margins become scores by a logistic curve that was not fitted."""
        scale = self._LONGEST / max(pixels.shape[:2])
        resized = cv2.resize(pixels, None, fx=scale, fy=scale)
        if resized.shape[0] < 128 or resized.shape[1] < 64:
            return Detections(np.empty((0, 4), np.int32), np.empty(0, np.float32))
        boxes, margins = self._hog.detectMultiScale(resized, winStride=(8, 8), scale=1.05)
        if not len(boxes):
            return Detections(np.empty((0, 4), np.int32), np.empty(0, np.float32))
        found = np.asarray(boxes, np.float32)
        # The window holds a margin of about an eighth around the person.
        inset = found[:, 2:] * np.array([0.15, 0.05], np.float32)
        edges = [found[:, :2] + inset, found[:, :2] + found[:, 2:] - inset]
        corners = (np.concatenate(edges, axis=1) / scale).astype(np.float32)
        scores = (1 / (1 + np.exp(-np.asarray(margins).ravel()))).astype(np.float32)
        sure = scores >= self._least
        return _inside(corners[sure], scores[sure], pixels)


def _inside(corners: Floats, scores: Floats, pixels: Pixels) -> Detections:
    """Corners (left, top, right, bottom) as boxes within the picture, the surest first; what has no area leaves."""
    height, width = pixels.shape[:2]
    whole = np.rint(np.clip(corners, 0, np.array([width, height, width, height]))).astype(np.int32)
    boxes = np.concatenate([whole[:, :2], whole[:, 2:] - whole[:, :2]], axis=1)
    order = np.argsort(-scores, kind="stable")
    order = order[(boxes[order, 2:] > 1).all(axis=1)]
    return Detections(boxes[order], scores[order].astype(np.float32))
