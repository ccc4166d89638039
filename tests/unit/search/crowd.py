"""A made-up crowd: sightings as plain records, as tables, and the answers of a brute force over them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from serve.search.index_search import Candidate
from serve.search.plan import Filters
from serve.search.quantise import Model, unit
from serve.search.segment_rows import ATTRIBUTES, sightings
from serve.search.soft import Description

MODEL = Model("test", 16)


@dataclass(frozen=True)
class Seen:
    id: str
    camera: str
    time: int
    vector: tuple[float, ...]
    quality: float = 1.0
    attributes: dict[str, str] = field(default_factory=dict)


def crowd(count: int, model: Model = MODEL, seed: int = 0, prefix: str = "s", kinds: int = 12) -> list[Seen]:
    """Sightings of `kinds` persons, every third of them a copy of the person's vector, so that scores tie."""
    chance = np.random.default_rng(seed)
    persons = chance.standard_normal((kinds, model.dimension))
    seen = []
    for number in range(count):
        noise = chance.standard_normal(model.dimension) * (0.0 if number % 3 == 0 else 0.4)
        vector = persons[number % kinds] + noise
        known = {name: str(chance.choice(["x", "y"])) for name in ATTRIBUTES if chance.random() < 0.7}
        camera, time = str(chance.choice(["a", "b", "c"])), int(chance.integers(0, 100))
        quality = float(chance.integers(0, 5)) / 4
        seen.append(
            Seen(f"{prefix}{number:04}", camera, time, tuple(vector.astype(np.float32).tolist()), quality, known)
        )
    return seen


def table(seen: Sequence[Seen], model: Model = MODEL) -> pa.Table:
    """As `Index.append` takes it."""
    schema = sightings(model)
    vectors = np.array([one.vector for one in seen], np.float16).reshape(len(seen), model.dimension)
    columns: dict[str, Any] = {
        "sighting_id": [one.id for one in seen],
        "camera": [one.camera for one in seen],
        "time": pa.array([one.time for one in seen], pa.int64()).cast(pa.timestamp("us", tz="UTC")),
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), model.dimension),
        "quality": pa.array([one.quality for one in seen], pa.float32()),
        "attributes": pa.array(
            [dict.fromkeys(ATTRIBUTES) | one.attributes for one in seen], schema.field("attributes").type
        ),
    }
    return pa.table(columns, schema=schema)


def allowed(one: Seen, filters: Filters) -> bool:
    return (
        filters.start <= one.time < filters.end
        and (filters.cameras is None or one.camera in filters.cameras)
        and one.quality >= filters.min_quality
        and all(one.attributes.get(name) in wanted for name, wanted in filters.attributes.items())
    )


def half(vector: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """What an index keeps of a vector that came as half floats, or of a query."""
    return unit(np.atleast_2d(np.asarray(vector)))[0].astype(np.float16).astype(np.float64)[0]


def added(one: Seen, soft: Description | None) -> float:
    """What a description adds to a score."""
    total = 0.0
    for name, text in soft.said.items() if soft else ():
        if name in one.attributes:
            evidence = soft.weights[name] if soft else None
            assert evidence is not None
            total += (evidence.agrees if one.attributes[name] == text else evidence.differs) * (
                soft.per_nat if soft else 0
            )
    return total


def brute_force(
    seen: Iterable[Seen], query: npt.ArrayLike, k: int, filters: Filters, soft: Description | None = None
) -> list[tuple[str, float]]:
    """Every permitted sighting, scored one by one: ids and scores of the k best."""
    looked = half(np.asarray(query, np.float32))
    scored = [
        (one.id, float(sum(half(np.array(one.vector, np.float16)) * looked)) + added(one, soft))
        for one in seen
        if allowed(one, filters)
    ]
    return sorted(scored, key=lambda pair: (-pair[1], pair[0]))[:k]


def told(found: Sequence[Candidate]) -> list[tuple[str, float]]:
    """The same of an answer."""
    return [(one.sighting_id, one.score) for one in found]
