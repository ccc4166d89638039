"""What Lagrange says that no set can beat, against every set."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.siting.interchange import Choice, search
from serve.siting.lagrange import Bounded, bounded
from serve.siting.problem import Deadline


def choices(seed: int, *, budget: bool) -> Choice:
    """Costs of 10 points and 8 sites, some of which stand already; where nobody serves, the dearest and more."""
    chance = np.random.default_rng(seed)
    costs = chance.integers(0, 40, (10, 8)).astype(float)
    prices = chance.integers(0, 6, 8).astype(float)
    existing = chance.random(8) < 0.15
    number = np.inf if budget and chance.random() < 0.5 else float(chance.integers(1, 5))
    limit = float(chance.integers(1, 14)) if budget else np.inf
    return Choice(costs, costs.max(axis=1) + 5, existing, np.where(existing, 0.0, prices), number, limit)


def allowed(choice: Choice) -> list[np.ndarray]:
    every = [np.array(bits) | choice.existing for bits in itertools.product([False, True], repeat=8)]
    return [open_ for open_ in every if choice.allowed(open_)]


@pytest.mark.parametrize("budget", [False, True])
def test_no_set_is_below_the_bound_and_a_better_one_uses_only_what_is_left(budget: bool) -> None:
    @settings(max_examples=60)
    @given(st.integers(0, 10**6))
    def tried(seed: int) -> None:
        choice = choices(seed, budget=budget)
        told = bounded(choice, Deadline(30))
        assert choice.allowed(told.best)
        assert told.cost == choice.total(told.best)
        for open_ in allowed(choice):
            cost = choice.total(open_)
            assert told.bound <= cost + 1e-6
            if cost < told.cost - 1e-6:
                left(choice, told, open_)

    tried()


def left(choice: Choice, told: Bounded, open_: np.ndarray) -> None:
    assert not (open_ & told.out).any()
    assert open_[told.inside].all()
    pairs = set(zip(told.points.tolist(), told.sites.tolist(), strict=True))
    for point, costs in enumerate(choice.costs):
        site = int(np.where(open_, costs, np.inf).argmin())
        assert (point, site) in pairs or costs[site] >= choice.unserved[point]


@given(st.integers(0, 10**6), st.booleans())
@settings(max_examples=40)
def test_no_single_exchange_betters_what_the_search_gives(seed: int, budget: bool) -> None:
    choice = choices(seed, budget=budget)
    found = search(choice, Deadline(30))
    cost = choice.total(found)
    for out, in_ in itertools.product(np.flatnonzero(found & ~choice.existing), np.flatnonzero(~found)):
        changed = found.copy()
        changed[out], changed[in_] = False, True
        assert not choice.allowed(changed) or choice.total(changed) >= cost - 1e-6
