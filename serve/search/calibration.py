"""What a cosine means: the probability that two embeddings show the same person, and where `nobody` begins. Pure.

The curve is logistic, fitted to pairs known to be of one person or of two. Fitting weighs both sorts equally; the
prior, P(same person) before looking, is then added as its log odds, so that it stands apart and can be replaced.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schemas.models import Calibration, ModelCard

PRIOR = 0.01
"""Of the candidates that a search shows first, one in a hundred is taken to be the person sought. An assumption."""
FALSE_POSITIVE_RATE = 0.001
"""Of pairs of two persons, the share that the threshold lets through."""

_STEPS = 100
_RIDGE = 1e-3
"""Keeps the curve finite where the two sorts of pairs do not meet; small beside a pair's weight of one."""

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fitted:
    """Logistic slope and intercept (equal odds, no prior yet), and the threshold, all on the cosine."""

    a: float
    b: float
    threshold: float


def probability(calibration: Calibration, cosine: ArrayLike, prior: float | None = None) -> Reals:
    """P(same person) for cosines of any shape, under the calibration's prior or another one (above 0, below 1)."""
    shift = 0.0 if prior is None else log_odds(prior) - log_odds(calibration.prior)
    return _logistic(calibration.a * np.asarray(cosine, np.float64) + calibration.b + shift)


def calibrations_of(cards: Iterable[ModelCard]) -> dict[str, Calibration]:
    """The curve of each model that has one, by model id."""
    return {card.id: card.calibration for card in cards if card.calibration is not None}


def cosine(calibration: Calibration, likely: float) -> float:
    """The cosine that means a probability, the inverse of `probability`; above 1 where no two pictures are so alike."""
    return (log_odds(min(max(likely, 1e-9), 1 - 1e-9)) - calibration.b) / calibration.a


def log_odds(share: float) -> float:
    """ln(p / (1 - p))."""
    return float(np.log(share / (1 - share)))


def fit(cosines: ArrayLike, same: ArrayLike, false_positive_rate: float = FALSE_POSITIVE_RATE) -> Fitted:
    """Fit to pairs: n cosines, and whether each is of one person.

    Newton's method on the weighted log likelihood, each sort of pairs with half of the weight. Raises `ValueError`
    where one sort is missing or a cosine is no number.
    """
    values, truth = np.asarray(cosines, np.float64), np.asarray(same, bool)
    if truth.all() or not truth.any() or not np.isfinite(values).all():
        raise ValueError("a calibration needs pairs of one person and pairs of two, with finite cosines")
    # Around their mean and at their spread the two parameters hardly depend on each other.
    middle, spread = float(values.mean()), max(float(values.std()), 1e-9)
    columns = np.stack([(values - middle) / spread, np.ones_like(values)], axis=1)
    weights = np.where(truth, 0.5 / truth.mean(), 0.5 / (1 - truth.mean()))
    found = np.zeros(2)
    for _ in range(_STEPS):
        told = _logistic(columns @ found)
        slope = columns.T @ (weights * (truth - told)) - _RIDGE * found
        curve = (columns * (weights * told * (1 - told))[:, None]).T @ columns + _RIDGE * np.eye(2)
        step = np.linalg.solve(curve, slope)
        # A step too long leaves the region where the curve holds.
        found = found + step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        if float(np.abs(step).max()) < 1e-9:
            break
    a = float(found[0]) / spread
    return Fitted(a, float(found[1]) - a * middle, threshold(values[~truth], false_positive_rate))


def threshold(different: ArrayLike, false_positive_rate: float) -> float:
    """The least cosine that at most this share of pairs of two persons reaches.

    With fewer than 1 / rate pairs none may reach it, and the true rate is only known to be about 1 / n or less.
    """
    ordered = np.sort(np.asarray(different, np.float64))[::-1]
    allowed = int(false_positive_rate * len(ordered))
    return float(min(1.0, np.nextafter(ordered[allowed], np.inf)))


def _logistic(x: Reals) -> Reals:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -700, 700))), np.float64)
