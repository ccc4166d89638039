"""The recall of the quantised stage is measured on live queries, and the plan follows it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.search import plan as plan_module
from serve.search.index import Index
from serve.search.index_search import Candidate, Effort, most_similar
from serve.search.plan import Filters
from serve.search.quantise import Model, encode_queries, unit
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


@pytest.mark.usefixtures("bits_for_few")
def test_a_gauge_keeps_every_so_many_searches_and_forgets_them_when_measured() -> None:
    index, gauge = Index(Model("test", 16)), Gauge(every=3, most=2)
    index.append(table(crowd(2000)))
    for _ in range(20):
        gauge.saw(Asked(np.ones(16, np.float32), 5, Filters()))
    recall = gauge.measure(lambda asked, _: index.search(asked.vector, asked.k), Effort())
    assert recall == Recall(2, 1.0, 1.0)
    assert gauge.measure(lambda asked, _: index.search(asked.vector, asked.k), Effort()) is None


@pytest.fixture
def bits_for_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "BITS_ROWS", 1000)


@pytest.mark.usefixtures("bits_for_few")
@pytest.mark.parametrize("kinds", [600, 12_000])
def test_what_bits_miss_is_found_again_even_in_vectors_without_structure(kinds: int) -> None:
    model = Model("noise", 64)
    index = Index(model)
    index.append(table(crowd(12_000, model, kinds=kinds), model))
    for query in np.random.default_rng(0).standard_normal((1600, 64)).astype(np.float32):
        index._gauge.saw(Asked(query, 10, Filters()))
    recall = index.measure()
    assert recall == index.recall
    assert recall is not None
    assert (recall.queries, index.effort.trusted) == (32, True)
    assert recall.mean >= 0.99
    assert index.search(np.ones(64)).coverage.recall == recall.mean


@given(seed=st.integers(0, 100_000), similarity=st.floats(0.0, 0.99))
@settings(max_examples=300)
def test_bits_of_similar_vectors_rarely_differ_as_much_as_the_bound_says(seed: int, similarity: float) -> None:
    # A hundred pairs at this similarity: 100 / 740 are expected beyond, eight would be a miracle.
    model, chance = Model("pairs", 128), np.random.default_rng(seed)
    one = unit(chance.standard_normal((100, 128)))[0]
    other = chance.standard_normal((100, 128))
    other -= (other * one).sum(axis=1, keepdims=True) * one
    other = similarity * one + np.sqrt(1 - similarity**2) * other / np.linalg.norm(other, axis=1, keepdims=True)
    first, second = encode_queries(one, model).bits, encode_queries(other, model).bits
    distances = np.bitwise_count(first ^ second).sum(axis=1)
    assert sum(most_similar(int(distance), model.bits) < similarity - 0.01 for distance in distances) < 8


def test_the_bound_falls_as_bits_differ_more() -> None:
    bounds = [most_similar(distance, 512) for distance in range(513)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] == 1.0


@pytest.mark.usefixtures("bits_for_few")
def test_untrusted_bits_are_not_used() -> None:
    index = Index(Model("test", 16))
    index.append(table(crowd(2000)))
    assert index.search(np.ones(16)).coverage.plans == {"bits": 1}
    index.effort = Effort(WIDEST, trusted=False)
    assert index.search(np.ones(16)).coverage.plans == {"int8": 1}


@pytest.mark.usefixtures("bits_for_few")
def test_untrusted_bits_are_measured_on_what_is_asked_and_trusted_again_when_they_do_well() -> None:
    index = Index(Model("test", 16))
    index.append(table(crowd(2000)))
    index.effort = Effort(WIDEST, trusted=False)
    for query in np.random.default_rng(0).standard_normal((60, 16)).astype(np.float32):
        index.search(query, filters=Filters(cameras=frozenset({"a"})))  # a quarter of the rows: too few for bits
    assert index.measure() is None
    assert index.effort == Effort(WIDEST, trusted=False)
    for query in np.random.default_rng(0).standard_normal((60, 16)).astype(np.float32):
        index.search(query)
    recall = index.measure()
    assert recall is not None
    assert recall.mean >= 0.99
    assert index.effort.trusted
    assert index.search(np.ones(16)).coverage.plans == {"bits": 1}
