"""The made-up sightings of the search bench: clustered vectors, cameras, times, masks, and the true answers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from serve.search.segment_rows import ATTRIBUTES

PER_PERSON = 20
NOISE = 0.75
"""A sighting is its person's direction plus noise of this length: two of a person are 0.64 alike, strangers 0±1/√d."""
CAMERAS = 100
SPAN = 1_000_000_000
"""µs; sightings come in the order of time, a person's anywhere in it and at any camera."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Crowd:
    """n sightings in the order of time, and queries: fresh sightings of persons who are among them.

    As persons are seen anywhere at any time, a window of 1 % holds a sighting of every fifth person, and most of the
    ten best are strangers who happen to look alike: the hard case for codes of few bits, and for graphs.
    """

    vectors: Floats
    cameras: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    queries: Floats


def crowd(rows: int, dimension: int, queries: int, seed: int = 1) -> Crowd:
    """Unit vectors."""
    chance = np.random.default_rng(seed)
    persons = chance.standard_normal((max(1, rows // PER_PERSON), dimension), np.float32)
    persons /= np.linalg.norm(persons, axis=1, keepdims=True)
    who = chance.permutation(np.arange(rows) % len(persons))
    vectors = np.empty((rows, dimension), np.float32)
    for at in range(0, rows, 65_536):
        vectors[at : at + 65_536] = _seen(persons[who[at : at + 65_536]], chance)
    asked = _seen(persons[chance.choice(len(persons), queries)], chance)
    cameras = chance.integers(0, CAMERAS, rows)
    return Crowd(vectors, cameras, np.sort(chance.integers(0, SPAN, rows)), asked)


def _seen(persons: Floats, chance: np.random.Generator) -> Floats:
    noise = chance.standard_normal(persons.shape, np.float32)
    seen: Floats = persons + NOISE / np.float32(persons.shape[1] ** 0.5) * noise
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    return seen


def camera_name(number: int) -> str:
    """Its name in tables."""
    return f"camera-{number:03}"


def table(made: Crowd, start: int, end: int, prefix: str = "sighting") -> pa.Table:
    """Rows `[start, end)` as `Index.append` takes them, with attributes."""
    rows, dimension = end - start, made.vectors.shape[1]
    names = pa.array([camera_name(number) for number in range(CAMERAS)])
    words = pa.DictionaryArray.from_arrays(pa.array(made.cameras[start:end] % 10, pa.int8()), [*"abcdefghij"])
    numbers = pa.array(np.arange(start, end)).cast(pa.string())
    vectors = pa.array(made.vectors[start:end].reshape(-1))
    return pa.table(
        {
            "sighting_id": pa.compute.binary_join_element_wise(prefix, pa.compute.utf8_lpad(numbers, 9, "0"), "-"),
            "camera": pa.DictionaryArray.from_arrays(pa.array(made.cameras[start:end], pa.int16()), names),
            "time": pa.array(made.times[start:end]).cast(pa.timestamp("us", tz="UTC")),
            "embedding": pa.FixedSizeListArray.from_arrays(vectors, dimension),
            "quality": pa.array(np.full(rows, 0.9), pa.float32()),
            "attributes": pa.StructArray.from_arrays([words.cast(pa.string())] * len(ATTRIBUTES), list(ATTRIBUTES)),
        }
    )


@dataclass(frozen=True)
class Case:
    """A filter: the latest `window` of the time, at `share` of the cameras; 1.0 is no filter."""

    window: float
    share: float

    @property
    def name(self) -> str:
        """Percent of the window and of the cameras."""
        return f"window_{self.window:.0%}".replace("%", "") + (
            f"_mask_{self.share:.0%}" if self.masked else ""
        ).replace("%", "")

    @property
    def masked(self) -> bool:
        """Whether cameras are left out."""
        return self.share < 1.0

    @property
    def start(self) -> int:
        """Earliest time, µs."""
        return int(SPAN * (1 - self.window))

    @property
    def cameras(self) -> list[int]:
        """Those that are left, spread over the numbers."""
        return list(range(0, CAMERAS, round(1 / self.share)))

    def first(self, made: Crowd) -> int:
        """The first row in the window."""
        return int(np.searchsorted(made.times, self.start))

    def flags(self, made: Crowd) -> npt.NDArray[np.bool_]:
        """Which rows are permitted."""
        return (made.times >= self.start) & np.isin(made.cameras, self.cameras)


CASES = [Case(window, share) for window in (1.0, 0.5, 0.1, 0.01) for share in (1.0, 0.5, 0.1, 0.01)]


def likeness(made: Crowd) -> Floats:
    """Every row against every query, in float32: [rows, queries]."""
    return np.concatenate(
        [made.vectors[at : at + 65_536] @ made.queries.T for at in range(0, len(made.vectors), 65_536)]
    )


def truth(made: Crowd, rough: Floats, case: Case, k: int = 10) -> npt.NDArray[np.float64]:
    """By query the k best similarities among the permitted rows, in float64 of the vectors as they are."""
    kept = np.flatnonzero(case.flags(made))
    near = min(len(kept), 4 * k)
    best = np.full((len(made.queries), k), -np.inf)
    for number, query in enumerate(made.queries):
        chosen = kept[np.argpartition(-rough[kept, number], near - 1)[:near]]
        exact = np.sort(made.vectors[chosen].astype(np.float64) @ query.astype(np.float64))[::-1][:k]
        best[number, : len(exact)] = exact
    return best


TIE = 1e-4
"""Tie rule: a found row counts when it is no further than this below the last of the true ten. Half floats, as which
rows are kept, change the difference of two scores by a quarter of it (standard deviation)."""


def recall(made: Crowd, rows: npt.NDArray[np.int64], query: int, best: npt.NDArray[np.float64]) -> float:
    """The share of the true best that rows (numbers, -1 is none) stand for."""
    rows = np.unique(rows[rows >= 0])
    wanted = best[query][np.isfinite(best[query])]
    scores = made.vectors[rows].astype(np.float64) @ made.queries[query].astype(np.float64)
    return min(1.0, float(np.count_nonzero(scores >= wanted[-1] - TIE)) / len(wanted))
