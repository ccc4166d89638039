"""What no set of sites can beat, by Lagrangian relaxation, and which sites and pairs therefore play no part.

The relaxation of the p-median problem in which a point may be served never or twice, at a price λ (Cornuéjols,
Fisher and Nemhauser 1977; the reductions: Beasley 1993). Any λ gives a valid bound, so λ is held below the cost of the
`_NEAR` times m/p-th nearest site of a point, or `_BEYOND` times that of its second nearest site of a good set, whatever
is more; farther pairs are never looked at.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve.siting.interchange import Choice, search
from serve.siting.problem import Deadline, Flags, Floats

_NEAR = 4
_LEAST_NEAR = 30
_BEYOND = 1.5
_ROUNDS = 1500
_PATIENCE = 25
_LEAST_STEP, _LEAST_GAIN = 1e-3, 1e-6
_MEMORY = 0.8
"""How much of the last direction stays in the next."""
_AGAIN = 50
"""Every so many rounds the sites of the relaxation are tried as a solution."""


@dataclass(frozen=True, slots=True, eq=False)
class Bounded:
    """The best set known and its cost, a bound below which there is none, and what is left to decide.

    `closed`: the best set known is proven to be the best.
    `out` and `inside` (m): sites that no better set has, or that each has. `points` and `sites`: the pairs that a
    better set may serve; `spare` (n): points that it may leave unserved.
    """

    best: Flags
    cost: float
    bound: float
    closed: bool
    out: Flags
    inside: Flags
    points: NDArray[np.intp]
    sites: NDArray[np.intp]
    spare: Flags


class _Pairs:
    """The pairs of a point and a site that may matter, by site."""

    def __init__(self, choice: Choice, second: Floats, opened: int) -> None:
        n, m = choice.costs.shape
        near = min(m, max(_LEAST_NEAR, _NEAR * m // max(1, opened)))
        reach = np.partition(choice.costs, near - 1, axis=1)[:, near - 1] if near < m else choice.costs.max(axis=1)
        self.most = np.minimum(np.maximum(reach, second * _BEYOND), choice.unserved)
        site, self.point = np.nonzero((choice.costs < self.most[:, None]).T)
        self.site = site
        self.cost = choice.costs[self.point, site]
        self.count = m
        self.points = n

    def worth(self, price: Floats) -> Floats:
        """What each site takes off the cost at these prices of the points (m), zero or less."""
        worth = np.bincount(self.site, np.minimum(self.cost - price[self.point], 0.0), self.count)
        return worth.astype(np.float64, copy=False)

    def times(self, price: Floats, open_: Flags) -> Floats:
        """How often each point is served when the open sites take whom they gain from (n)."""
        taken = open_[self.site] & (self.cost < price[self.point])
        return np.bincount(self.point[taken], minlength=self.points).astype(np.float64)


def bounded(choice: Choice, deadline: Deadline) -> Bounded:
    """Raises the bound until it meets the best set, which is improved on the way, or until the prices settle."""
    best = search(choice, deadline)
    cost = choice.total(best)
    second = np.sort(choice.costs[:, best], axis=1)[:, 1] if best.sum() > 1 else choice.unserved
    second = np.minimum(second, choice.unserved)
    pairs = _Pairs(choice, second, int(best.sum()))
    price = np.minimum(second, pairs.most)
    # Prices move in proportion to what a point costs: points of a thousand people and of one meet in few rounds.
    scale = np.maximum(second, 1e-3 * second.mean())
    bound, kept, step, tired = -np.inf, price, 1.0, 0
    direction = np.zeros_like(price)
    for number in range(_ROUNDS):
        worth = pairs.worth(price)
        open_, value = _cheapest(choice, worth)
        value += price.sum()
        if value > bound:
            tired = 0 if value - bound > _LEAST_GAIN * abs(value) else tired + 1
            bound, kept = value, price
        else:
            tired += 1
        if cost - max(bound, 0.0) <= choice.slack(cost) / 2 or not deadline.left():
            break
        if tired >= _PATIENCE:
            step, tired, price, direction = step / 2, 0, kept, np.zeros_like(price)
            if step < _LEAST_STEP:
                break
            continue
        if number % _AGAIN == 0 and choice.allowed(open_ | choice.existing):
            found = search(choice, deadline, open_ | choice.existing)
            if (found_cost := choice.total(found)) < cost:
                best, cost = found, found_cost
        direction = 1.0 - pairs.times(price, open_ | choice.existing) + _MEMORY * direction
        square = float(scale * direction @ direction)
        if square == 0:
            break
        price = np.clip(price + step * (cost * 1.001 - value) / square * scale * direction, 0.0, pairs.most)
    return _reduced(choice, pairs, best, cost, kept)


def _cheapest(choice: Choice, worth: Floats) -> tuple[Flags, float]:
    """The new sites that take most off, and how much at least comes off: by number, and by a fractional knapsack."""
    new = np.where(choice.existing, 0.0, worth)
    fixed = float(worth[choice.existing].sum())
    order = np.argsort(new, kind="stable")
    count = int(min(choice.number, len(order)))
    open_ = np.zeros(len(worth), dtype=bool)
    open_[order[:count]] = new[order[:count]] < 0
    value = float(new[open_].sum())
    if choice.prices[open_].sum() > choice.budget:
        ratio = np.argsort(new / np.maximum(choice.prices, 1e-12), kind="stable")
        price = choice.prices[ratio]
        left = choice.budget - (np.cumsum(price) - price)
        share = np.where(price > 0, np.clip(left / np.maximum(price, 1e-12), 0.0, 1.0), 1.0)
        value = max(value, float((share * new[ratio]).sum()))
        open_ = np.zeros(len(worth), dtype=bool)
        open_[ratio[(share >= 1) & (new[ratio] < 0)][:count]] = True
    return open_, fixed + value


def _reduced(choice: Choice, pairs: _Pairs, best: Flags, cost: float, price: Floats) -> Bounded:
    worth = pairs.worth(price)
    open_, value = _cheapest(choice, worth)
    bound = max(0.0, value + float(price.sum()))  # no cost is negative
    slack = cost - bound + 1e-9 * max(1.0, abs(cost))
    m = len(worth)
    out, inside, extra = np.zeros(m, dtype=bool), choice.existing.copy(), np.zeros(m)
    if not np.isfinite(choice.budget):
        new = np.where(choice.existing, np.inf, worth)
        order = np.sort(new)
        count = int(min(choice.number, m))
        last = min(order[count - 1], 0.0) if count else -np.inf
        next_ = min(order[count], 0.0) if count < m else 0.0
        extra = np.where(choice.existing | open_, 0.0, new - last) if count else np.zeros(m)
        out = ~choice.existing & ~open_ & (extra > slack) if count else ~choice.existing
        inside |= open_ & (next_ - new > slack)
    # Serving a point from a site costs at least this much more than the bound.
    more = np.maximum(choice.costs - price[:, None], 0.0) + np.maximum(extra, 0.0)[None, :]
    points, sites = np.nonzero((more <= slack) & ~out[None, :] & (choice.costs < choice.unserved[:, None]))
    spare = choice.unserved - price <= slack
    return Bounded(best, cost, bound, cost - bound <= choice.slack(cost), out, inside, points, sites, spare)
