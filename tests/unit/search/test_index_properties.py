"""Whatever is appended, sealed, erased, dropped, restarted: an exact search equals a brute force over what is left."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from serve.search import index as index_module
from serve.search import plan as plan_module
from serve.search.index import Index
from serve.search.plan import EVER, Filters
from serve.search.segment_rows import ATTRIBUTES
from serve.search.soft import Description
from tests.unit.search.crowd import MODEL, Seen, brute_force, crowd, half, table, told

POOL = crowd(90)
IDS = [one.id for one in POOL]
CAMERAS = st.sets(st.sampled_from("abcd"), min_size=1)
TIMES = st.one_of(st.integers(-5, 105), st.sampled_from([-EVER, EVER]))
FILTERS = st.builds(
    Filters,
    start=TIMES,
    end=TIMES,
    cameras=st.none() | CAMERAS.map(frozenset),
    min_quality=st.sampled_from([0.0, 0.0, 0.5, 1.0]),
    attributes=st.dictionaries(st.sampled_from(ATTRIBUTES), st.just(frozenset({"x"})), max_size=1),
)
WORDS = st.none() | st.sampled_from(["x", "y", "z"])
DESCRIPTIONS = st.builds(Description, upper=WORDS, age=WORDS, hat=WORDS, per_nat=st.sampled_from([0.02, 0.3]))
QUERIES = st.integers(0, 40).map(lambda seed: np.random.default_rng(seed).standard_normal(16).astype(np.float32))


class Story(RuleBasedStateMachine):
    """`left` is what should be found: the model of the index."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.index = Index.open(MODEL, Path(self.folder.name))
        self.left: dict[str, Seen] = {}
        self.receipt: list[int] = []

    def teardown(self) -> None:
        self.folder.cleanup()

    @initialize(first=st.integers(0, 60))
    def begins(self, first: int) -> None:
        self.appends(POOL[:first])

    @rule(chosen=st.lists(st.integers(0, len(POOL) - 1), max_size=40))
    def appends_some(self, chosen: list[int]) -> None:
        self.appends([POOL[number] for number in chosen])

    def appends(self, batch: list[Seen]) -> None:
        fresh = {one.id: one for one in batch if one.id not in self.left}
        got = self.index.append(table(batch))
        assert (got.added, got.repeated, got.refused) == (len(fresh), len(batch) - len(fresh), ())
        self.left |= fresh

    @rule()
    def seals(self) -> None:
        self.index.seal()
        assert not self.index.state.loose

    @rule(ids=st.sets(st.sampled_from([*IDS, "nobody"]), max_size=8))
    def erases_sightings(self, ids: set[str]) -> None:
        before, gone = self.index.digest(), ids & self.left.keys()
        got = self.index.erase(ids=ids, receipt="e-1")
        assert got.rows == len(gone) == sum(one.rows for one in got.segments)
        assert (self.index.digest() != before) == bool(got.rows)
        self.left = {name: one for name, one in self.left.items() if name not in ids}
        self.receipt += [one.rows for one in got.segments]

    @rule(cameras=CAMERAS, start=st.integers(0, 100), length=st.integers(0, 30))
    def erases_a_window(self, cameras: set[str], start: int, length: int) -> None:
        self.index.erase(cameras=cameras, start=start, end=start + length)
        hit = {one.id for one in POOL if one.camera in cameras and start <= one.time < start + length}
        self.left = {name: one for name, one in self.left.items() if name not in hit}
        assert not any(self.index.find(name) for name in hit)

    @rule(before=st.dictionaries(st.sampled_from("abz"), st.integers(0, 60)))
    def grow_old(self, before: dict[str, int]) -> None:
        gone = {name for name, one in self.left.items() if one.time < before.get(one.camera, -EVER)}
        assert self.index.drop(before).rows == len(gone)
        self.left = {name: one for name, one in self.left.items() if name not in gone}

    @rule()
    def restarts(self) -> None:
        loose = {name for segment in self.index.state.loose for name in segment.rows.ids.to_pylist()}
        self.index = Index.open(MODEL, Path(self.folder.name))
        self.index.verify()
        sealed = {name for segment in self.index.state.segments for name in segment.rows.ids.to_pylist()}
        assert sealed == self.left.keys() - loose
        got = self.index.append(table(list(self.left.values())))  # as from the log
        # What was sealed is there without it: nothing else heals a loss.
        assert (got.added, got.repeated) == (len(loose), len(sealed))

    @rule(query=QUERIES, k=st.integers(1, 12), filters=FILTERS, soft=st.none() | DESCRIPTIONS)
    def searches(self, query: Any, k: int, filters: Filters, soft: Description | None) -> None:
        answer = self.index.search(query, k, filters, soft, exact=True)
        assert told(answer.found[0]) == brute_force(self.left.values(), query, k, filters, soft)
        assert answer.coverage.exact
        self.counts(answer.coverage, filters)

    @rule(query=QUERIES, k=st.integers(1, 5), filters=FILTERS)
    def searches_by_bits(self, query: Any, k: int, filters: Filters) -> None:
        answer = self.index.search(np.stack([query, -query]), k, filters)
        for vector, found in zip((query, -query), answer.found, strict=True):
            # So few rows are all candidates: here the quantised search has to be right too.
            assert told(found) == brute_force(self.left.values(), vector, k, filters)
        self.counts(answer.coverage, filters)

    def counts(self, coverage: Any, filters: Filters) -> None:
        permitted = len(brute_force(self.left.values(), np.ones(16), 1000, filters))
        assert (coverage.permitted, coverage.scanned, coverage.rows) == (permitted, permitted, len(self.index))
        assert sum(coverage.plans.values()) == len(self.index.state.segments)

    @rule(number=st.integers(0, len(POOL) - 1))
    def finds_one(self, number: int) -> None:
        one = POOL[number]
        found = self.index.find(one.id)
        assert (found is not None) == (one.id in self.left)
        if found:
            assert (found.sighting.camera, found.sighting.time) == (one.camera, one.time)
            assert dict(found.sighting.attributes) == one.attributes
            assert np.array_equal(found.vector, half(np.array(one.vector, np.float16)))

    @invariant()
    def nothing_else_is_there(self) -> None:
        assert len(self.index) == len(self.left)
        assert [one.rows for one in self.index.receipt("e-1")] == self.receipt

    @invariant()
    def loose_segments_stay_few(self) -> None:
        sizes = [len(segment) for segment in self.index.state.loose]
        assert len(sizes) <= 9
        assert sum(sizes) < 30


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "SEALED_ROWS", 30)
    monkeypatch.setattr(plan_module, "GATHER_ROWS", 3)
    monkeypatch.setattr(plan_module, "BITS_ROWS", 6)


Story.TestCase.settings = settings(max_examples=50, stateful_step_count=20, suppress_health_check=list(HealthCheck))


@pytest.mark.usefixtures("small_segments")
class TestIndexEqualsBruteForce(Story.TestCase):  # type: ignore[name-defined, misc]
    pass
