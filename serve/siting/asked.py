"""A siting question as it is asked: places as they are, or where the city finds them."""

from typing import Annotated

from pydantic import Field

from schemas.base import EntityId, Frozen
from schemas.facility import FacilityKind
from schemas.population import Measure
from schemas.siting import MAX_POINTS, MAX_SITES, Amount, Candidate, DemandPoint, Positive, Site, Terms

_WHERE = Field(max_length=20, description="Conditions as those of `GET /v1/datasets/{dataset}/rows`.")


class FromPopulation(Frozen):
    """Demand from what is counted: the mean of each 500 m cell, at its middle, for each slot of hours.

    Parameters are those of `GET /v1/population`; `weights` of the slots in their order, 1 each without them. Counts
    that are too small to be told are no demand.
    """

    measure: Measure
    source: EntityId | None = None
    hours: Annotated[str, Field(max_length=200)] = "day"
    weights: tuple[Amount, ...] = ()
    weekday: Annotated[str, Field(max_length=60)] | None = None
    days: Annotated[str, Field(max_length=21)] | None = None
    area: Annotated[str, Field(max_length=1_000)] | None = None
    bbox: Annotated[str, Field(max_length=100)] | None = None
    partial: bool = False


class FromDataset(Frozen):
    """The points of a dataset; `label` names them instead of what its map does. Points of one name get a number."""

    dataset: EntityId
    where: Annotated[tuple[str, ...], _WHERE] = ()
    bbox: Annotated[str, Field(max_length=100)] | None = None
    label: EntityId | None = None
    capacity: Positive | None = None


class CandidatesOf(FromDataset):
    """Candidates from a dataset, all of the same cost."""

    cost: Amount = 1.0


class FromFacilities(Frozen):
    """The city's facilities of a kind that have a position."""

    facilities: FacilityKind
    capacity: Positive | None = None


class Siting(Terms):
    """Where to build. `slots` are those of `demand`; of demand from counts they are made of its hours."""

    demand: Annotated[tuple[DemandPoint, ...], Field(min_length=1, max_length=MAX_POINTS)] | FromPopulation
    candidates: Annotated[tuple[Candidate, ...], Field(min_length=1, max_length=MAX_SITES)] | CandidatesOf
    existing: Annotated[tuple[Site, ...], Field(max_length=MAX_SITES)] | FromFacilities | FromDataset = ()
