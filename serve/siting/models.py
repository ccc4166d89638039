"""From a problem to its solution: the one call that a process of its own makes."""

from collections.abc import Callable

import numpy as np

from schemas.siting import Model
from serve.siting import covering, flows, median
from serve.siting.problem import GAP, Deadline, Flags, Floats, Flows, Found, Problem, Solution, Status
from serve.siting.reasons import impossible, said

_FREE: dict[Model, Callable[[Problem, Deadline], Found]] = {
    "lscp": covering.lscp,
    "mclp": median.coverage,
    "p-median": median.median,
    "p-center": covering.center,
}


def solve(problem: Problem) -> Solution:
    """The best sites for a model, proven so where size and time allow.

    `optimal`: no other set is better by more than a millionth. `time-limit`: the best that was found in the time.
    `heuristic`: the problem is beyond what is solved exactly (`median.MOST_PAIRS`, `covering.MOST_ENTRIES`,
    `flows.MOST_FLOWS`). Both say how far from the optimum they can be at most. `infeasible`: there is no such set, and
    the reason says what to change. Takes about the time limit at most, HiGHS may run over it by a fifth;
    memory for a few copies of the distances.
    """
    deadline = Deadline(problem.time_limit_s)
    reason = impossible(problem)
    found = Found(None, proven=True) if reason else _found(problem, deadline)
    status = _status(found)
    open_ = problem.existing if found.open is None else found.open
    told = found.flows if found.open is not None and found.flows else _nearest(problem, open_)
    chosen = () if found.open is None else tuple(int(site) for site in np.flatnonzero(open_ & ~problem.existing))
    objective, bound = (None, None) if found.open is None else (_plain(found.objective), _plain(found.bound))
    gap = None if objective is None or bound is None else _gap(objective, bound)
    korean, english = reason or said(problem, status, gap, None if found.open is None else len(chosen))
    return Solution(
        model=problem.model,
        status=status,
        reason_ko=korean,
        reason_en=english,
        chosen=chosen,
        objective=objective,
        bound=bound,
        gap=gap,
        seconds=deadline.passed(),
        assigned=told.assigned,
        served=told.served,
        uncovered=np.maximum(problem.demand - told.served, 0.0),
        before=_metres(problem, problem.existing),
        after=_metres(problem, open_),
    )


def _found(problem: Problem, deadline: Deadline) -> Found:
    return flows.solve(problem, deadline) if problem.capacitated else _FREE[problem.model](problem, deadline)


def _status(found: Found) -> Status:
    if found.open is None:
        return "infeasible" if found.proven else "heuristic" if found.large else "time-limit"
    if _gap(found.objective, found.bound) <= GAP:
        return "optimal"
    return "heuristic" if found.large else "time-limit"


def _gap(objective: float, bound: float) -> float:
    return abs(objective - bound) / max(abs(objective), abs(bound), 1e-9)


def _plain(value: float) -> float | None:
    return float(value) + 0.0 if np.isfinite(value) else None


def _metres(problem: Problem, open_: Flags) -> Floats:
    nearest: Floats = problem.distances[:, open_].min(axis=1, initial=np.inf)
    return nearest


def _nearest(problem: Problem, open_: Flags) -> Flows:
    """Everybody goes to the nearest open site, as far as the slot's reach where the model has one."""
    n, m = problem.distances.shape
    assigned = np.zeros((m, problem.demand.shape[1]))
    if not open_.any() or not n:
        return Flows(assigned, np.zeros_like(problem.demand))
    site = np.where(open_, problem.distances, np.inf).argmin(axis=1)
    metres = problem.distances[np.arange(n), site]
    near = metres[:, None] <= problem.reach if problem.model in {"lscp", "mclp"} else np.ones_like(problem.demand) > 0
    served = np.where(near, problem.demand, 0.0)
    np.add.at(assigned, site, served)
    return Flows(assigned, served)
