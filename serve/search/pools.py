"""The indexes of one shard: one for each model and camera group, so that vectors of different models never meet."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.base import micros
from schemas.errors import BomnaeError, InvalidError
from schemas.sighting import ErasureRequested
from serve.search.asking import Question
from serve.search.index import Appended, Index
from serve.search.index_search import Candidate, Coverage, rank
from serve.search.plan import Filters
from serve.search.quantise import BadQueryError, Model
from serve.search.soft import described
from serve.search.store import Rewritten

_BETWEEN = "~"
"""Stands in no id of a model or a group."""
_OF = "/"
"""Between camera and sighting_id in an index: a sighting's id is its camera's own, and an index takes each id once."""


class Pool(NamedTuple):
    """Which index: vectors of one model, from cameras that are searched together."""

    model: str
    dimensions: int
    group: str


class Looked(NamedTuple):
    """What the indexes of a model found for one question, and what each of them scanned."""

    found: tuple[Candidate, ...]
    coverages: tuple[Coverage, ...]


class Pools:
    """Indexes by pool, each in a folder of its own. Writers come one at a time, `look` from any thread."""

    def __init__(self, folder: Path) -> None:
        """Map what is on disk. Raises `DamagedStoreError`."""
        self._folder = folder
        self.indexes: Mapping[Pool, Index] = {}
        for home in sorted(folder.glob(_BETWEEN.join("***"))):
            model, dimensions, group = home.name.split(_BETWEEN)
            self._index(Pool(model, int(dimensions), group))

    def _index(self, pool: Pool) -> Index:
        if pool not in self.indexes:
            home = self._folder / _BETWEEN.join(map(str, pool))
            home.mkdir(parents=True, exist_ok=True)
            # Replaced, not changed: searches in other threads go over the one that they saw.
            self.indexes = {**self.indexes, pool: Index.open(Model(pool.model, pool.dimensions), home)}
        return self.indexes[pool]

    def append(self, pool: Pool, table: pa.Table) -> Appended:
        """Add rows; they can be found when this returns. Safe to repeat."""
        ids = pc.binary_join_element_wise(
            table["camera"].cast(pa.string()), table["sighting_id"].cast(pa.string()), _OF
        )
        at = table.schema.get_field_index("sighting_id")
        return self._index(pool).append(table.set_column(at, "sighting_id", ids))

    def all_sealed(self, pool: Pool) -> bool:
        """Whether every row of a pool is on disk."""
        return not self._index(pool).state.loose

    def erase(self, asked: ErasureRequested) -> None:
        """Remove what is asked from every index, codes included, and keep what that did; safe to repeat."""
        what: dict[str, Any] = {"ids": {f"{asked.camera}{_OF}{one}" for one in asked.sightings}}
        if asked.window is not None:
            start, end = micros(asked.window.start), micros(asked.window.end)
            what = {"cameras": {asked.camera}, "start": start, "end": end}
        for index in self.indexes.values():
            index.erase(**what, receipt=_name_of(asked.camera, asked.erasure))

    def receipts(self, camera: str, erasure: str) -> list[tuple[Pool, Rewritten]]:
        """What an erasure did to segments, by pool."""
        name = _name_of(camera, erasure)
        return [(pool, one) for pool, index in self.indexes.items() for one in index.receipt(name)]

    def forget(self, camera: str, erasure: str) -> None:
        """Throw these away."""
        for index in self.indexes.values():
            index.forget(_name_of(camera, erasure))

    def drop(self, before: Mapping[str, int]) -> int:
        """Remove each camera's rows before a moment; how many."""
        return sum(index.drop(before).rows for index in self.indexes.values())

    def known(self, model: str) -> bool:
        """Whether there is an index of this model."""
        return any(pool.model == model for pool in self.indexes)

    def look(self, questions: Sequence[Question], filters: Filters) -> list[Looked | BomnaeError]:
        """Answer questions of one model, with these filters and the first's description, in one pass over the rows.

        A vector that fits no index of the model is `InvalidError` for its question alone.
        """
        first = questions[0]
        fitting = {
            pool.dimensions: [one for key, one in self.indexes.items() if key[:2] == pool[:2]]
            for pool in self.indexes
            if pool.model == first.model
        }
        answers: dict[int, Looked | BomnaeError] = {}
        for dimensions in {one.vectors.shape[1] for one in questions}:
            asked = [at for at, one in enumerate(questions) if one.vectors.shape[1] == dimensions]
            if fitting and dimensions not in fitting:
                wanted = " or ".join(map(str, sorted(fitting)))
                wrong = InvalidError(f"a vector of {first.model} has {wanted} dimensions, not {dimensions}")
                answers |= dict.fromkeys(asked, wrong)
                continue
            told = _together([questions[at] for at in asked], fitting.get(dimensions, []), filters)
            answers |= dict(zip(asked, told, strict=True))
        return [answers[at] for at in range(len(questions))]


def _name_of(camera: str, erasure: str) -> str:
    return f"{camera}/{erasure}"


def _together(questions: Sequence[Question], indexes: Sequence[Index], filters: Filters) -> list[Looked | BomnaeError]:
    soft = described(questions[0].soft, questions[0].per_nat)
    edges = np.cumsum([0, *(len(one.vectors) for one in questions)]).tolist()
    vectors = np.concatenate([one.vectors for one in questions])
    most = max(one.limit for one in questions)
    try:
        answers = [index.search(vectors, most, filters, soft) for index in indexes]
    except BadQueryError as error:
        if len(questions) == 1:
            return [InvalidError(str(error))]
        return [one for question in questions for one in _together([question], indexes, filters)]
    coverages = tuple(answer.coverage for answer in answers)
    return [
        Looked(_own(best((row for answer in answers for row in answer.found[start:end]), question.limit)), coverages)
        for question, start, end in zip(questions, edges[:-1], edges[1:], strict=True)
    ]


def _own(found: Iterable[Candidate]) -> tuple[Candidate, ...]:
    return tuple(one._replace(sighting_id=one.sighting_id.split(_OF, 1)[1]) for one in found)


def best(rows: Iterable[Sequence[Candidate]], limit: int) -> tuple[Candidate, ...]:
    """The best of several answers, each sighting once with its highest score."""
    found: dict[tuple[str, str], Candidate] = {}
    for one in sorted((candidate for row in rows for candidate in row), key=rank):
        found.setdefault((one.camera, one.sighting_id), one)
    return tuple(found.values())[:limit]
