"""Scans over a few runs of rows find what a scan over all rows with a mask finds."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.search import plan as plan_module
from serve.search.index import Index
from serve.search.index_search import HALF_ERROR
from serve.search.plan import Filters, bind, permitted
from serve.search.quantise import encode_queries
from serve.search.spans import near_in_spans
from tests.unit.search.crowd import MODEL, brute_force, crowd, table, told

SEEN = crowd(3000, kinds=700)
INDEX = Index(MODEL)
INDEX.append(table(SEEN))
INDEX.seal()
(SEGMENT,) = INDEX.state.sealed
QUERIES = np.random.default_rng(1).standard_normal((3, 16))


@given(edges=st.lists(st.integers(0, 3000), unique=True, min_size=2, max_size=12), k=st.integers(1, 200))
@settings(max_examples=60)
def test_the_nearest_in_some_runs_are_those_that_a_mask_leaves(edges: list[int], k: int) -> None:
    spans = np.array(sorted(edges)[: len(edges) // 2 * 2]).reshape(-1, 2)
    mask = np.zeros(3000, np.bool_)
    for start, end in spans:
        mask[start:end] = True
    whole = encode_queries(QUERIES, MODEL).coded.whole
    scores, rows = near_in_spans(SEGMENT.rows.vectors.codes, whole, k, spans)
    wanted, _ = SEGMENT.near_codes(whole, min(k, int(mask.sum())), mask)
    assert np.array_equal(-np.sort(-scores), wanted)
    assert mask[rows].all()
    assert all(len(set(one)) == len(one) for one in rows.tolist())
    products = whole @ (SEGMENT.rows.vectors.codes.astype(np.float32) - 128).T
    assert np.array_equal(scores, np.take_along_axis(products, rows, axis=1))


@given(edges=st.lists(st.integers(0, 3000), unique=True, min_size=2, max_size=12), k=st.integers(1, 200))
@settings(max_examples=60)
def test_the_nearest_of_half_floats_are_the_exact_ones_but_for_rounding(edges: list[int], k: int) -> None:
    spans = np.array(sorted(edges)[: len(edges) // 2 * 2]).reshape(-1, 2)
    chosen = np.concatenate([np.arange(start, end) for start, end in spans])
    half, queries = SEGMENT.rows.vectors.half, encode_queries(QUERIES, MODEL)
    scores, rows = near_in_spans(half.view(np.uint8), queries.half, k, spans, "half")
    exact = queries.exact @ half.astype(np.float64).T
    assert np.abs(scores - np.take_along_axis(exact, rows, axis=1)).max() < 1e-6 < HALF_ERROR
    wanted = -np.sort(-exact[:, chosen])[:, :k]
    assert np.abs(-np.sort(-scores) - wanted).max() < 1e-6
    assert set(rows.reshape(-1).tolist()) <= set(chosen.tolist())


@pytest.mark.parametrize("filters", [Filters(start=37, end=71), Filters(floors={"a": 50, "c": 120}), Filters(end=5)])
def test_runs_that_a_window_cuts_hold_the_rows_that_a_mask_would(
    filters: Filters, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = bind(filters, INDEX.texts)
    runs = permitted(SEGMENT, bound)
    monkeypatch.setattr(plan_module, "SPANS", -(10**9))
    masked = permitted(SEGMENT, bound)
    assert runs.spans is not None
    assert runs.count == masked.count
    chosen = np.concatenate([np.arange(start, end) for start, end in runs.spans.tolist()])
    assert np.array_equal(chosen, np.flatnonzero(masked.mask))  # type: ignore[arg-type]


def test_searches_of_many_threads_do_not_disturb_each_other() -> None:
    filters = Filters(cameras=frozenset({"a", "c"}), start=10)
    queries = np.random.default_rng(2).standard_normal((40, 16))
    wanted = [brute_force(SEEN, query, 10, filters) for query in queries]
    assert INDEX.search(queries[0], 10, filters).coverage.plans == {"int8+spans": 1}
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda query: told(INDEX.search(query, 10, filters).found[0]), [*queries] * 20))
    assert found == wanted * 20
