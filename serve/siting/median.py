"""p-median and MCLP: the least cost of serving each point from its cheapest open site, or from none.

MCLP is the p-median problem whose costs are the demand that a site does not cover (Church and ReVelle 1976).
Interchange gives a set, Lagrange a bound and what is left to decide; the rest is a program with binary sites and
continuous assignments, which are integral by themselves.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from serve.siting.interchange import Choice
from serve.siting.lagrange import Bounded, bounded
from serve.siting.problem import Deadline, Floats, Found, Problem
from serve.siting.program import Program

MOST_PAIRS = 300_000
"""Pairs of a point and a site left to decide up to which a program is solved; beyond, the set stays a heuristic one."""


def median(problem: Problem, deadline: Deadline) -> Found:
    """The least metres times demand, without capacities."""
    costs = problem.distances * problem.weights[:, None]
    return chosen(choice(problem, costs, 2 * costs.max(axis=1) + 1.0), deadline)


def coverage(problem: Problem, deadline: Deadline) -> Found:
    """The most demand within reach, by slots, without capacities."""
    weighted = problem.demand * problem.slot_weights
    missed, whole = np.zeros_like(problem.distances), float(problem.weights.sum())
    for slot, reach in enumerate(problem.reach):
        missed += weighted[:, slot, None] * (problem.distances > reach)
    found = chosen(replace(choice(problem, missed, problem.weights), whole=whole), deadline)
    return replace(found, objective=whole - found.objective, bound=whole - found.bound)


def choice(problem: Problem, costs: Floats, unserved: Floats) -> Choice:
    """The limits of a problem with costs of one's own."""
    number = np.inf if problem.number is None else problem.number
    budget = np.inf if problem.budget is None else problem.budget
    return Choice(costs, unserved, problem.existing, np.where(problem.existing, 0.0, problem.cost), number, budget)


def chosen(choice: Choice, deadline: Deadline) -> Found:
    """The cheapest allowed set, with a bound on the cost of any."""
    if choice.existing.all() or choice.number == 0:
        cost = choice.total(choice.existing)
        return Found(choice.existing, cost, cost)
    known = bounded(choice, deadline)
    if known.closed or not deadline.left():
        return Found(known.best, known.cost, known.bound)
    if len(known.points) > MOST_PAIRS:
        return Found(known.best, known.cost, known.bound, large=True)
    return _decided(choice, known, deadline)


def _decided(choice: Choice, known: Bounded, deadline: Deadline) -> Found:
    """What is left, in Elloumi's form (2010): a variable says that no open site is as near as a level of cost.

    Equal costs of a point share a variable; the relaxation is as tight as with one variable a pair.
    """
    program, m = Program(), len(known.out)
    sites = program.add(np.zeros(m), integral=True, lower=known.inside.astype(np.float64), upper=1.0)
    levels = _levels(choice, known)
    farther = program.add(levels.rise, upper=1.0)
    # farther[k] + sites of level k >= farther[k - 1], which is 1 below the first level of a point
    rows = np.arange(len(farther))
    later = rows[~levels.first]
    program.require(
        np.concatenate([rows, levels.of_pair, later]),
        np.concatenate([farther, sites[levels.site], farther[later - 1]]),
        np.concatenate([np.ones(len(rows) + len(levels.site)), -np.ones(len(later))]),
        levels.first.astype(np.float64),
        np.full(len(rows), np.inf),
    )
    never = np.flatnonzero(levels.last & ~known.spare[levels.point])
    program.at_most(farther[never], np.ones(len(never)), 0.0)
    shut, new = np.flatnonzero(known.out), np.flatnonzero(~choice.existing)
    program.at_most(sites[shut], np.ones(len(shut)), 0.0)
    if np.isfinite(choice.number):
        program.at_most(sites[new], np.ones(len(new)), choice.number)
    if np.isfinite(choice.budget):
        program.at_most(sites[new], choice.prices[new], choice.budget)
    told = program.solve(deadline.left(), (sites, known.best.astype(np.float64)), choice.slack(known.cost) / 2)
    # Without a solution no set among what was left is better than the one known.
    bound = known.cost if told.status == "infeasible" else max(known.bound, min(told.bound + levels.base, known.cost))
    open_ = known.best if told.x is None else (told.x[sites] > 0.5) | choice.existing
    cost = choice.total(open_)
    return Found(open_, cost, bound) if cost < known.cost else Found(known.best, known.cost, bound)


@dataclass(frozen=True, slots=True, eq=False)
class _Levels:
    """The distinct costs of each point, in order of points and costs; `rise` is what being farther adds.

    `of_pair` and `site` list which sites are of which level; `base` is the sum of the least costs.
    """

    point: NDArray[np.intp]
    rise: Floats
    first: NDArray[np.bool_]
    last: NDArray[np.bool_]
    of_pair: NDArray[np.intp]
    site: NDArray[np.intp]
    base: float


def _levels(choice: Choice, known: Bounded) -> _Levels:
    cost = choice.costs[known.points, known.sites]
    order = np.lexsort((cost, known.points))
    point, cost, site = known.points[order], cost[order], known.sites[order]
    fresh = np.ones(len(cost), dtype=bool)
    fresh[1:] = (point[1:] != point[:-1]) | (cost[1:] != cost[:-1])
    level = np.flatnonzero(fresh)
    points, costs = point[level], cost[level]
    first = np.ones(len(level), dtype=bool)
    first[1:] = points[1:] != points[:-1]
    last = np.append(first[1:], True)
    following = np.where(last, choice.unserved[points], np.append(costs[1:], 0.0))
    nowhere = np.setdiff1d(np.arange(len(choice.unserved)), points)
    base = float(costs[first].sum() + choice.unserved[nowhere].sum())
    return _Levels(points, following - costs, first, last, np.cumsum(fresh) - 1, site, base)
