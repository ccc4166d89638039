"""A search in memory by brute force: `serve.search.protocol.Search` without an index. All of it is synthetic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from schemas.errors import GoneError, InvalidError
from schemas.models import Accuracy, Calibration, ModelCard
from schemas.person import Candidate, Coverage, Lag
from serve.search.calibration import probability
from serve.search.protocol import Encoded, Filters, Found, Photograph, Query

MODEL = "test-3"
CALIBRATION = Calibration(
    a=20.0,
    b=-12.0,
    prior=0.01,
    threshold=0.6,
    false_positive_rate=0.001,
    same_pairs=10,
    different_pairs=10,
    persons=5,
    data="made up",
)


@dataclass
class Seen:
    candidate: Candidate
    vector: np.ndarray
    picture: bytes | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


class MemorySearch:
    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.asked: list[tuple[Sequence[Query], Filters, Mapping[str, str], int]] = []
        self.during = lambda: None
        self.lag: Lag | None = None

    async def search(
        self, queries: Sequence[Query], filters: Filters, soft: Mapping[str, str], limit: int, deadline_s: float
    ) -> Found:
        self.asked.append((queries, filters, soft, limit))
        await self.check(queries, deadline_s)
        result = self.during()
        if result is not None:
            await result
        rows = [one for one in self.seen if self._permitted(one, filters)]
        scored = []
        for one in rows:
            score = max(float(one.vector @ (q.vector / np.linalg.norm(q.vector))) for q in queries)
            calibrated = one.candidate.model == MODEL
            likely = float(probability(CALIBRATION, score)) if calibrated else None
            known = one.candidate.model_copy(update={"score": score, "probability": likely})
            scored.append(known)
        found = sorted(scored, key=lambda one: (-one.score, one.id))[:limit]
        coverage = Coverage(
            shards=1,
            shards_answered=1,
            rows_permitted=len(rows),
            rows_scanned=len(rows),
            cameras=len({one.candidate.camera for one in rows}),
            cameras_silent=(),
            hours_missing=0,
            exact=True,
            recall=None,
        )
        return Found(tuple(found), coverage, self.lag)

    def _permitted(self, one: Seen, filters: Filters) -> bool:
        inside = filters.window.start <= one.candidate.time < filters.window.end
        allowed = filters.cameras is None or one.candidate.camera in filters.cameras
        hard = all(one.attributes.get(name) in values for name, values in filters.hard.items())
        return inside and allowed and hard

    async def check(self, queries: Sequence[Query], deadline_s: float) -> None:
        for query in queries:
            if query.model != MODEL or len(query.vector) != 3:
                raise InvalidError(f"model {query.model!r} is not known, or its vectors have another length")

    async def encode(self, photo: bytes) -> Photograph:
        if photo == b"nobody":
            return Photograph((), b"")
        if not photo.startswith(b"jpeg"):
            raise InvalidError("the picture cannot be read")
        one = Encoded(Query(MODEL, np.array([1, 0, 0], np.float32)), 0.9)
        return Photograph((one,) * photo.count(b"jpeg"), b"bare " + photo)

    async def embedding_of(self, candidate: Candidate) -> Query:
        return Query(MODEL, self._row(candidate).vector)

    async def picture(self, candidate: Candidate) -> bytes | None:
        return self._row(candidate).picture

    def _row(self, candidate: Candidate) -> Seen:
        for one in self.seen:
            if one.candidate.id == candidate.id:
                return one
        raise GoneError(f"{candidate.id} is erased")

    async def models(self) -> Sequence[ModelCard]:
        figure = Accuracy(name="rank-1", value=0.5, n=10, how="made up", measured_here=False)
        return [
            ModelCard(
                id=MODEL,
                kind="body",
                name="Test",
                dimensions=3,
                version="1",
                digest="",
                licence="none",
                source="made up",
                accuracy=(figure,),
                weak=True,
                bias_en="Not measured.",
                bias_ko="측정되지 않음.",
                calibration=CALIBRATION,
            )
        ]
