"""What a person looks like, as a vector: a re-identification network given by path, or mere colours, which is weak."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from schemas.errors import SetupError
from serve.pictures.network import Floats, Network, model_id
from serve.pictures.sandbox import Pixels

COLOURS = "body-colours.v1"
_STRIPES, _HUES, _SATURATIONS, _GREYS = 4, 12, 3, 6


class Embedder(Protocol):
    """Embeds crops of one person each; one thread at a time."""

    @property
    def id(self) -> str:
        """The id of its model card, under which its vectors are kept."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""

    def embed(self, crops: Sequence[Pixels]) -> Floats:
        """One vector of unit length for each crop, n x dimensions; similarity is their dot product."""


class NetworkEmbedder:
    """A network from n x 3 x height x width (BGR, 0 to 255) to n x dimensions, compared by cosine.

    Raises `SetupError` where the network is none such.
    """

    _BATCH = 32

    def __init__(self, path: Path, device: str = "CPU", threads: int = 1) -> None:
        self._network = Network(path, device, threads, batch=-1)
        shape = self._network(np.zeros((1, 3, self._network.height, self._network.width), np.float32)).shape
        if shape[0] != 1 or int(np.prod(shape)) != max(shape) or max(shape) < 2:
            raise SetupError(f"{path} makes no embeddings: it answers {shape}, not n x dimensions")
        self._dimensions = int(max(shape))

    @property
    def id(self) -> str:
        """See `Embedder`."""
        return model_id(self._network.path.stem, self._network.digest)

    @property
    def dimensions(self) -> int:
        """See `Embedder`."""
        return self._dimensions

    def embed(self, crops: Sequence[Pixels]) -> Floats:
        """See `Embedder`."""
        made = [np.empty((0, self._dimensions), np.float32)]
        size = (self._network.width, self._network.height)
        for start in range(0, len(crops), self._BATCH):
            batch = np.stack([cv2.resize(crop, size) for crop in crops[start : start + self._BATCH]])
            found = self._network(np.ascontiguousarray(batch.transpose(0, 3, 1, 2), np.float32))
            made.append(found.reshape(len(batch), -1))
        return unit(np.concatenate(made))


class ColourEmbedder:
    """Histograms of colour in four stripes from head to foot, compared by Hellinger affinity. Weak.

    Hue and saturation are counted where there is colour, brightness where there is none. It takes people in similar
    clothes for the same, and one person under two lights for two.
    """

    id = COLOURS
    dimensions = _STRIPES * (_HUES * _SATURATIONS + _GREYS)

    def embed(self, crops: Sequence[Pixels]) -> Floats:
        """See `Embedder`."""
        made = np.zeros((len(crops), self.dimensions), np.float32)
        for row, crop in enumerate(crops):
            made[row] = _histogram(np.asarray(cv2.cvtColor(cv2.resize(crop, (32, 64)), cv2.COLOR_BGR2HSV), np.uint8))
        return unit(np.sqrt(made))


def _histogram(hsv: Pixels) -> Floats:
    hue, saturation, value = (hsv[..., channel].astype(np.int32) for channel in range(3))
    coloured = (saturation >= 40) & (value >= 40)
    bins = np.where(
        coloured,
        (hue * _HUES // 180) * _SATURATIONS + (saturation - 40) * _SATURATIONS // 216,
        _HUES * _SATURATIONS + value * _GREYS // 256,
    )
    stripes = np.repeat(np.arange(_STRIPES), 64 // _STRIPES)[:, None]
    # The person stands in the middle, the street at the sides.
    weights = np.tile(np.hanning(34)[1:-1], (64, 1))
    size = _HUES * _SATURATIONS + _GREYS
    counted = np.bincount((stripes * size + bins).ravel(), weights=weights.ravel(), minlength=_STRIPES * size)
    return counted.astype(np.float32)


def unit(vectors: Floats) -> Floats:
    """Each row divided by its length; a row of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Floats = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return scaled
