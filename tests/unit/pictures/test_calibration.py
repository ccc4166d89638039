"""What a cosine means."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.models import Calibration
from serve.search.calibration import PRIOR, fit, log_odds, probability, threshold


def calibration(a: float, b: float, prior: float = 0.5) -> Calibration:
    return Calibration(
        a=a,
        b=b,
        prior=prior,
        threshold=0.5,
        false_positive_rate=0.001,
        same_pairs=1,
        different_pairs=1,
        persons=2,
        data="x",
    )


def test_a_fit_finds_the_curve_that_made_the_pairs() -> None:
    random = np.random.default_rng(5)
    cosines = random.uniform(-1, 1, 200_000)
    same = random.random(len(cosines)) < 1 / (1 + np.exp(-(8 * cosines - 2)))
    found = fit(cosines, same)
    # Both sorts weigh the same in the fit, so the share of the same among the pairs leaves the intercept.
    assert found.a == pytest.approx(8, rel=0.03)
    assert found.b + log_odds(float(same.mean())) == pytest.approx(-2, abs=0.1)


def test_pairs_that_do_not_meet_give_a_finite_curve() -> None:
    found = fit([0.1, 0.2, 0.8, 0.9], [False, False, True, True])
    assert np.isfinite([found.a, found.b]).all()
    assert found.a > 0
    assert 0.2 < found.threshold < 0.8


@given(
    st.lists(st.floats(-1, 0.4), min_size=3, max_size=50),
    st.lists(st.floats(0.2, 1), min_size=3, max_size=50),
)
def test_more_alike_is_never_less_probable(different: list[float], same: list[float]) -> None:
    found = fit([*different, *same], [False] * len(different) + [True] * len(same))
    told = probability(calibration(found.a, found.b), np.linspace(-1, 1, 101))
    assert (np.diff(told) >= 0).all() or np.mean(same) <= np.mean(different)
    assert ((told >= 0) & (told <= 1)).all()


@given(st.lists(st.floats(-1, 0.99), min_size=1, max_size=300, unique=True), st.sampled_from([0.0, 0.01, 0.1, 0.5]))
def test_a_threshold_lets_no_more_through_than_it_may(different: list[float], rate: float) -> None:
    found = threshold(different, rate)
    assert np.mean(np.array(different) >= found) <= rate


def test_another_prior_moves_the_odds_by_its_own() -> None:
    told = calibration(10, -5 + log_odds(PRIOR), PRIOR)
    even = probability(told, [0.2, 0.5, 0.9], prior=0.5)
    np.testing.assert_allclose(even, 1 / (1 + np.exp(-(10 * np.array([0.2, 0.5, 0.9]) - 5))))
    assert (probability(told, [0.2, 0.5, 0.9]) < even).all()


@pytest.mark.parametrize(
    ("cosines", "same"), [([0.5], [True]), ([0.5, 0.4], [False, False]), ([np.nan, 1], [True, False])]
)
def test_a_fit_needs_both_sorts_of_pairs(cosines: list[float], same: list[int]) -> None:
    with pytest.raises(ValueError, match="finite cosines"):
        fit(cosines, same)
