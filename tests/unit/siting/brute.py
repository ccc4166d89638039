"""Siting problems solved by trying every set of sites: the oracle for small ones."""

import bisect
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.optimize import linprog

from schemas.siting import Model
from serve.siting.problem import Problem


def problem(model: Model, distances: Any, number: int | None = None, **given: Any) -> Problem:
    """A problem with one person at each point and no limits but those given."""
    metres = np.array(distances, dtype=np.float64)
    n, m = metres.shape
    demand = np.array(given.pop("demand", np.ones((n, 1))), dtype=np.float64)
    slots = demand.shape[1]
    return Problem(
        model=model,
        distances=metres,
        demand=demand,
        slot_weights=np.array(given.pop("slot_weights", np.ones(slots)), dtype=np.float64),
        reach=np.array(given.pop("reach", np.full(slots, np.inf)), dtype=np.float64),
        capacity=np.array(given.pop("capacity", np.full(m, np.inf)), dtype=np.float64),
        cost=np.array(given.pop("cost", np.ones(m)), dtype=np.float64),
        existing=np.array(given.pop("existing", np.zeros(m)), dtype=bool),
        number=number,
        **given,
    )


def sets(one: Problem) -> Iterator[np.ndarray]:
    """All sets of sites that the limits allow; all for LSCP, which has none."""
    new = np.flatnonzero(~one.existing)
    for count in range(len(new) + 1):
        for chosen in itertools.combinations(new, count):
            if one.model == "lscp" or (
                (one.number is None or count <= one.number)
                and (one.budget is None or one.cost[list(chosen)].sum() <= one.budget)
            ):
                open_ = one.existing.copy()
                open_[list(chosen)] = True
                yield open_


def best(one: Problem) -> float:
    """The best objective of any set, the demand covered as a negative number; infinite where there is none."""
    return min((value(one, open_) for open_ in sets(one)), default=np.inf)


def value(one: Problem, open_: np.ndarray) -> float:
    """The objective of one set, by where each person of each slot goes."""
    told = _flowing if np.isfinite(one.capacity).any() else _to_the_nearest
    if one.model == "p-center":
        radii = np.unique(one.distances)
        at = bisect.bisect_left(radii, True, key=lambda radius: np.isfinite(told(one, open_, radius)))
        return float(radii[at]) if at < len(radii) else np.inf
    found = told(one, open_, np.inf)
    if one.model == "lscp" and np.isfinite(found):
        counted = one.cost if one.number is None and one.budget is not None else np.ones(len(open_))
        return float(counted[open_ & ~one.existing].sum())
    return found


def _to_the_nearest(one: Problem, open_: np.ndarray, radius: float) -> float:
    """Without capacities. Infinite where somebody has to be served who cannot."""
    nearest = one.distances[:, open_].min(axis=1, initial=np.inf)[:, None]
    near = nearest <= (one.reach if one.model in {"lscp", "mclp"} else radius)
    weighted = one.demand * one.slot_weights
    if one.model == "mclp":
        return -float(weighted[near].sum())
    if (~near & (one.demand > 0)).any() or not open_.any():
        return np.inf
    return float((weighted * nearest).sum())


def _flowing(one: Problem, open_: np.ndarray, radius: float) -> float:
    groups = np.argwhere(one.demand > 0)
    pairs = [
        (at, point, slot, site)
        for at, (point, slot) in enumerate(groups)
        for site in np.flatnonzero(open_)
        if one.distances[point, site] <= (one.reach[slot] if one.model in {"lscp", "mclp"} else radius)
    ]
    if not pairs:
        return 0.0 if one.model == "mclp" else np.inf
    costs, all_of, full = np.zeros(len(pairs)), np.zeros((len(groups), len(pairs))), {}
    for at, (group, point, slot, site) in enumerate(pairs):
        people = one.demand[point, slot]
        if one.model == "mclp":
            costs[at] = -people * one.slot_weights[slot]
        elif one.model == "p-median":
            costs[at] = people * one.slot_weights[slot] * one.distances[point, site]
        all_of[group, at] = 1.0
        if np.isfinite(one.capacity[site]):
            full.setdefault((site, slot), np.zeros(len(pairs)))[at] = people
    rows, most = list(full.values()), [one.capacity[site] for site, _ in full]
    if one.model == "mclp":
        told = linprog(costs, np.array([*rows, *all_of]), [*most, *np.ones(len(groups))], bounds=(0, 1))
    else:
        told = linprog(
            costs, np.array(rows) if rows else None, most or None, all_of, np.ones(len(groups)), bounds=(0, 1)
        )
    return float(told.fun) if told.status == 0 else np.inf
