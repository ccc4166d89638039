"""Standing queries: every new batch of sightings times the matrix of all watches of its model, once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.base import from_micros, micros
from schemas.models import Calibration
from schemas.person import Candidate, WatchStarted
from serve.search.calibration import log_odds, probability
from serve.search.protocol import Query

Floats = npt.NDArray[np.float32]


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


class Watching:
    """All active watches. Their vectors lie in memory only, and in the erasable object that the case names."""

    def __init__(self, calibrations: Mapping[str, Calibration]) -> None:
        self._calibrations = calibrations
        self._rows: dict[tuple[str, int], tuple[tuple[_Row, ...], Floats]] = {}

    def put(self, asked: WatchStarted, queries: tuple[Query, ...]) -> None:
        """Begin to match a watch, replacing what was known of it.

        Of a model without a calibration the cosine itself is compared with `min_probability`.
        """
        self.remove(asked.case, asked.watch)
        for query in queries:
            norm = float(np.linalg.norm(query.vector))
            if query.model not in asked.models or not np.isfinite(norm) or norm == 0:
                continue
            key = query.model, len(query.vector)
            rows, matrix = self._rows.get(key, ((), np.empty((0, len(query.vector)), np.float32)))
            least = self.threshold(query.model, asked.min_probability)
            row = _Row(asked.case, asked.watch, micros(asked.at), frozenset(asked.cameras), least)
            vector = (query.vector / norm).astype(np.float32)
            self._rows[key] = (*rows, row), np.vstack([matrix, vector])

    def threshold(self, model: str, least: float) -> float:
        """The cosine that means a probability."""
        if (known := self._calibrations.get(model)) is None:
            return least
        odds = log_odds(min(max(least, 1e-9), 1 - 1e-9))
        return (odds - known.b) / known.a

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
