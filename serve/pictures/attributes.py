"""What can be said of a person in words and in one figure: colours of the clothes, and how good the picture is. Pure.

Colours are named by ranges of hue, saturation and brightness; where none holds for enough of the area, none is given.
Age, sex, bag and hat are never guessed here: nothing at hand does it well enough.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from schemas.sighting import ATTRIBUTES
from serve.pictures.sandbox import Pixels

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels."""

_NAMES = ATTRIBUTES["upper"]
_HUES = (("red", 6), ("orange", 17), ("yellow", 34), ("green", 85), ("blue", 128), ("purple", 150), ("pink", 168))
"""Name and the hue (0 to 180) below which it holds; red begins again at the end."""
_SHARE = 0.4
_LEAST_HEIGHT = 40
_UPPER, _LOWER, _MIDDLE = (0.2, 0.48), (0.55, 0.85), (0.28, 0.72)


def colours(crop: Pixels) -> dict[str, str | None]:
    """`upper` and `lower` of a crop of one person; null for a small crop, an infrared picture, or mixed colours."""
    height, width = crop.shape[:2]
    hsv = cv2.cvtColor(crop, cv2.COLOR_BGR2HSV)
    # A camera that sees by infrared makes every colour grey.
    if height < _LEAST_HEIGHT or float(hsv[..., 1].mean()) < 6:
        return {"upper": None, "lower": None}
    sides = slice(int(width * _MIDDLE[0]), max(1, int(width * _MIDDLE[1])))
    parts = {
        name: hsv[int(height * top) : int(height * bottom), sides]
        for name, (top, bottom) in (("upper", _UPPER), ("lower", _LOWER))
    }
    return {name: _name(np.asarray(part, np.uint8)) for name, part in parts.items()}


def _name(hsv: Pixels) -> str | None:
    counts = np.bincount(_named(hsv).ravel(), minlength=len(_NAMES))
    best = int(counts.argmax())
    return _NAMES[best] if counts[best] >= _SHARE * counts.sum() else None


def _named(hsv: Pixels) -> NDArray[np.int64]:
    """The index of each pixel's colour name."""
    hue, saturation, value = (hsv[..., channel].astype(np.int64) for channel in range(3))
    number = {name: index for index, name in enumerate(_NAMES)}
    by_hue = np.array([number[name] for name, _ in _HUES] + [number["red"]])
    coloured = by_hue[np.searchsorted([limit for _, limit in _HUES], hue, side="right")]
    warm = np.isin(coloured, [number["red"], number["orange"], number["yellow"]]) & (hue < 24)
    return np.select(
        [
            value < 55,
            (saturation < 45) & (value > 185),
            saturation < 45,
            warm & (value < 140) & (saturation < 200) & (hue >= 4),
            (coloured == number["red"]) & (saturation < 120) & (value > 150),
        ],
        [number["black"], number["white"], number["grey"], number["brown"], number["pink"]],
        coloured,
    )


def quality(crop: Pixels, box: Box, frame: tuple[int, int], score: float) -> float:
    """How good a crop is for re-identification, 0 to 1.

    The geometric mean of size (128 pixels of height are enough), sharpness (variance of the Laplacian v as
    v / (v + 150), at 64 x 128) and the detector's score; half of it where the box touches the edge of the frame
    (height, width) and is probably cut off.
    """
    x, y, width, height = box
    grey = cv2.cvtColor(cv2.resize(crop, (64, 128)), cv2.COLOR_BGR2GRAY)
    sharp = float(cv2.Laplacian(grey, cv2.CV_64F).var())
    whole = x > 1 and y > 1 and x + width < frame[1] - 1 and y + height < frame[0] - 1
    mean = (min(1.0, height / 128) * sharp / (sharp + 150.0) * min(1.0, max(0.0, score))) ** (1 / 3)
    return float(mean if whole else mean / 2)
