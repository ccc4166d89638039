"""LSCP and p-center without capacities: the fewest sites that reach everybody, and the least reach that p sites need.

p-center is a bisection over the distinct distances, each step a set covering problem (Minieka 1970).
"""

import numpy as np

from serve.siting.problem import Deadline, Flags, Floats, Found, Problem
from serve.siting.program import Program

MOST_ENTRIES = 3_000_000
"""Pairs of a point and a site within reach up to which covering is solved exactly; beyond, a heuristic does it."""


def prices(problem: Problem) -> Floats:
    """What LSCP minimises: the number of new sites, or their cost where only a budget was given (m)."""
    counted = problem.cost if problem.number is None and problem.budget is not None else np.ones(len(problem.cost))
    return np.where(problem.existing, 0.0, counted)


def lscp(problem: Problem, deadline: Deadline) -> Found:
    """The fewest, or cheapest, new sites so that each point where somebody is has one within its reach."""
    near = (problem.distances <= problem.furthest[:, None])[problem.present]
    return cover(near, problem.existing, prices(problem), deadline)


def cover(near: Flags, existing: Flags, price: Floats, deadline: Deadline) -> Found:
    """The cheapest sites (columns) that cover all rows of `near`, existing ones for nothing."""
    rows = near[~near[:, existing].any(axis=1)]
    if not rows.any(axis=1).all():
        return Found(None, proven=True)
    rows = _distinct(rows)
    known = _greedy(rows, price) | existing
    cost, bound = float(price[known].sum()), _packed(rows, price)
    if bound >= cost or not len(rows):
        return Found(known, cost, cost)
    entries = int(rows.sum())
    if entries > MOST_ENTRIES or not deadline.left():
        return Found(known, cost, bound, large=entries > MOST_ENTRIES)
    program = Program()
    sites = program.add(price, integral=True, upper=1.0)
    row, column = np.nonzero(rows)
    program.require(row, sites[column], np.ones(len(row)), np.ones(len(rows)), np.full(len(rows), np.inf))
    told = program.solve(deadline.left(), (sites, known.astype(np.float64)))
    bound = max(bound, min(told.bound, cost))
    open_ = known if told.x is None else (told.x > 0.5) | existing
    found = float(price[open_].sum())
    return Found(open_, found, min(bound, found)) if found < cost else Found(known, cost, bound)


def center(problem: Problem, deadline: Deadline) -> Found:
    """The least distance within which at most `number` new sites, for at most `budget`, have everybody."""
    metres = problem.distances[problem.present]
    best, large = _farthest_first(problem, metres), False
    if not best.any():
        return Found(None, proven=True)
    if not len(metres):
        return Found(best, 0.0, 0.0)
    if problem.settled:
        return Found(best, _radius(metres, best), _radius(metres, best))
    radii = np.unique(metres)
    # No radius below `sure` is enough, that at `high` is; those below `low` were tried.
    sure = low = int(np.searchsorted(radii, metres.min(axis=1).max()))
    high = int(np.searchsorted(radii, _radius(metres, best)))
    while low < high and deadline.left():
        middle = (low + high) // 2
        told = _within(problem, metres <= radii[middle], deadline)
        large |= told.large
        if told.open is not None:
            best, high = told.open, int(np.searchsorted(radii, _radius(metres, told.open)))
        else:
            low = middle + 1
            sure = low if told.proven else sure
    return Found(best, _radius(metres, best), float(radii[min(sure, high)]), large=large)


def _within(problem: Problem, near: Flags, deadline: Deadline) -> Found:
    """Some allowed set that covers all rows of `near`, or whether there is none."""
    existing, ones = problem.existing, np.where(problem.existing, 0.0, 1.0)
    number = np.inf if problem.number is None else problem.number
    budget = np.inf if problem.budget is None else problem.budget
    rows = near[~near[:, existing].any(axis=1)]
    cost = np.where(existing, 0.0, problem.cost)
    for price in (ones, cost):
        known = _greedy(rows, price) | existing
        if ones[known].sum() <= number and cost[known].sum() <= budget:
            return Found(known)
    if not rows.any(axis=1).all() or _packed(rows, ones) > number or _packed(rows, cost) > budget:
        return Found(None, proven=True)
    if int(rows.sum()) > MOST_ENTRIES:
        return Found(None, large=True)
    rows = _distinct(rows)
    program = Program()
    sites = program.add(np.zeros(len(existing)), integral=True, upper=1.0)
    row, column = np.nonzero(rows)
    program.require(row, sites[column], np.ones(len(row)), np.ones(len(rows)), np.full(len(rows), np.inf))
    for price, most in ((ones, number), (cost, budget)):
        if np.isfinite(most):
            program.at_most(sites, price, most)
    told = program.solve(deadline.left())
    return Found(None if told.x is None else (told.x > 0.5) | existing, proven=told.status == "infeasible")


def _distinct(rows: Flags) -> Flags:
    """Each row once: points with the same sites within reach are one."""
    packed = np.unique(np.packbits(rows, axis=1), axis=0)
    return np.unpackbits(packed, axis=1, count=rows.shape[1]).astype(bool)


def _greedy(rows: Flags, price: Floats) -> Flags:
    """A cover of the rows that can be covered: again and again the site with the most new rows for its price."""
    open_, left = np.zeros(rows.shape[1], dtype=bool), rows.any(axis=1)
    while left.any():
        site = int((rows[left].sum(axis=0) / np.maximum(price, 1e-9)).argmax())
        open_[site] = True
        left &= ~rows[:, site]
    return open_


def _packed(rows: Flags, price: Floats) -> float:
    """What covering the rows costs at least: rows that share no site, each at its cheapest site."""
    total, free = 0.0, np.ones(len(rows), dtype=bool)
    sites = rows.sum(axis=1)
    cheapest = np.where(rows, price, np.inf).min(axis=1, initial=np.inf)
    while free.any():
        row = int(np.where(free, sites, rows.shape[1] + 1).argmin())
        total += float(cheapest[row])
        free &= ~(rows & rows[row]).any(axis=1)
    return total


def _radius(metres: Floats, open_: Flags) -> float:
    return float(metres[:, open_].min(axis=1).max())


def _farthest_first(problem: Problem, metres: Floats) -> Flags:
    """An allowed set, at worst twice too far where sites are the points (Gonzalez 1985): empty if none may open."""
    open_, left = problem.existing.copy(), np.inf if problem.budget is None else problem.budget
    most = len(open_) if problem.number is None else problem.number
    for _ in range(most):
        fits = ~open_ & (problem.cost <= left)
        if not fits.any():
            break
        if open_.any():
            now = metres[:, open_].min(axis=1)
            point = int(now.argmax()) if len(now) else 0
            far = np.where(fits, metres[point], np.inf) if len(now) else np.where(fits, 0.0, np.inf)
            if len(now) and far.min() >= now[point]:
                break
        else:
            far = np.where(fits, metres.max(axis=0, initial=0.0), np.inf)
        site = int(far.argmin())
        open_[site] = True
        left -= problem.cost[site]
    return open_
