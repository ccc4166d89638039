"""What the routes need of the search behind them: one protocol, the same in a test and on a cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from schemas.models import ModelCard
from schemas.person import Candidate, Coverage, Lag
from schemas.road import Window

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for, in the terms of one model. `vector` is float32 [d], finite and not zero, of any length."""

    model: str
    vector: Vector


@dataclass(frozen=True, slots=True)
class Filters:
    """Which sightings are permitted: hard limits. Their rows beyond a camera's retention never are.

    `cameras` None: all. `hard`: a sighting must have one of the values of each attribute named; unknown is excluded.
    """

    window: Window
    cameras: frozenset[str] | None = None
    min_quality: float = 0.0
    hard: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, best first, each sighting once, and what the answer rests on.

    `lag`: of shards that have not read everything; None where all that answered have.
    """

    candidates: tuple[Candidate, ...]
    coverage: Coverage
    lag: Lag | None = None

    @property
    def complete(self) -> bool:
        """Whether every shard answered, and had read everything."""
        return self.coverage.complete and self.lag is None


@dataclass(frozen=True, slots=True)
class Encoded:
    """One person on a photograph, by body or `face`. `box` is x, y, width, height in pixels, `quality` 0 to 1."""

    query: Query
    quality: float
    box: tuple[int, int, int, int] | None = None
    face: bool = False


@dataclass(frozen=True, slots=True)
class Photograph:
    """The persons on a photograph, best first, and `picture`: its pixels as a new JPEG, without any metadata."""

    people: tuple[Encoded, ...]
    picture: bytes


class Search(Protocol):
    """The sightings as the routes see them. Errors are `schemas.errors`; `UnavailableError` while all of it is away."""

    async def search(
        self, queries: Sequence[Query], filters: Filters, soft: Mapping[str, str], limit: int, deadline_s: float
    ) -> Found:
        """The `limit` best sightings over every permitted row of the shards that answer within `deadline_s`.

        A sighting's score is its best over the `queries` of its model; vectors of different models never meet, and
        candidates of several models are ordered as `serve.search.ranking` says. `soft` is evidence by attribute that
        adds to the score and excludes nobody. A shard that does not answer makes the coverage say so, never an error
        unless none does. Raises `InvalidError` for a model that is not known or a vector that does not fit it.
        """
        ...

    async def check(self, queries: Sequence[Query], deadline_s: float) -> None:
        """Raises what `search` would raise for these queries, and finds nobody: for a watch, which is asked later."""
        ...

    async def encode(self, photo: bytes) -> Photograph:
        """What a photograph (JPEG, PNG, WebP) shows; nobody where nobody is seen.

        Raises `InvalidError` for what is no picture or too large a one. What is kept is its `picture`, not the bytes
        that came, which may say where it was taken, when and by whom.
        """
        ...

    async def embedding_of(self, candidate: Candidate) -> Query:
        """The query for more like this sighting. Raises `GoneError` where it has expired or is erased."""
        ...

    async def picture(self, candidate: Candidate) -> bytes | None:
        """The small JPEG of a sighting; None where it never had one, has expired or is erased."""
        ...

    async def models(self) -> Sequence[ModelCard]:
        """The cards of every model in use, by id."""
        ...
