"""A good set of sites in little time: greedy, then vertex substitution; and the distances that it works on.

Teitz and Bart (1968), evaluated for all pairs of moves at once as in Whitaker's fast interchange (1983) in the form of
Resende and Werneck (2007): profit(in, out) = gain(in) − loss(out) + extra(in, out).
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from serve.siting.problem import GAP, Deadline, Flags, Floats

_LEAST = 1e-9
"""A move must be better by more than this share of the objective, or rounding would go in circles."""


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What may be chosen: `costs` (n × m) of serving a point from a site, `unserved` (n) of serving it from none.

    Existing sites (m) are always open. At most `number` others, `prices` (m) of which sum to no more than `budget`.
    `whole` is set where the objective is what is left of it after the costs, as in MCLP.
    """

    costs: Floats
    unserved: Floats
    existing: Flags
    prices: Floats
    number: float
    budget: float
    whole: float | None = None

    def slack(self, cost: float) -> float:
        """How much cheaper a better set could be and the objective still count as optimal."""
        return GAP * (cost if self.whole is None else self.whole - cost)

    def total(self, open_: Flags) -> float:
        """The cost of serving everybody from the cheapest open site, or from none."""
        best = self.costs[:, open_].min(axis=1, initial=np.inf)
        return float(np.minimum(best, self.unserved).sum())

    def allowed(self, open_: Flags) -> bool:
        """Whether a set keeps to number and budget."""
        new = open_ & ~self.existing
        return bool(new.sum() <= self.number and self.prices[new].sum() <= self.budget * (1 + 1e-12))


def search(choice: Choice, deadline: Deadline, start: Flags | None = None) -> Flags:
    """A set that no addition and no exchange of one site for another improves, or what was reached in the time.

    From `start`, or from the better of two greedy beginnings: by gain, and where prices differ by gain per price.
    """
    begun = [start] if start is not None else [_greedy(choice, choice.existing, per_price=False)]
    if start is None and np.isfinite(choice.budget):
        begun.append(_greedy(choice, choice.existing, per_price=True))
    best = min(begun, key=choice.total)
    while deadline.left() and (better := _exchanged(choice, best)) is not None:
        best = _greedy(choice, better, per_price=False)
    return best


def _greedy(choice: Choice, open_: Flags, *, per_price: bool) -> Flags:
    open_ = open_.copy()
    now = np.minimum(choice.costs[:, open_].min(axis=1, initial=np.inf), choice.unserved)
    while True:
        new = open_ & ~choice.existing
        left = choice.budget * (1 + 1e-12) - choice.prices[new].sum()
        fits = ~open_ & (choice.prices <= left)
        if new.sum() >= choice.number or not fits.any():
            return open_
        gain = np.maximum(now[:, None] - choice.costs, 0.0).sum(axis=0)
        score = np.where(fits, gain / np.maximum(choice.prices, 1e-12) if per_price else gain, -1.0)
        site = int(score.argmax())
        if gain[site] <= 0:
            return open_
        open_[site] = True
        now = np.minimum(now, choice.costs[:, site])


def _exchanged(choice: Choice, open_: Flags) -> Flags | None:
    """The set after the best exchange, or None where none is better."""
    inside, movable = np.flatnonzero(open_), np.flatnonzero(open_ & ~choice.existing)
    outside = np.flatnonzero(~open_)
    if not len(movable) or not len(outside):
        return None
    near = np.column_stack([choice.costs[:, inside], choice.unserved])
    nearest = near.argmin(axis=1)
    at = np.arange(len(near))
    first = near[at, nearest]
    near[at, nearest] = np.inf
    second = np.minimum(near.min(axis=1), choice.unserved)
    who = np.append(inside, -1)[nearest]
    group = sparse.csr_array(
        (np.ones(len(who)), (np.searchsorted(movable, who) % len(movable), at)), shape=(len(movable), len(who))
    )
    # Points of an existing site, or of none, lose nothing by an exchange.
    moves = np.isin(who, movable)
    second = np.where(moves, second, first)
    costs = choice.costs[:, outside]
    gain = np.maximum(first[:, None] - costs, 0.0).sum(axis=0)
    loss = group @ (second - first)
    extra = group @ np.maximum(second[:, None] - np.maximum(costs, first[:, None]), 0.0)
    profit = gain[None, :] - loss[:, None] + extra
    spent = choice.prices[movable].sum()
    dear = spent - choice.prices[movable][:, None] + choice.prices[outside][None, :] > choice.budget * (1 + 1e-12)
    profit[dear] = -np.inf
    out, in_ = np.unravel_index(int(profit.argmax()), profit.shape)
    if profit[out, in_] <= _LEAST * max(1.0, float(first.sum())):
        return None
    changed = open_.copy()
    changed[movable[out]], changed[outside[in_]] = False, True
    return changed
