"""Standing queries: every new batch of sightings times the matrix of all watches of its model, once.

From which score on a sighting is a hit is settled when a watch begins, and kept with its query.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.base import from_micros, micros
from schemas.models import Calibration
from schemas.person import Candidate, WatchStarted
from serve.search.calibration import cosine, probability
from serve.search.queries import Sought
from serve.search.soft import Description, described, per_nat_of

Floats = npt.NDArray[np.float32]

UNCALIBRATED = 0.5
"""Score from which a sighting hits a watch that names no probability, of a model without a calibration. Assumed."""


def least_scores(
    models: Sequence[str], calibrations: Mapping[str, Calibration], min_probability: float | None
) -> dict[str, float]:
    """From which score on sightings hit a watch, by model.

    That of a probability, where one is given; else each model's own threshold. Of a model without a calibration the
    score itself is compared with `min_probability`, or with `UNCALIBRATED`.
    """
    found: dict[str, float] = {}
    for model in models:
        known = calibrations.get(model)
        if known is None:
            found[model] = UNCALIBRATED if min_probability is None else min_probability
        else:
            found[model] = known.threshold if min_probability is None else cosine(known, min_probability)
    return found


def most_scores(
    models: Sequence[str], calibrations: Mapping[str, Calibration], soft: Mapping[str, str]
) -> dict[str, float]:
    """The highest score that a sighting can have, by model: the same picture, with every attribute agreeing."""
    told = {model: described(soft, per_nat_of(calibrations.get(model))) for model in models}
    return {model: 1.0 + (0.0 if one is None else one.most) for model, one in told.items()}


@dataclass(frozen=True, slots=True)
class Hit:
    """A sighting that a watch matched."""

    case: str
    watch: str
    candidate: Candidate

    @property
    def key(self) -> str:
        """A sighting hits a watch once."""
        return f"{self.case}/{self.watch}/{self.candidate.camera}/{self.candidate.sighting}"

    def to_dict(self) -> dict[str, Any]:
        """As a task's data."""
        return {"case": self.case, "watch": self.watch, "candidate": self.candidate.model_dump(mode="json")}


@dataclass(frozen=True, slots=True)
class _Row:
    """One vector of one watch; matches what was observed at `started` (µs UTC) or later."""

    case: str
    watch: str
    started: int
    cameras: frozenset[str]
    threshold: float
    soft: Description | None


class Watching:
    """All active watches. Their vectors lie in memory only, and in the erasable object that the case names."""

    def __init__(self, calibrations: Mapping[str, Calibration]) -> None:
        self._calibrations = calibrations
        self._rows: dict[tuple[str, int], tuple[tuple[_Row, ...], Floats]] = {}

    def put(self, asked: WatchStarted, sought: Sought) -> None:
        """Begin to match a watch, replacing what was known of it. Attributes weigh in as in a search."""
        self.remove(asked.case, asked.watch)
        # A query that was kept before thresholds were kept with it has none.
        least = {**least_scores(asked.models, self._calibrations, asked.min_probability), **sought.least}
        for query in sought.queries:
            norm = float(np.linalg.norm(query.vector))
            if query.model not in asked.models or not np.isfinite(norm) or norm == 0:
                continue
            key = query.model, len(query.vector)
            rows, matrix = self._rows.get(key, ((), np.empty((0, len(query.vector)), np.float32)))
            soft = described(sought.soft, per_nat_of(self._calibrations.get(query.model)))
            cameras = frozenset(asked.cameras)
            row = _Row(asked.case, asked.watch, micros(asked.at), cameras, least[query.model], soft)
            vector = (query.vector / norm).astype(np.float32)
            self._rows[key] = (*rows, row), np.vstack([matrix, vector])

    def remove(self, case: str, watch: str | None = None) -> None:
        """Match no longer: one watch, or all of a case."""
        for key, (rows, matrix) in list(self._rows.items()):
            keep = [at for at, row in enumerate(rows) if row.case != case or watch not in {None, row.watch}]
            self._rows[key] = tuple(rows[at] for at in keep), matrix[keep]
            if not keep:
                del self._rows[key]

    def match(self, model: str, dimensions: int, table: pa.Table, observed: int) -> list[Hit]:
        """Who is watched for among the rows of a block that was observed at a moment (µs UTC)."""
        if (model, dimensions) not in self._rows or not table.num_rows:
            return []
        rows, matrix = self._rows[model, dimensions]
        column = table["embedding"].combine_chunks()
        vectors = np.asarray(column.flatten(), np.float32).reshape(-1, dimensions)
        scores = vectors @ matrix.T
        for number, row in enumerate(rows):
            if row.soft is not None:
                scores[:, number] += row.soft.added(table["attributes"])
        live = np.array([row.started <= observed for row in rows])
        near = np.argwhere((scores >= np.array([row.threshold for row in rows], np.float32)) & live)
        best: dict[tuple[str, str, int], float] = {}
        for at, number in near.tolist():
            key = rows[number].case, rows[number].watch, at
            best[key] = max(best.get(key, -1.0), float(scores[at, number]))
        cameras = {(row.case, row.watch): row.cameras for row in rows}
        hits = [Hit(case, watch, self._candidate(model, table, at, score)) for (case, watch, at), score in best.items()]
        return [one for one in hits if not (only := cameras[one.case, one.watch]) or one.candidate.camera in only]

    def _candidate(self, model: str, table: pa.Table, row: int, score: float) -> Candidate:
        known = self._calibrations.get(model)
        return Candidate(
            sighting=table["sighting_id"][row].as_py(),
            camera=table["camera"][row].as_py(),
            time=from_micros(table["time"][row].cast(pa.int64()).as_py()),
            model=model,
            score=score,
            probability=None if known is None else float(probability(known, score)),
        )
