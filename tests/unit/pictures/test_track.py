"""A person who walks by is one tracklet."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.pictures.track import Detection, Tracker, overlap

RED, BLUE = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
STEP_US = 100_000


def seen(left: int, look: np.ndarray = RED, quality: float = 0.5, kept: str = "") -> Detection[str]:
    return Detection((left, 10, 20, 50), look, quality, kept)


def test_a_person_who_walks_by_is_one_tracklet_with_the_best_picture() -> None:
    tracker: Tracker[str] = Tracker()
    for step in range(20):
        assert tracker.add(step * STEP_US, [seen(5 * step, quality=0.9 if step == 7 else 0.4, kept=str(step))]) == []
    (one,) = tracker.finish()
    assert (one.began_us, one.number, one.best, one.best_at_us, len(one.path)) == (0, 0, "7", 700_000, 20)
    assert one.best_quality == pytest.approx(0.9)


def test_two_who_cross_keep_their_looks() -> None:
    tracker: Tracker[str] = Tracker()
    for step in range(21):
        pair = [seen(5 * step, RED, kept="red"), seen(100 - 5 * step, BLUE, kept="blue")]
        tracker.add(step * STEP_US, pair[:: 1 if step % 2 else -1])
    assert sorted((one.best, len(one.path)) for one in tracker.finish()) == [("blue", 21), ("red", 21)]


def test_who_was_hidden_for_a_moment_is_the_same() -> None:
    tracker: Tracker[str] = Tracker()
    for step in range(20):
        tracker.add(step * STEP_US, [] if 8 <= step < 14 else [seen(4 * step)])
    assert len(tracker.finish()) == 1


def test_who_comes_back_after_the_gap_is_a_new_sighting() -> None:
    tracker: Tracker[str] = Tracker(gap_us=1_000_000)
    ended = []
    for step in range(40):
        ended += tracker.add(step * STEP_US, [] if 10 <= step < 25 else [seen(50)])
    assert [one.began_us for one in ended + tracker.finish()] == [0, 2_500_000]


def test_who_stays_is_told_in_time() -> None:
    tracker: Tracker[str] = Tracker(longest_us=1_000_000)
    ended = []
    for step in range(25):
        ended += tracker.add(step * STEP_US, [seen(50)])
    assert [one.began_us for one in ended] == [0, 1_000_000]


def test_a_flash_is_no_person() -> None:
    tracker: Tracker[str] = Tracker(least=3)
    tracker.add(0, [seen(50)])
    tracker.add(STEP_US, [seen(50)])
    assert tracker.finish() == []


def test_a_crop_that_looks_unlike_the_others_is_not_the_best() -> None:
    tracker: Tracker[str] = Tracker()
    behind_a_sign = (RED * 0.3 + BLUE * 0.95).astype(np.float32)
    for step in range(10):
        odd = step == 5
        tracker.add(step * STEP_US, [seen(50, behind_a_sign if odd else RED, 0.9 if odd else 0.6, str(step))])
    assert tracker.finish()[0].best != "5"


boxes = st.lists(st.tuples(*[st.integers(0, 200)] * 2, *[st.integers(1, 100)] * 2), min_size=1, max_size=6)


@given(boxes, boxes)
def test_overlap_is_symmetric_and_a_share(one: list[tuple[int, ...]], other: list[tuple[int, ...]]) -> None:
    a, b = np.array(one, np.float32), np.array(other, np.float32)
    found = overlap(a, b)
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_allclose(found, overlap(b, a).T)
    np.testing.assert_allclose(np.diag(overlap(a, a)), 1)


@given(st.lists(boxes, min_size=1, max_size=8))
def test_every_detection_belongs_to_one_tracklet(frames: list[list[tuple[int, int, int, int]]]) -> None:
    tracker: Tracker[int] = Tracker(least=1)
    ended = []
    for step, found in enumerate(frames):
        ended += tracker.add(step * STEP_US, [Detection(box, RED, 0.5, 0) for box in found])
    paths = [moment for one in ended + tracker.finish() for moment in one.path]
    assert sorted(paths) == sorted((step * STEP_US, box) for step, found in enumerate(frames) for box in found)
