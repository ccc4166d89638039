"""All four models with capacities: which sites, and who goes where so that no site is full in any slot.

People of a point may go to several sites, and are sent where the whole is best, not each to the nearest site
(system-optimal assignment; Church and Murray 2018, chapter 7, set it against the other).
"""

from dataclasses import dataclass, replace

import numpy as np

from serve.siting import covering, median
from serve.siting.problem import Deadline, Flags, Floats, Flows, Found, Ints, Problem
from serve.siting.program import Program

MOST_FLOWS = 300_000
"""Pairs of a site and a point in a slot up to which sites are chosen exactly. Beyond, they are chosen as if no site
were ever full, and only who goes where is exact."""


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Who may go where: point, slot and site of each pair, and the people of that point in that slot."""

    point: Ints
    slot: Ints
    site: Ints
    people: Floats

    def to(self, open_: Flags) -> "_Pairs":
        """Those that lead to an open site."""
        kept = open_[self.site]
        return _Pairs(self.point[kept], self.slot[kept], self.site[kept], self.people[kept])


def solve(problem: Problem, deadline: Deadline) -> Found:
    """The best sites and who goes where, for any model."""
    if problem.model == "p-center":
        return _center(problem, deadline)
    if problem.model == "mclp":
        return _negated(_solved(problem, problem.reach, _negated(median.coverage(problem, _part(deadline))), deadline))
    if problem.model == "lscp":
        return _solved(problem, problem.reach, covering.lscp(problem, _part(deadline)), deadline)
    return _solved(problem, np.full_like(problem.reach, np.inf), median.median(problem, _part(deadline)), deadline)


def _part(deadline: Deadline) -> Deadline:
    """What the same problem without capacities may take: it bounds this one, and its sites are tried first."""
    return Deadline(deadline.left() / 4)


def _negated(found: Found) -> Found:
    return replace(found, objective=-found.objective, bound=-found.bound)


def _solved(problem: Problem, reach: Floats, start: Found, deadline: Deadline) -> Found:
    if start.open is None:
        return start
    pairs = _pairs(problem, reach)
    known = _tried(problem, start.open, pairs, deadline)
    large = len(pairs.point) > MOST_FLOWS
    if large or not deadline.left():
        return replace(known, bound=start.bound, large=large)
    program, sites, _ = _program(problem, pairs, None)
    told = program.solve(deadline.left(), None if known.open is None else (sites, known.open.astype(np.float64)))
    if told.x is not None:
        known = min(known, _sent(problem, told.x[sites] > 0.5, pairs, deadline), key=lambda one: one.objective)
    if known.open is None:
        return Found(None, bound=max(start.bound, told.bound), proven=told.status == "infeasible")
    return replace(known, bound=min(max(start.bound, told.bound), known.objective))


def _tried(problem: Problem, open_: Flags, pairs: _Pairs, deadline: Deadline) -> Found:
    """The better of two sets: the one given, and with all that may be added, the roomiest first."""
    tried = [_sent(problem, one, pairs, deadline) for one in (open_, _filled(problem, open_))]
    return min(tried, key=lambda one: one.objective)


def _center(problem: Problem, deadline: Deadline) -> Found:
    """A bisection over the distances, from what is needed without capacities."""
    start = covering.center(problem, Deadline(deadline.left() / 4))
    if start.open is None:
        return start
    radii = np.unique(problem.distances[problem.present])
    radii = radii[radii >= start.bound]
    best, large, sure, low, high = Found(None), False, 0, 0, len(radii)
    while low < high and deadline.left():
        # The least is often enough, so it is asked first.
        middle = 0 if low == 0 else (low + high) // 2
        told = _fitting(problem, start.open, radii[middle], deadline)
        large |= told.large
        if told.open is not None:
            best, high = told, middle
        else:
            low = middle + 1
            sure = low if told.proven else sure
    bound = float(radii[min(sure, len(radii) - 1)])
    if best.open is None:
        return Found(None, bound=bound, large=large, proven=sure == len(radii))
    return replace(best, objective=float(radii[high]), bound=min(bound, float(radii[high])), large=large)


def _fitting(problem: Problem, start: Flags, radius: float, deadline: Deadline) -> Found:
    """Some sites to which all can go within a radius, if it can be done."""
    pairs = _pairs(problem, np.full_like(problem.reach, radius))
    known = _tried(problem, start, pairs, deadline)
    if known.open is not None or len(pairs.point) > MOST_FLOWS:
        return replace(known, large=known.open is None)
    program, sites, _ = _program(problem, pairs, None)
    told = program.solve(deadline.left())
    if told.x is None:
        return Found(None, proven=told.status == "infeasible")
    return _sent(problem, told.x[sites] > 0.5, pairs, deadline)


def _pairs(problem: Problem, reach: Floats) -> _Pairs:
    there = problem.demand > 0
    parts = [np.nonzero((problem.distances <= reach[slot]) & there[:, slot, None]) for slot in range(len(reach))]
    point, site = (np.concatenate([part[at] for part in parts]) for at in (0, 1))
    slot = np.repeat(np.arange(len(reach)), [len(part[0]) for part in parts])
    return _Pairs(point, slot, site, problem.demand[point, slot])


def _sent(problem: Problem, open_: Flags, pairs: _Pairs, deadline: Deadline) -> Found:
    """Who goes where when just these sites stand open; nothing where it cannot be done."""
    pairs = pairs.to(open_)
    program, _, flows = _program(problem, pairs, open_)
    told = program.solve(deadline.left())
    if told.x is None:
        return Found(None)
    people = told.x[flows] * pairs.people
    (n, slots), m = problem.demand.shape, len(open_)
    assigned, served = np.zeros((m, slots)), np.zeros((n, slots))
    np.add.at(assigned, (pairs.site, pairs.slot), people)
    np.add.at(served, (pairs.point, pairs.slot), people)
    return Found(open_ | problem.existing, told.objective, flows=Flows(assigned, served))


def _filled(problem: Problem, open_: Flags) -> Flags:
    """With the roomiest other sites, as long as number and budget last; with all of them for LSCP."""
    if problem.model == "lscp":
        return np.ones_like(open_)
    new = open_ & ~problem.existing
    number = len(open_) if problem.number is None else problem.number - int(new.sum())
    left = np.inf if problem.budget is None else problem.budget - problem.cost[new].sum()
    filled = open_.copy()
    for site in np.argsort(-problem.capacity, kind="stable"):
        if number > 0 and not filled[site] and problem.cost[site] <= left:
            filled[site], number, left = True, number - 1, left - problem.cost[site]
    return filled


def _program(problem: Problem, pairs: _Pairs, open_: Flags | None) -> tuple[Program, Ints, Ints]:
    """The program for these open sites, or for any allowed ones, and its columns: of sites, and of shares that go."""
    program, m, slots = Program(), len(problem.existing), problem.demand.shape[1]
    prices = covering.prices(problem) if problem.model == "lscp" else np.zeros(m)
    if open_ is None:
        sites = program.add(prices, integral=True, lower=problem.existing.astype(np.float64), upper=1.0)
    else:
        fixed = open_.astype(np.float64)
        sites = program.add(prices, lower=fixed, upper=fixed)
    flows = program.add(_costs(problem, pairs), upper=1.0)
    # All of the people of a point in a slot are served, or for MCLP no more than all.
    whose, row = np.unique(pairs.point * slots + pairs.slot, return_inverse=True)
    least = 0.0 if problem.model == "mclp" else 1.0
    everyone = np.flatnonzero(problem.demand.ravel() > 0)
    row = np.searchsorted(everyone, whose)[row]
    program.require(row, flows, np.ones(len(flows)), np.full(len(everyone), least), np.ones(len(everyone)))
    _room(program, problem, pairs, sites, flows)
    if open_ is not None:
        return program, sites, flows
    program.below(flows, sites[pairs.site])
    new = np.flatnonzero(~problem.existing)
    if problem.model != "lscp" and problem.number is not None:
        program.at_most(sites[new], np.ones(len(new)), problem.number)
    if problem.model != "lscp" and problem.budget is not None:
        program.at_most(sites[new], problem.cost[new], problem.budget)
    return program, sites, flows


def _room(program: Program, problem: Problem, pairs: _Pairs, sites: Ints, flows: Ints) -> None:
    """No site gets more people in a slot than it takes, and none where it is not open."""
    slots = problem.demand.shape[1]
    bounded = np.flatnonzero(np.isfinite(problem.capacity[pairs.site]))
    which, row = np.unique(pairs.site[bounded] * slots + pairs.slot[bounded], return_inverse=True)
    site = which // slots
    program.require(
        np.concatenate([row, np.arange(len(which))]),
        np.concatenate([flows[bounded], sites[site]]),
        np.concatenate([pairs.people[bounded], -problem.capacity[site]]),
        np.full(len(which), -np.inf),
        np.zeros(len(which)),
    )


def _costs(problem: Problem, pairs: _Pairs) -> Floats:
    weighted = pairs.people * problem.slot_weights[pairs.slot]
    match problem.model:
        case "mclp":
            return -weighted
        case "p-median":
            return weighted * problem.distances[pairs.point, pairs.site]
        case _:
            return np.zeros_like(weighted)
