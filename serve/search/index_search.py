"""One search over segments: estimates from codes, then exact scores of those that can still be among the best."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from serve.search.plan import Bound, Permitted, Plan, choose, permitted
from serve.search.quantise import Queries, exact_scores
from serve.search.segment import Segment
from serve.search.segment_rows import ATTRIBUTES, Vocabularies
from serve.search.soft import Bonus
from serve.search.spans import near_in_spans

Scores = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


class Candidate(NamedTuple):
    """A sighting found. `score` is the similarity and what the description adds; `time` is in µs."""

    sighting_id: str
    camera: str
    time: int
    score: float
    similarity: float
    quality: float
    attributes: Mapping[str, str]


class Coverage(NamedTuple):
    """What the answer is about: all of the `permitted` rows, and no other, were scanned."""

    rows: int
    permitted: int
    scanned: int
    outside_window: int
    """Rows of segments that lie wholly outside the time window."""
    plans: Mapping[str, int]
    """Segments by plan."""
    exact: bool
    """False when some rows were ranked by their sign bits first; `recall` then says how well that did of late."""
    recall: float | None = None


class Answer(NamedTuple):
    """For each query its candidates, best first."""

    found: tuple[tuple[Candidate, ...], ...]
    coverage: Coverage


class Effort(NamedTuple):
    """How hard the quantised stage tries: candidates per segment times `width`; untrusted bits are not used at all."""

    width: int = 1
    trusted: bool = True


class Part(NamedTuple):
    """A segment with its plan."""

    segment: Segment
    permitted: Permitted
    plan: Plan


Z = 3.0
"""A row as good as the last candidate is missed by its sign bits once in 740 times, a better one less often."""
LOWERED = 0.88
"""About this share of its floor remains when eight times as many candidates are read by bits (seen at 256-d)."""
HALF_ERROR = 1e-3
"""More than a sum of 4,096 products of single floats of unit vectors can be off (4,096 · 2⁻²⁴ = 2.4e-4)."""
WIDEST_BITS = 1024
"""More candidates than this from bits cost as much as scanning int8 codes, which is exact."""


@dataclass(slots=True)
class Near:
    """Candidates of one query in one segment: how similar each is by its codes, and the most that it can be.

    No permitted row that is missing is more similar than `floor`; of those missed by bits, hardly any (`Z`). `rough`
    candidates are told from others by their sign bits alone.
    """

    rows: Numbers
    likely: npt.NDArray[np.floating]
    most: npt.NDArray[np.floating]
    floor: float
    rough: bool = False


def plan(segments: Iterable[Segment], bound: Bound, exact: bool, effort: Effort) -> list[Part]:
    """Decide for each segment."""
    parts = []
    for segment in segments:
        seen = permitted(segment, bound)
        parts.append(Part(segment, seen, choose(len(segment), seen, exact, effort.trusted)))
    return parts


def coverage(parts: Sequence[Part], recall: float | None) -> Coverage:
    """Say what was scanned."""
    kinds: Counter[str] = Counter()
    rows = allowed = scanned = outside = 0
    for segment, seen, chosen in parts:
        kinds[chosen.kind] += 1
        rows += len(segment)
        allowed += seen.count
        scanned += 0 if chosen.kind == "skip" else seen.count
        outside += 0 if seen.in_window else len(segment)
    exact = "bits" not in kinds
    return Coverage(rows, allowed, scanned, outside, dict(kinds), exact, None if exact else recall)


def near(part: Part, kind: str, queries: Queries, wanted: int) -> list[Near]:
    """Candidates of every query, `wanted` where the segment has as many."""
    segment, seen = part.segment, part.permitted
    complete = wanted >= seen.count
    if kind == "gather":
        return by_halves(part, queries, wanted)
    if kind == "bits":
        distances, found = segment.near_bits(queries.bits, wanted)
        likely, most = similarities(queries.bits.shape[1] * 8)
        return [
            Near(rows, likely[far], most[far], -np.inf if complete else float(most[far[-1]]), rough=True)
            for far, rows in zip(distances, found, strict=True)
        ]
    if seen.spans is not None:
        values, found = near_in_spans(segment.rows.vectors.codes, queries.coded.whole, wanted, seen.spans)
    else:
        values, found = segment.near_codes(queries.coded.whole, wanted, seen.mask)
    estimates = values * queries.coded.units[:, None]
    return _nearest(found, estimates, segment.rows.vectors.error + queries.coded.error, complete)


def _nearest(found: Numbers, estimates: npt.NDArray[np.floating], error: float, complete: bool) -> list[Near]:
    """Of each query the rows found (-1 is none) with estimates that are at most `error` off."""
    answers = []
    for rows, likely in zip(found, estimates, strict=True):
        there = rows >= 0
        floor = -np.inf if complete else float(likely.min()) + error
        answers.append(Near(rows[there], likely[there], likely[there] + error, floor))
    return answers


def by_halves(part: Part, queries: Queries, wanted: int) -> list[Near]:
    """Few rows, by their half floats, which need no turned query; what faiss sums up in single floats is hardly off."""
    seen, half = part.permitted, part.segment.rows.vectors.half
    rows, spans = None, seen.spans
    if spans is None:
        rows = np.arange(len(half)) if seen.mask is None else np.flatnonzero(seen.mask)
        half, spans = half[rows], np.array([[0, len(rows)]])
    scores, places = near_in_spans(half.view(np.uint8), queries.half, wanted, spans, "half")
    return _nearest(places if rows is None else rows[places], scores, HALF_ERROR, complete=wanted >= seen.count)


def by_codes(segment: Segment, queries: Queries, rows: Numbers, floor: float) -> list[Near]:
    """These rows, by their int8 codes."""
    error = segment.rows.vectors.error + queries.coded.error
    likelihoods = segment.code_scores(queries.coded.rotated, rows)
    return [Near(rows, likely, likely + error, floor) for likely in likelihoods]


@lru_cache(maxsize=8)
def similarities(bits: int) -> tuple[Scores, Scores]:
    """By the number of sign bits that differ: how similar two vectors probably are, and rarely more than."""
    distances = np.arange(bits + 1)
    return np.cos(np.pi * distances / bits), np.array([most_similar(one, bits) for one in distances.tolist()])


def most_similar(distance: int, bits: int) -> float:
    """The similarity that a row rarely exceeds when its sign bits differ in `distance` places or more.

    A random hyperplane parts two vectors with probability angle / π whatever they are (Goemans, Williamson 1995), so
    the distance is binomial, and this is the similarity at which it is `distance` at mean plus `Z` deviations.
    """
    reached = max(0, distance - 1)  # rows at the last distance may be there or missing
    square = Z * Z * bits
    middle, whole = 2 * reached * bits + square, bits * bits + square
    part = (middle - math.sqrt(max(0.0, middle * middle - 4 * whole * reached * reached))) / (2 * whole)
    return math.cos(math.pi * part)


class Best:
    """The best of one query: exact scores of the candidates that can still matter, whatever order they come in."""

    def __init__(self, parts: Sequence[Part], candidates: list[Near], query: Queries, k: int, bonus: Bonus) -> None:
        self.parts, self.candidates, self.query, self.k, self.bonus = parts, candidates, query, k, bonus

    def _adds(self) -> Scores:
        """What the description adds to each candidate."""
        return np.concatenate(
            [
                self.bonus(part.segment.rows.attributes[near.rows])
                for part, near in zip(self.parts, self.candidates, strict=True)
            ]
        )

    def _score(self, at: Numbers, rows: Numbers) -> Scores:
        """Exact similarities of rows that are grouped by part."""
        query = self.query.exact[0]
        halves = np.empty((len(rows), len(query)), np.float16)
        edges = [0, *(np.flatnonzero(at[1:] != at[:-1]) + 1).tolist(), len(at)]
        for start, end in pairwise(edges):
            halves[start:end] = self.parts[at[start]].segment.rows.vectors.half[rows[start:end]]
        return exact_scores(query, halves)

    def _refine(self) -> bool:
        """Tell rough candidates from each other by their int8 codes; whether there were any."""
        rough = [index for index, near in enumerate(self.candidates) if near.rough]
        for index in rough:
            near = self.candidates[index]
            rows = np.sort(near.rows)  # neighbours in memory are read faster
            self.candidates[index] = by_codes(self.parts[index].segment, self.query, rows, near.floor)[0]
        return bool(rough)

    def top(self, texts: Vocabularies, first: int, widen: Callable[[int, float], bool]) -> tuple[Candidate, ...]:
        """The k best. `first` candidates are scored for a start, then whatever could matter.

        `widen` is called with a part of which missing rows could still matter, and from which similarity on.
        """
        while True:
            at = np.repeat(np.arange(len(self.parts)), [len(near.rows) for near in self.candidates])
            rows = np.concatenate([near.rows for near in self.candidates])
            likely = np.concatenate([near.likely for near in self.candidates])
            most = np.concatenate([near.most for near in self.candidates])
            adds = self._adds() if self.bonus.tables else np.zeros(len(rows))
            chosen = np.sort(_largest(likely + adds, first))
            similarity = np.full(len(rows), -np.inf)
            similarity[chosen] = self._score(at[chosen], rows[chosen])
            bar = _kth(similarity + adds, self.k)
            more = np.flatnonzero((most + adds >= bar) & (similarity == -np.inf))
            if len(more) > first and self._refine():
                continue
            if len(more):
                similarity[more] = self._score(at[more], rows[more])
                bar = _kth(similarity + adds, self.k)
            short = [index for index, near in enumerate(self.candidates) if near.floor + self.bonus.most >= bar]
            if sum([widen(index, bar - self.bonus.most) for index in short]):  # each, as `any` would not
                continue
            scores = similarity + adds
            best = np.flatnonzero((scores >= bar) & (scores > -np.inf))
            found = zip(at[best], rows[best].tolist(), scores[best].tolist(), similarity[best].tolist(), strict=True)
            told = [candidate(self.parts[part].segment, row, score, alike, texts) for part, row, score, alike in found]
            return tuple(sorted(told, key=rank)[: self.k])


def rank(candidate: Candidate) -> tuple[float, str]:
    """The rule for ties: score descending, then sighting_id ascending."""
    return -candidate.score, candidate.sighting_id


def candidate(segment: Segment, row: int, score: float, similarity: float, texts: Vocabularies) -> Candidate:
    """A row as it is shown."""
    rows = segment.rows
    values = zip(ATTRIBUTES, texts.attributes, rows.attributes[row].tolist(), strict=True)
    known = {name: words.texts[number] for name, words, number in values if number >= 0}
    camera = texts.camera.texts[rows.camera[row]]
    return Candidate(
        rows.ids[row].as_py(), camera, int(rows.time[row]), score, similarity, float(rows.quality[row]), known
    )


def _largest(values: Scores, count: int) -> Numbers:
    if len(values) <= count:
        return np.arange(len(values))
    return np.argpartition(values, len(values) - count)[len(values) - count :]


def _kth(scores: Scores, k: int) -> float:
    return float(np.partition(scores, len(scores) - k)[len(scores) - k]) if len(scores) >= k else -np.inf


def search(
    parts: Sequence[Part], queries: Queries, k: int, bonus: Bonus, texts: Vocabularies, width: int
) -> tuple[tuple[Candidate, ...], ...]:
    """The k best of every query among the permitted rows of all parts.

    Exact, and proved so by the bounds of the codes' errors; where a plan reads sign bits, but for the chance at `Z`.
    """
    live = [part for part in parts if part.plan.kind != "skip"]
    if not live or not len(queries.half):
        return tuple(() for _ in queries.half)
    wanted = max(100, 4 * k) * width
    fetched = [near(part, part.plan.kind, queries, wanted) for part in live]
    answers = []
    for number in range(len(queries.half)):
        query, candidates = queries.only(number), [one[number] for one in fetched]
        widen = _widener(live, candidates, query, wanted)
        answers.append(Best(live, candidates, query, k, bonus).top(texts, max(32, 2 * k), widen))
    return tuple(answers)


def _widener(live: Sequence[Part], candidates: list[Near], query: Queries, wanted: int) -> Callable[[int, float], bool]:
    """Fetch more candidates of a part than before, at last by int8 codes; whether there was anything to fetch."""
    asked, kinds = [wanted] * len(live), [str(part.plan.kind) for part in live]

    def widen(index: int, bar: float) -> bool:
        if (floor := candidates[index].floor) == -np.inf:
            return False
        asked[index] *= 8
        hopeless = asked[index] > max(WIDEST_BITS, wanted) or floor * LOWERED > bar
        if kinds[index].startswith("bits") and hopeless:
            asked[index], kinds[index] = wanted, "int8"
        candidates[index] = near(live[index], kinds[index], query, asked[index])[0]
        return True

    return widen
