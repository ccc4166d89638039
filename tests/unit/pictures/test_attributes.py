"""Colours in words, and quality in one figure."""

import cv2
import numpy as np
import pytest

from schemas.sighting import ATTRIBUTES, ATTRIBUTES_KO
from serve.pictures.attributes import colours, quality
from tests.unit.pictures.samples import person

BGR = {
    "black": (15, 15, 15),
    "white": (245, 245, 245),
    "grey": (120, 120, 120),
    "red": (20, 20, 200),
    "orange": (10, 130, 245),
    "yellow": (20, 220, 240),
    "green": (40, 160, 40),
    "blue": (190, 60, 20),
    "purple": (150, 20, 110),
    "pink": (180, 105, 255),
    "brown": (30, 60, 110),
}


def test_every_colour_of_the_vocabulary_is_tried_and_has_a_korean_name() -> None:
    assert tuple(BGR) == ATTRIBUTES["upper"] == ATTRIBUTES["lower"]
    assert all(name in ATTRIBUTES_KO for name in BGR)


@pytest.mark.parametrize("name", BGR)
def test_clothes_are_named_by_their_colour(name: str) -> None:
    other = "blue" if name != "blue" else "red"
    assert colours(person(BGR[name], BGR[other])) == {"upper": name, "lower": other}


def test_a_small_or_infrared_picture_names_no_colour() -> None:
    unknown = {"upper": None, "lower": None}
    whole = person(BGR["red"], BGR["blue"])
    grey = cv2.cvtColor(cv2.cvtColor(whole, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    assert colours(whole[::5, ::5]) == unknown
    assert colours(grey) == unknown


def test_mixed_colours_have_no_name() -> None:
    stripes = person(BGR["red"], BGR["blue"])
    for row, name in enumerate(("green", "yellow", "red", "white")):
        stripes[32 + row * 12 : 44 + row * 12] = BGR[name]
    assert colours(stripes)["upper"] is None


def test_quality_falls_with_blur_distance_and_the_edge() -> None:
    random = np.random.default_rng(3)
    crop = random.integers(0, 256, (160, 80, 3), np.uint8)
    box, frame = (50, 50, 80, 160), (480, 640)
    best = quality(crop, box, frame, 1.0)
    assert 0.8 < best <= 1
    assert quality(cv2.GaussianBlur(crop, (0, 0), 5), box, frame, 1.0) < best / 2
    assert quality(crop[:40, :20], (50, 50, 20, 40), frame, 1.0) < best
    assert quality(crop, (0, 50, 80, 160), frame, 1.0) == best / 2
    assert quality(crop, box, frame, 0.5) < best
    assert quality(np.zeros((160, 80, 3), np.uint8), box, frame, 1.0) == 0
