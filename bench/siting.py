"""Siting: four models on towns of growing size, against spopt on the same distances; the optima must agree."""

import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pulp

from bench.report import Report, arguments, run
from schemas.siting import Model
from serve.siting.models import solve
from serve.siting.problem import Floats, Problem

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from spopt.locate import LSCP, MCLP, PCenter, PMedian

SIZES = ((100, 50, 5), (200, 100, 8), (400, 200, 12), (800, 400, 16))
"""Points, candidate sites, sites to choose."""
TINY = ((40, 20, 3),)
MODELS: tuple[Model, ...] = ("lscp", "mclp", "p-median", "p-center")
ROUNDS = 2
LIMIT_S = 60.0
"""For one model, ours and theirs; theirs is not tried at larger sizes once it did not finish."""


@dataclass(frozen=True, slots=True, eq=False)
class Town:
    """A made-up town: metres (n × m) between uniform places in a square of 10 km, and 1 to 99 people at each point."""

    metres: Floats
    people: Floats
    sites: int

    @property
    def reach(self) -> float:
        """Metres within which each point has about 8 sites."""
        return float(10_000 * (8 / np.pi / self.metres.shape[1]) ** 0.5)


def town(points: int, sites: int, number: int) -> Town:
    """The town of a size, always the same."""
    chance = np.random.default_rng(points)
    one, other = chance.random((points, 2)) * 10_000, chance.random((sites, 2)) * 10_000
    apart = one[:, None, :] - other[None, :, :]
    return Town(np.hypot(apart[..., 0], apart[..., 1]), chance.integers(1, 100, points).astype(np.float64), number)


def posed(model: Model, given: Town) -> Problem:
    """Our problem."""
    sites = given.metres.shape[1]
    return Problem(
        model=model,
        distances=given.metres,
        demand=given.people[:, None],
        slot_weights=np.ones(1),
        reach=np.array([_reach(model, given)]),
        capacity=np.full(sites, np.inf),
        cost=np.ones(sites),
        existing=np.zeros(sites, dtype=bool),
        number=given.sites,
        time_limit_s=LIMIT_S,
    )


def _reach(model: Model, given: Town) -> float:
    """For LSCP at least so far that everybody can be reached."""
    return max(given.reach, float(given.metres.min(axis=1).max())) if model == "lscp" else given.reach


def ours(model: Model, given: Town) -> tuple[float | None, bool]:
    """Our optimum, and whether it is proven."""
    told = solve(posed(model, given))
    return told.objective, told.status == "optimal"


def theirs(model: Model, given: Town) -> tuple[float | None, bool]:
    """Spopt's: the model built and solved by CBC, which PuLP brings, to the same gap and on one thread."""
    build: dict[Model, Callable[[], Any]] = {
        "lscp": lambda: LSCP.from_cost_matrix(given.metres, _reach(model, given)),
        "mclp": lambda: MCLP.from_cost_matrix(given.metres, given.people, _reach(model, given), given.sites),
        "p-median": lambda: PMedian.from_cost_matrix(given.metres, given.people, given.sites),
        "p-center": lambda: PCenter.from_cost_matrix(given.metres, given.sites),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        built = build[model]()
        built.problem.solve(pulp.PULP_CBC_CMD(msg=False, timeLimit=LIMIT_S, gapRel=1e-6, threads=1))
    proven = built.problem.sol_status == pulp.LpSolutionOptimal
    value = pulp.value(built.problem.objective)
    return (None if value is None else float(value)), proven


def timed(call: Callable[[Model, Town], tuple[float | None, bool]], model: Model, given: Town) -> tuple[Any, float]:
    """What a call gave and the seconds it took."""
    began = time.perf_counter()
    told = call(model, given)
    return told, time.perf_counter() - began


def compare(report: Report, model: Model, given: Town, tried: bool) -> tuple[float | None, bool]:
    """Their time over ours, best of some rounds in turns, and whether theirs finished. Raises where optima differ."""
    name = f"{model.replace('-', '_')}_{given.metres.shape[0]}x{given.metres.shape[1]}"
    mine, other, found, peer = float("inf"), float("inf"), None, None
    for _ in range(ROUNDS):
        found, took = timed(ours, model, given)
        mine = min(mine, took)
        if tried and (peer is None or other < LIMIT_S / 4):  # a long one is not repeated
            peer, took = timed(theirs, model, given)
            other = min(other, took)
    assert found is not None  # noqa: S101
    report.add(f"{name}_ms", mine * 1e3, "ms" if found[1] else "ms, not proven")
    if peer is None:
        return None, False
    report.add(f"{name}_spopt_ms", other * 1e3, "ms" if peer[1] else f"ms, not proven in {LIMIT_S:.0f} s")
    if found[1] and peer[1]:
        np.testing.assert_allclose(found[0], peer[0], rtol=1e-5)
    return other / mine, peer[1]


async def measure(sizes: tuple[tuple[int, int, int], ...]) -> Report:
    """All models at all sizes."""
    report = Report("siting", goals={"over_spopt": "> 1"})
    ratios: dict[Model, list[float]] = {model: [] for model in MODELS}
    for model in MODELS:
        tried = True
        for size in sizes:
            ratio, tried = compare(report, model, town(*size), tried)
            ratios[model] += [] if ratio is None else [ratio]
    report.ratio("over_spopt", statistics.median(one for found in ratios.values() for one in found))
    for model, found in ratios.items():
        report.ratio(f"over_spopt_{model.replace('-', '_')}_largest", found[-1])
    report.notes.append(
        f"made-up towns, points x sites; best of {ROUNDS} rounds; spopt with the CBC of PuLP, one thread, building the "
        "model included in both; where spopt did not finish, its time is that limit and the ratio a lower one"
    )
    return report


if __name__ == "__main__":
    options = arguments("siting", __doc__ or "")
    given = options.parse_args()
    run(lambda: measure(TINY if given.quick else SIZES), given.json)
