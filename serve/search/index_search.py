"""One search over segments: estimates from codes, then exact scores of those that can still be among the best."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from serve.search.plan import Bound, Permitted, Plan, choose, permitted
from serve.search.quantise import Queries, exact_scores
from serve.search.segment import Segment
from serve.search.segment_rows import ATTRIBUTES, Vocabularies
from serve.search.soft import Bonus

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
WIDEST_BITS = 1024
"""More candidates than this from bits cost as much as scanning int8 codes, which is exact."""


@dataclass(slots=True)
class Near:
    """Candidates of one query in one segment: row numbers and estimates of similarity.

    No permitted row that is missing is more similar than `floor`; of those missed by bits, hardly any (`Z`).
    """

    rows: Numbers
    estimates: npt.NDArray[np.float32]
    floor: float


def plan(segments: Iterable[Segment], bound: Bound, exact: bool, effort: Effort) -> list[Part]:
    """Decide for each segment."""
    parts = []
    for segment in segments:
        seen = permitted(segment, bound)
        parts.append(Part(segment, seen, choose(len(segment), seen.count, exact, effort.trusted)))
    return parts


def coverage(parts: Sequence[Part], recall: float | None) -> Coverage:
    """Say what was scanned."""
    kinds: Counter[str] = Counter(part.plan.kind for part in parts)
    exact = not any(kind.startswith("bits") for kind in kinds)
    return Coverage(
        rows=sum(len(part.segment) for part in parts),
        permitted=sum(part.permitted.count for part in parts),
        scanned=sum(part.permitted.count for part in parts if part.plan.kind != "skip"),
        outside_window=sum(len(part.segment) for part in parts if not part.permitted.in_window),
        plans=dict[str, int](kinds),
        exact=exact,
        recall=None if exact else recall,
    )


def near(part: Part, kind: str, queries: Queries, wanted: int) -> list[Near]:
    """Candidates of every query, `wanted` where the segment has as many."""
    segment, seen = part.segment, part.permitted
    if kind == "gather":
        everything = slice(0, len(segment)) if seen.mask is None and seen.spans is None else seen.chosen()
        rows = np.arange(len(segment)) if isinstance(everything, slice) else everything
        return [Near(rows, one, -np.inf) for one in segment.code_scores(queries.rotated, everything)]
    mask, complete = seen.whole_mask(len(segment)), wanted >= seen.count
    if kind.startswith("int8"):
        values, found = segment.near_codes(queries.whole, wanted, mask)
        estimates = values * queries.units[:, None]
        error = segment.rows.vectors.error + queries.error
        floors = [-np.inf if complete else float(one[-1]) + error for one in estimates]
        return [
            Near(rows[rows >= 0], one[rows >= 0], floor)
            for rows, one, floor in zip(found, estimates, floors, strict=True)
        ]
    distances, found = segment.near_bits(queries.bits, wanted, mask)
    answers = []
    for far, rows, rotated in zip(distances, found, queries.rotated, strict=True):
        chosen = np.sort(rows[rows >= 0])
        floor = -np.inf if complete else most_similar(int(far[-1]), queries.bits.shape[1] * 8)
        answers.append(Near(chosen, segment.code_scores(rotated[None], chosen)[0], floor))
    return answers


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
        self.parts, self.candidates, self.k, self.bonus = parts, candidates, k, bonus
        self.query = query.exact[0]
        self.errors = np.array([part.segment.rows.vectors.error + query.error for part in parts])

    def _flat(self) -> tuple[Numbers, Numbers, Scores, Scores]:
        """All candidates: part, row, what they add, and the most that they can score."""
        at = np.repeat(np.arange(len(self.parts)), [len(near.rows) for near in self.candidates])
        rows = np.concatenate([near.rows for near in self.candidates])
        estimates = np.concatenate([near.estimates for near in self.candidates]).astype(np.float64)
        adds = np.zeros(len(rows))
        if self.bonus.tables:
            adds = np.concatenate(
                [
                    self.bonus(part.segment.rows.attributes[near.rows])
                    for part, near in zip(self.parts, self.candidates, strict=True)
                ]
            )
        return at, rows, adds, estimates + self.errors[at] + adds

    def _score(self, at: Numbers, rows: Numbers) -> Scores:
        """Exact similarities of rows that are grouped by part."""
        halves = np.empty((len(rows), len(self.query)), np.float16)
        edges = np.flatnonzero(np.diff(at, prepend=-1, append=-1))
        for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            halves[start:end] = self.parts[at[start]].segment.rows.vectors.half[rows[start:end]]
        return exact_scores(self.query, halves)

    def top(self, texts: Vocabularies, first: int, widen: Callable[[int, float], bool]) -> tuple[Candidate, ...]:
        """The k best. `first` candidates are scored for a start, then whatever could matter.

        `widen` is called with a part of which missing rows could still matter, and from which similarity on.
        """
        while True:
            at, rows, adds, most = self._flat()
            chosen = np.sort(_largest(most, first))
            similarity = self._score(at[chosen], rows[chosen])
            bar = _kth(similarity + adds[chosen], self.k)
            reach = np.flatnonzero(most >= bar)
            more = np.setdiff1d(reach, chosen, assume_unique=True)
            if len(more):
                joined = np.concatenate([chosen, more])
                order = np.argsort(joined, kind="stable")
                similarity = np.concatenate([similarity, self._score(at[more], rows[more])])[order]
                chosen = joined[order]
                bar = _kth(similarity + adds[chosen], self.k)
            short = [index for index, near in enumerate(self.candidates) if near.floor + self.bonus.most >= bar]
            if sum([widen(index, bar - self.bonus.most) for index in short]):  # each, as `any` would not
                continue
            return self._candidates(at[chosen], rows[chosen], similarity, adds[chosen], bar, texts)

    def _candidates(
        self, at: Numbers, rows: Numbers, similarity: Scores, adds: Scores, bar: float, texts: Vocabularies
    ) -> tuple[Candidate, ...]:
        scores = similarity + adds
        found = [
            candidate(self.parts[at[one]].segment, int(rows[one]), float(scores[one]), float(similarity[one]), texts)
            for one in np.flatnonzero(scores >= bar)
        ]
        return tuple(sorted(found, key=rank)[: self.k])


def rank(candidate: Candidate) -> tuple[float, str]:
    """The rule for ties: score descending, then sighting_id ascending."""
    return -candidate.score, candidate.sighting_id


def candidate(segment: Segment, row: int, score: float, similarity: float, texts: Vocabularies) -> Candidate:
    """A row as it is shown."""
    rows = segment.rows
    values = zip(ATTRIBUTES, texts.attributes, rows.attributes[row].tolist(), strict=True)
    known = {name: text for name, words, number in values if (text := words.text(number)) is not None}
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
    if not live or not len(queries.exact):
        return tuple(() for _ in queries.exact)
    wanted = max(100, 4 * k) * width
    fetched = [near(part, part.plan.kind, queries, wanted) for part in live]
    answers = []
    for number in range(len(queries.exact)):
        query, candidates = queries.only(number), [one[number] for one in fetched]
        widen = _widener(live, candidates, query, wanted)
        answers.append(Best(live, candidates, query, k, bonus).top(texts, max(64, 4 * k), widen))
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
