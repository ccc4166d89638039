"""What a router asks a shard and what it is told: many questions in one call, one answer each."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.errors import BomnaeError
from serve.search.index_search import Candidate
from serve.search.protocol import Filters, Vector
from serve.search.soft import SIMILARITY_PER_NAT


@dataclass(frozen=True, slots=True)
class Question:
    """The `limit` best sightings for the best of `vectors`, float32 [n, d] of one model.

    `per_nat`: how much similarity weighs as much as one nat of what `soft` says.
    """

    model: str
    vectors: Vector
    filters: Filters
    soft: Mapping[str, str]
    limit: int
    per_nat: float = SIMILARITY_PER_NAT


@dataclass(frozen=True, slots=True)
class Rested:
    """What one shard's answer rests on. `missing_us`: camera time in the window of which it has no sightings.

    `known`: the model has rows here. `permitted` counts rows of blocks that are gone too, `scanned` does not.
    """

    known: bool = False
    permitted: int = 0
    scanned: int = 0
    cameras: int = 0
    silent: tuple[str, ...] = ()
    missing_us: int = 0
    exact: bool = True
    recall: float | None = None


@dataclass(frozen=True, slots=True)
class Behind:
    """How far one shard is behind the logs of its sightings: since when, how many records at least, and why."""

    seconds: float = 0.0
    records: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """One shard's answer to one question: best first, by score and then by id."""

    found: tuple[Candidate, ...] = ()
    rested: Rested = field(default_factory=Rested)
    lag: Behind = field(default_factory=Behind)


Replies = list[Reply | BomnaeError]
"""In the order of the questions."""
