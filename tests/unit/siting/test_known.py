"""The known optima of the OR-Library, and spopt where both solve the same model."""

import warnings
from pathlib import Path

import numpy as np
import orjson
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from serve.siting.models import solve
from tests.unit.siting.brute import problem

PMED = orjson.loads((Path(__file__).parents[2] / "golden/orlib/pmed.json").read_bytes())


def ways(name: str) -> np.ndarray:
    """The shortest ways between all nodes of a problem of the OR-Library."""
    given = PMED[name]
    edges = np.array(given["edges"].split(), dtype=int).reshape(-1, 3)
    costs = np.zeros((given["nodes"], given["nodes"]))
    for one, other, cost in edges:
        costs[one - 1, other - 1] = costs[other - 1, one - 1] = cost
    return dijkstra(csr_array(costs), directed=False)


@pytest.mark.parametrize("name", sorted(PMED))
def test_the_known_optima_of_the_or_library_are_met_and_proven(name: str) -> None:
    metres, p = ways(name), PMED[name]["p"]
    told = solve(problem("p-median", metres, p))
    assert (told.objective, told.status, len(told.chosen)) == (PMED[name]["median"], "optimal", p)
    assert metres[:, list(told.chosen)].min(axis=1).sum() == PMED[name]["median"]


@pytest.mark.parametrize("name", sorted(PMED))
def test_the_known_radii_of_the_p_center_problem_are_met_and_proven(name: str) -> None:
    metres, p = ways(name), PMED[name]["p"]
    told = solve(problem("p-center", metres, p))
    assert (told.objective, told.status) == (PMED[name]["center"], "optimal")
    assert len(told.chosen) <= p


@pytest.mark.parametrize("name", sorted(PMED))
def test_the_known_radius_is_reached_with_p_sites_and_no_less(name: str) -> None:
    """LSCP and p-center are two sides of one thing."""
    metres, p, radius = ways(name), PMED[name]["p"], PMED[name]["center"]
    enough = solve(problem("lscp", metres, reach=[radius]))
    short = solve(problem("lscp", metres, reach=[radius - 1]))
    assert (enough.status, short.status) == ("optimal", "optimal")
    assert enough.objective is not None
    assert short.objective is not None
    assert enough.objective <= p < short.objective


class Town:
    """Points and sites of a made-up town, some sites standing already."""

    def __init__(self, seed: int, n: int = 60, m: int = 25, standing: int = 0) -> None:
        chance = np.random.default_rng(seed)
        points, sites = chance.random((n, 2)) * 2000, chance.random((m, 2)) * 2000
        self.metres = np.hypot(*(points[:, None, :] - sites[None, :, :]).T).T
        self.weights = chance.integers(1, 40, n)
        self.existing = np.arange(m) < standing
        self.predefined = self.existing.astype(int) if standing else None


def by_spopt(model: object) -> float:
    pulp, solver = pytest.importorskip("pulp"), None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solver = pulp.PULP_CBC_CMD(msg=False)
        return float(pulp.value(model.solve(solver).problem.objective))


@pytest.fixture(scope="module")
def locate() -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("spopt.locate")


@pytest.mark.parametrize("standing", [0, 3])
@pytest.mark.parametrize("seed", [1, 2])
def test_lscp_is_what_spopt_finds(locate: object, seed: int, standing: int) -> None:
    town = Town(seed, standing=standing)
    theirs = by_spopt(locate.LSCP.from_cost_matrix(town.metres, 700, predefined_facilities_arr=town.predefined))
    ours = solve(problem("lscp", town.metres, reach=[700], existing=town.existing))
    assert ours.objective is not None
    assert ours.objective + standing == theirs  # spopt counts those that stand


@pytest.mark.parametrize("standing", [0, 3])
@pytest.mark.parametrize("seed", [1, 2])
def test_mclp_is_what_spopt_finds(locate: object, seed: int, standing: int) -> None:
    town = Town(seed, standing=standing)
    theirs = by_spopt(
        locate.MCLP.from_cost_matrix(
            town.metres, town.weights, 350, p_facilities=4 + standing, predefined_facilities_arr=town.predefined
        )
    )
    one = problem("mclp", town.metres, 4, reach=[350], demand=town.weights[:, None], existing=town.existing)
    assert solve(one).objective == pytest.approx(theirs)


@pytest.mark.parametrize("standing", [0, 3])
@pytest.mark.parametrize("seed", [1, 2])
def test_p_median_is_what_spopt_finds(locate: object, seed: int, standing: int) -> None:
    town = Town(seed, standing=standing)
    theirs = by_spopt(
        locate.PMedian.from_cost_matrix(
            town.metres, town.weights, p_facilities=4 + standing, predefined_facilities_arr=town.predefined
        )
    )
    one = problem("p-median", town.metres, 4, demand=town.weights[:, None], existing=town.existing)
    assert solve(one).objective == pytest.approx(theirs)


@pytest.mark.parametrize("standing", [0, 3])
@pytest.mark.parametrize("seed", [1, 2])
def test_p_center_is_what_spopt_finds(locate: object, seed: int, standing: int) -> None:
    town = Town(seed, n=40, m=15, standing=standing)
    theirs = by_spopt(
        locate.PCenter.from_cost_matrix(
            town.metres, p_facilities=3 + standing, predefined_facilities_arr=town.predefined
        )
    )
    assert solve(problem("p-center", town.metres, 3, existing=town.existing)).objective == pytest.approx(theirs)


@pytest.mark.parametrize("seed", [1, 2])
def test_lscp_with_capacities_is_what_spopt_finds(locate: object, seed: int) -> None:
    town = Town(seed)
    room = np.full(25, 180)
    theirs = by_spopt(
        locate.LSCP.from_cost_matrix(town.metres, 900, demand_quantity_arr=town.weights, facility_capacity_arr=room)
    )
    ours = solve(problem("lscp", town.metres, reach=[900], demand=town.weights[:, None], capacity=room))
    assert (ours.objective, ours.status) == (theirs, "optimal")
    assert theirs > solve(problem("lscp", town.metres, reach=[900])).objective


@pytest.mark.parametrize("seed", [1, 2])
def test_p_median_with_capacities_is_no_worse_than_spopts_which_divides_no_point(locate: object, seed: int) -> None:
    town = Town(seed)
    room = np.full(25, town.weights.sum() * 1.05 // 5)
    theirs = by_spopt(
        locate.PMedian.from_cost_matrix(town.metres, town.weights, p_facilities=5, facility_capacities=room)
    )
    ours = solve(problem("p-median", town.metres, 5, demand=town.weights[:, None], capacity=room))
    assert ours.status == "optimal"
    assert ours.objective is not None
    assert 0.95 * theirs < ours.objective <= theirs + 1e-6
    assert ours.objective > solve(problem("p-median", town.metres, 5, demand=town.weights[:, None])).objective
