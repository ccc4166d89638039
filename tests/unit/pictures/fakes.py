"""A detector and an encoder that need no networks: coloured rectangles are people, and look as their colour."""

from collections.abc import Sequence

import numpy as np

from serve.pictures.detect import Detections
from serve.pictures.network import Floats
from serve.pictures.sandbox import Pixels

STREET = 128


class Rectangles:
    """Each run of columns that is not grey is one person."""

    id = "rectangles"

    def detect(self, pixels: Pixels) -> Detections:
        inked = np.abs(pixels.astype(int) - STREET).max(axis=2) > 40
        columns = np.flatnonzero(np.diff(np.concatenate([[0], inked.any(axis=0), [0]])))
        boxes = []
        for left, right in columns.reshape(-1, 2):
            rows = np.flatnonzero(inked[:, left:right].any(axis=1))
            boxes.append([left, rows[0], right - left, rows[-1] + 1 - rows[0]])
        return Detections(np.array(boxes, np.int32).reshape(-1, 4), np.full(len(boxes), 0.9, np.float32))


class MeanColour:
    """Three dimensions: the mean colour."""

    id, dimensions = "mean-colour", 3

    def embed(self, crops: Sequence[Pixels]) -> Floats:
        means = np.array([crop.reshape(-1, 3).mean(axis=0) for crop in crops], np.float32).reshape(-1, 3)
        return means / np.linalg.norm(means, axis=1, keepdims=True)


def street(*people: tuple[int, tuple[int, int, int]], width: int = 320, height: int = 240) -> Pixels:
    """People (left edge, colour), 30 x 80 pixels, on a grey street."""
    pixels = np.full((height, width, 3), STREET, np.uint8)
    for left, colour in people:
        pixels[100:180, max(0, left) : left + 30] = colour
        pixels[140:180, max(0, left) : left + 30] = np.array(colour) // 2
    return pixels


RED, BLUE, GREEN = (0, 0, 250), (250, 0, 0), (0, 250, 0)
