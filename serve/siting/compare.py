"""Each set of sites under every objective, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from schemas.siting import Model
from serve.siting.models import solve
from serve.siting.problem import Flags, Problem, Solution

SECONDS = 10.0
"""Longest time that one set is measured by one objective; without capacities it takes none."""


@dataclass(frozen=True, slots=True)
class Measures:
    """A set of sites by all objectives. `of` is the model that chose it, or `now` for the existing sites alone.

    `sites` and `cost` are those of the new sites. `covered` is the demand within reach (weighted by slot, as all here)
    and `share` its share of all, None without a reach. `mean_m` and `farthest_m` are the mean and longest way, None
    where there is no site, or where capacities leave somebody without one. `everybody` says whether all have a site
    within reach. Capacities hold: people are sent where each objective by itself is best. What is not proven within
    `SECONDS` is None, too.
    """

    of: Model | Literal["now"]
    sites: int
    cost: float
    covered: float | None
    share: float | None
    mean_m: float | None
    farthest_m: float | None
    everybody: bool | None


def compared(problems: Sequence[Problem], solutions: Sequence[Solution]) -> list[Measures]:
    """The existing sites, if any, then the set of each solution that has one. Problems are of one request."""
    first = problems[0]
    found = [measured(first, first.existing, "now")] if first.existing.any() else []
    for solution in solutions:
        if solution.objective is not None:
            open_ = first.existing.copy()
            open_[list(solution.chosen)] = True
            found.append(measured(first, open_, solution.model))
    return found


def measured(problem: Problem, open_: Flags, of: Model | Literal["now"]) -> Measures:
    """One set by all objectives."""
    new = open_ & ~problem.existing
    reach = bool(np.isfinite(problem.reach).all())
    total = float(problem.weights.sum())
    covered = _of(problem, open_, "mclp").objective if reach else None
    metres = _of(problem, open_, "p-median").objective
    settled = _of(problem, open_, "lscp").status if reach else None
    return Measures(
        of=of,
        sites=int(new.sum()),
        cost=float(problem.cost[new].sum()),
        covered=covered,
        share=covered / total if covered is not None and total else None,
        mean_m=metres / total if metres is not None and total else None,
        farthest_m=_of(problem, open_, "p-center").objective,
        everybody={"optimal": True, "infeasible": False}.get(settled or ""),
    )


def _of(problem: Problem, open_: Flags, model: Model) -> Solution:
    """What a model says when these sites stand and no other can be added; no objective where it is not proven."""
    settled = replace(
        problem,
        model=model,
        distances=problem.distances[:, open_],
        capacity=problem.capacity[open_],
        cost=problem.cost[open_],
        existing=np.ones(int(open_.sum()), dtype=bool),
        number=0,
        budget=None,
        time_limit_s=min(problem.time_limit_s, SECONDS),
    )
    found = solve(settled)
    return found if found.status == "optimal" else replace(found, objective=None)
