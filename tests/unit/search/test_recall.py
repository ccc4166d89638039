"""The recall of the quantised stage is measured on live queries, and the plan follows it."""

import numpy as np
import pytest

from serve.search.index import Index
from serve.search.index_search import Candidate, Effort
from serve.search.plan import Filters
from serve.search.quantise import Model
from serve.search.recall import WIDEST, Asked, Gauge, Recall, adapted, share
from tests.unit.search.crowd import crowd, table


def candidates(*scores: float) -> list[Candidate]:
    return [Candidate(f"s{at}", "a", 0, score, score, 1.0, {}) for at, score in enumerate(scores)]


@pytest.mark.parametrize(
    ("found", "best", "expected"),
    [([0.9, 0.8], [0.9, 0.8], 1.0), ([0.9, 0.5], [0.9, 0.8], 0.5), ([], [0.9], 0.0), ([], [], 1.0)],
)
def test_recall_is_the_share_of_the_best_that_was_found(found: list[float], best: list[float], expected: float) -> None:
    assert share(candidates(*found), candidates(*best)) == expected


@pytest.mark.parametrize(
    ("effort", "mean", "expected"),
    [
        (Effort(1), 0.98, Effort(2)),
        (Effort(WIDEST), 0.98, Effort(WIDEST, trusted=False)),
        (Effort(WIDEST, trusted=False), 0.98, Effort(WIDEST, trusted=False)),
        (Effort(WIDEST, trusted=False), 0.995, Effort(WIDEST)),
        (Effort(4), 0.995, Effort(4)),
        (Effort(4), 1.0, Effort(2)),
        (Effort(1), 1.0, Effort(1)),
    ],
)
def test_effort_widens_below_the_bound_and_ends_without_bits(effort: Effort, mean: float, expected: Effort) -> None:
    assert adapted(effort, Recall(10, mean, mean)) == expected


def test_a_gauge_keeps_every_so_many_searches_and_forgets_them_when_measured() -> None:
    index, gauge = Index(Model("test", 16)), Gauge(every=3, most=2)
    for _ in range(20):
        gauge.saw(Asked(np.ones(16, np.float32), 5, Filters()))
    recall = gauge.measure(lambda asked, _: index.search(asked.vector, asked.k), Effort())
    assert recall == Recall(2, 1.0, 1.0)
    assert gauge.measure(lambda asked, _: index.search(asked.vector, asked.k), Effort()) is None


def test_vectors_without_structure_make_the_index_give_bits_up() -> None:
    model = Model("noise", 64)
    index, chance = Index(model), np.random.default_rng(0)
    index.append(table(crowd(12_000, model, kinds=12_000), model))
    for _ in range(6):
        for query in chance.standard_normal((1000, 64)).astype(np.float32)[:100]:
            index.search(query, 100)
        index.measure()
    assert index.recall is not None
    quantised = index.search(chance.standard_normal(64))
    if index.effort.trusted:
        assert index.recall.mean >= 0.99
        assert quantised.coverage.recall == index.recall.mean
    else:
        assert quantised.coverage.exact


def test_untrusted_bits_are_not_used() -> None:
    index = Index(Model("test", 16))
    index.append(table(crowd(2000)))
    assert index.search(np.ones(16)).coverage.plans == {"bits": 1}
    index.effort = Effort(WIDEST, trusted=False)
    assert index.search(np.ones(16)).coverage.plans == {"int8": 1}
