"""Each model against every set of sites tried, and what a solution says of itself."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import InvalidError
from schemas.siting import Model
from serve.siting import covering, flows, median
from serve.siting.models import solve
from serve.siting.problem import Problem, Solution
from tests.unit.siting.brute import best, problem, value

MODELS: tuple[Model, ...] = ("lscp", "mclp", "p-median", "p-center")


@st.composite
def problems(draw: st.DrawFn, model: Model, *, full: bool) -> Problem:
    n, m, slots = draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(st.integers(1, 3))

    def table(rows: int, columns: int, most: int) -> np.ndarray:
        cells = st.lists(st.integers(0, most), min_size=rows * columns, max_size=rows * columns)
        return np.array(draw(cells), dtype=np.float64).reshape(rows, columns)

    number = draw(st.none() | st.integers(0, m))
    budget = draw(st.integers(0, 9)) if number is None and model != "lscp" else draw(st.none() | st.integers(0, 9))
    return problem(
        model,
        table(n, m, 20) * 10,
        number,
        budget=None if budget is None else float(budget),
        demand=table(n, slots, 5),
        slot_weights=table(1, slots, 3)[0],
        reach=30.0 + table(1, slots, 16)[0] * 10,
        capacity=np.where(table(1, m, 4)[0] > 0, table(1, m, 14)[0] + 1, np.inf) if full else np.full(m, np.inf),
        cost=table(1, m, 4)[0],
        existing=table(1, m, 3)[0] == 0,
    )


def agrees(one: Problem) -> None:
    told = solve(one)
    if not one.demand.any():
        assert told.status == "infeasible"
        return
    wanted = best(one)
    if np.isinf(wanted):
        assert (told.status, told.objective, told.chosen) == ("infeasible", None, ())
        return
    assert told.objective is not None
    sign = -1 if one.model == "mclp" else 1
    assert (told.status, sign * told.objective) == ("optimal", pytest.approx(wanted, abs=1e-6))
    assert value(one, opened(one, told)) == pytest.approx(wanted, abs=1e-6), (
        "the sites that it names give another value"
    )
    holds(one, told)


def opened(one: Problem, told: Solution) -> np.ndarray:
    open_ = one.existing.copy()
    open_[list(told.chosen)] = True
    return open_


def holds(one: Problem, told: Solution) -> None:
    """Who goes where adds up, and no site is over its capacity in any slot."""
    open_ = opened(one, told)
    assert (told.assigned <= one.capacity[:, None] + 1e-6).all()
    assert not told.assigned[~open_].any()
    np.testing.assert_allclose(told.assigned.sum(axis=0), told.served.sum(axis=0), atol=1e-6)
    np.testing.assert_allclose(told.served + told.uncovered, one.demand, atol=1e-6)
    if one.model != "mclp":
        assert told.uncovered.sum() == pytest.approx(0, abs=1e-6)
    else:
        assert told.objective == pytest.approx(float((told.served @ one.slot_weights).sum()), abs=1e-6)
    np.testing.assert_array_equal(told.after, one.distances[:, open_].min(axis=1, initial=np.inf))


@pytest.mark.parametrize("full", [False, True], ids=["unbounded", "capacitated"])
@pytest.mark.parametrize("model", MODELS)
def test_no_set_of_sites_is_better(model: Model, full: bool) -> None:
    @settings(max_examples=40)
    @given(problems(model, full=full))
    def tried(one: Problem) -> None:
        agrees(one)

    tried()


@pytest.mark.parametrize("model", MODELS)
def test_larger_problems_that_need_branching_agree_too(model: Model) -> None:
    chance = np.random.default_rng(7)
    for _ in range(4):
        demand = chance.integers(1, 9, (14, 2)).astype(float)
        costs = chance.integers(1, 5, 11).astype(float)
        metres = chance.integers(1, 60, (14, 11)).astype(float)
        agrees(problem(model, metres, 3, demand=demand, reach=[15.0, 25.0], existing=np.arange(11) == 4))
        agrees(problem(model, metres, None, budget=7.0, cost=costs, demand=demand, reach=[30.0, 40.0]))


def test_capacity_holds_in_each_slot_by_itself() -> None:
    both = problem("mclp", [[10], [10]], 1, demand=[[8, 0], [0, 8]], reach=[50, 50], capacity=[8])
    assert solve(both).objective == 16
    same = problem("mclp", [[10], [10]], 1, demand=[[8, 0], [8, 0]], reach=[50, 50], capacity=[8])
    assert solve(same).objective == 8
    assert solve(same).uncovered.sum() == 8


def test_a_slot_that_weighs_more_draws_the_site_to_its_people() -> None:
    metres, demand = [[0, 100], [100, 0]], [[10, 0], [0, 8]]
    assert solve(problem("p-median", metres, 1, demand=demand, slot_weights=[1, 1])).chosen == (0,)
    assert solve(problem("p-median", metres, 1, demand=demand, slot_weights=[1, 2])).chosen == (1,)


def test_a_shorter_reach_at_night_covers_fewer_people() -> None:
    one = problem("mclp", [[300]], 1, demand=[[5, 7]], reach=[400, 200])
    told = solve(one)
    assert (told.objective, told.uncovered.tolist()) == (5, [[0, 7]])


def test_it_says_when_fewer_sites_are_enough_and_when_more_are_needed() -> None:
    metres = [[0, 90, 90], [90, 0, 90], [900, 900, 500]]
    assert "1 of the 2 asked for are enough" in solve(problem("p-center", metres, 2)).reason_en
    assert (
        "3 new sites are needed, more than the 2"
        in solve(problem("lscp", [[0, 90, 90], [90, 0, 90], [90, 90, 0]], 2, reach=[50])).reason_en
    )


def test_existing_sites_serve_and_do_not_count() -> None:
    metres = [[0, 90, 90], [90, 0, 90], [90, 90, 0]]
    told = solve(problem("lscp", metres, 1, reach=[50], existing=[1, 0, 0]))
    assert (told.objective, told.chosen) == (2, (1, 2))
    assert told.before.tolist() == [0, 90, 90]
    assert told.after.tolist() == [0, 0, 0]


def test_points_out_of_reach_are_infeasible_and_the_reason_says_how_far() -> None:
    told = solve(problem("lscp", [[100], [432.5]], reach=[200]))
    assert told.status == "infeasible"
    assert "raise the reach to 433 m" in told.reason_en
    assert "433 m" in told.reason_ko


def test_too_small_a_budget_says_what_the_cheapest_costs() -> None:
    told = solve(problem("p-median", [[1, 2]], budget=3.0, cost=[5, 4]))
    assert (told.status, told.objective) == ("infeasible", None)
    assert "the cheapest costs 4" in told.reason_en


def test_too_little_room_is_infeasible_and_says_so() -> None:
    told = solve(problem("p-median", [[1, 2]], 1, demand=[[9]], capacity=[5, 6]))
    assert told.status == "infeasible"
    assert "capacity does not suffice" in told.reason_en


def test_no_demand_is_no_problem_to_solve() -> None:
    told = solve(problem("p-median", [[1, 2]], 1, demand=[[0]]))
    assert (told.status, told.chosen) == ("infeasible", ())


def test_a_distance_that_is_not_finite_is_refused() -> None:
    with pytest.raises(InvalidError, match="not finite"):
        problem("p-median", [[np.inf, 1]], 1)


def test_shapes_that_disagree_are_refused_by_name() -> None:
    with pytest.raises(InvalidError, match="capacity has the shape"):
        problem("p-median", [[1, 2]], 1, capacity=[1])


def test_problem_and_solution_travel_between_processes() -> None:
    one = pickle.loads(pickle.dumps(problem("p-center", [[1, 2], [3, 1]], 1)))  # noqa: S301
    told = pickle.loads(pickle.dumps(solve(one)))  # noqa: S301
    assert (told.objective, told.status) == (2, "optimal")


@pytest.mark.parametrize("model", MODELS)
def test_beyond_its_size_it_is_a_heuristic_that_says_so_with_a_bound(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = np.random.default_rng(3)
    metres = chance.random((60, 40)) * 1000
    given = {"demand": chance.integers(1, 9, (60, 1)), "reach": [150], "capacity": np.full(40, np.inf)}
    exact = solve(problem(model, metres, 5, **given))
    assert exact.status == "optimal"
    monkeypatch.setattr(median, "MOST_PAIRS", 0)
    monkeypatch.setattr(covering, "MOST_ENTRIES", 0)
    told = solve(problem(model, metres, 5, **given))
    assert told.objective is not None
    assert told.bound is not None
    assert exact.objective is not None
    sense = -1 if model == "mclp" else 1
    assert sense * told.bound <= sense * exact.objective + 1e-6 <= sense * told.objective + 2e-6
    if told.status != "optimal":
        assert told.status == "heuristic"
        assert "heuristic" in told.reason_en
        assert "휴리스틱" in told.reason_ko


def test_beyond_its_size_a_capacitated_problem_still_sends_people_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(5)
    one = problem(
        "p-median", chance.random((30, 12)) * 100, 4, demand=chance.integers(1, 9, (30, 2)), capacity=np.full(12, 42.0)
    )
    exact = solve(one)
    monkeypatch.setattr(flows, "MOST_FLOWS", 0)
    told = solve(one)
    assert told.status == "heuristic"
    assert told.objective is not None
    assert exact.objective is not None
    assert told.objective >= exact.objective - 1e-6
    holds(one, told)


def test_no_time_still_gives_a_set_with_a_bound() -> None:
    chance = np.random.default_rng(11)
    points = chance.random((150, 2)) * 1000
    metres = np.hypot(*(points[:, None, :] - points[None, :, :]).T)
    told = solve(problem("p-median", metres, 8, time_limit_s=1e-6))
    assert told.status == "time-limit"
    assert len(told.chosen) == 8
    assert told.gap is None or told.gap > 0
