"""Of several persons on a photograph one is sought, and never the face of one with the body of another."""

import numpy as np
import pytest

from serve.search.protocol import Encoded, Query
from serve.seeking import one_person

BODY, FACE = "body-1", "face-1"
Box = tuple[int, int, int, int]
MOTHER, CHILD = (100, 50, 120, 360), (200, 200, 80, 210)
"""Her box and that of the child at her hand overlap."""
HERS, HIS = (140, 60, 44, 50), (222, 212, 40, 44)


def seen(model: str, box: Box | None, quality: float) -> Encoded:
    return Encoded(Query(model, np.array([1, 0], np.float32)), quality, box, model == FACE)


def sought(*people: Encoded) -> list[tuple[str, Box | None]]:
    found = one_person(sorted(people, key=lambda one: -one.quality))
    return [(one.query.model, one.box) for one in found]


@pytest.mark.parametrize(
    ("qualities", "person"),
    [
        ((0.9, 0.5, 0.3, 0.8), (MOTHER, HERS)),
        ((0.5, 0.9, 0.8, 0.3), (CHILD, HIS)),
        ((0.6, 0.5, 0.4, 0.9), (CHILD, HIS)),
        ((0.5, 0.6, 0.9, 0.4), (MOTHER, HERS)),
    ],
    ids=["her body is best", "his body is best", "his face is best", "her face is best"],
)
def test_body_and_face_are_of_one_person(qualities: tuple[float, ...], person: tuple[Box, Box]) -> None:
    mother, child, hers, his = qualities
    told = sought(seen(BODY, MOTHER, mother), seen(BODY, CHILD, child), seen(FACE, HERS, hers), seen(FACE, HIS, his))
    assert sorted(told) == [(BODY, person[0]), (FACE, person[1])]


def test_a_body_whose_face_is_too_small_is_sought_without_the_face_of_another() -> None:
    assert sought(seen(BODY, CHILD, 0.9), seen(BODY, MOTHER, 0.5), seen(FACE, HERS, 0.8)) == [(BODY, CHILD)]


def test_a_portrait_beside_a_passer_by_is_sought_by_its_face_alone() -> None:
    assert sought(seen(FACE, (10, 10, 60, 70), 0.9), seen(BODY, (300, 50, 60, 180), 0.8)) == [(FACE, (10, 10, 60, 70))]


def test_a_large_face_has_no_part_in_one_who_passes_far_behind_it() -> None:
    portrait = (100, 100, 300, 340)
    assert sought(seen(FACE, portrait, 0.9), seen(BODY, (220, 140, 50, 130), 0.5)) == [(FACE, portrait)]


def test_one_person_who_is_seen_by_one_model_is_sought_as_before() -> None:
    assert sought(seen(BODY, None, 0.9), seen(BODY, None, 0.8)) == [(BODY, None)]
