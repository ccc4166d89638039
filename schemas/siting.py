"""A siting request: where the next facilities of a kind should stand, for whom, and within which limits."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.base import EntityId, Frozen, Name
from schemas.road import Latitude, Longitude

Model = Literal["lscp", "mclp", "p-median", "p-center"]

MAX_POINTS, MAX_SITES, MAX_SLOTS = 20_000, 5_000, 48
MAX_PAIRS = 20_000_000
"""Demand points times sites: each is a distance of 8 bytes, held a few times over while solving."""
WALK_M_PER_MIN = 67.0
"""4 km/h, an unhurried adult; the elderly and children are slower, so ask for fewer minutes on their behalf."""

Amount = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]


class Reach(Frozen):
    """How far people go, in metres or in minutes on foot at 4 km/h; none where neither is given."""

    reach_m: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] | None = None
    walking_minutes: Annotated[float, Field(gt=0, le=240, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.reach_m is not None and self.walking_minutes is not None:
            raise ValueError("give reach_m or walking_minutes, not both")
        return self

    @property
    def metres(self) -> float | None:
        """The reach in metres, however it was given."""
        return self.walking_minutes * WALK_M_PER_MIN if self.walking_minutes is not None else self.reach_m


class Slot(Reach):
    """A time slot of the demand: what it counts in the objective, and its own reach where people go less far then."""

    id: EntityId
    weight: Amount = 1.0


class DemandPoint(Frozen):
    """Where people are: how many in each slot of the request, or `weight` where it has no slots."""

    lon: Longitude
    lat: Latitude
    id: Name | None = None
    weight: Amount | None = None
    weights: Annotated[tuple[Amount, ...], Field(max_length=MAX_SLOTS)] | None = None


class Site(Frozen):
    """An existing facility. `capacity` is how many it serves in one slot."""

    id: Name
    lon: Longitude
    lat: Latitude
    capacity: Positive | None = None


class Candidate(Site):
    """A place where a facility could be built, and its cost, in whatever unit the budget is in."""

    cost: Amount = 1.0


class Terms(Reach):
    """What is asked of a choice of sites, whatever the places are.

    `lscp` finds the fewest sites so that everybody has one within reach (the cheapest, where only a budget is given);
    its answer may need more than `number` or `budget`. `mclp` covers the most demand, `p-median` makes the mean way
    shortest, `p-center` the longest way, each with at most `number` sites for at most `budget`. `capacity` holds for
    sites without one of their own, in each slot by itself. Reach counts for `lscp` and `mclp`. Distances go along the
    city's roads where they lead, otherwise straight, times `detour`. `time_limit_s` holds for each model.
    """

    kind: Name
    models: Annotated[tuple[Model, ...], Field(min_length=1, max_length=4)]
    slots: Annotated[tuple[Slot, ...], Field(max_length=MAX_SLOTS)] = ()
    number: Annotated[int, Field(ge=0, le=MAX_SITES)] | None = None
    budget: Amount | None = None
    capacity: Positive | None = None
    distance: Literal["roads", "straight"] = "roads"
    detour: Annotated[float, Field(ge=1, le=3)] = 1.0
    time_limit_s: Annotated[float, Field(gt=0, le=300)] = 30.0

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if len(set(self.models)) < len(self.models):
            raise ValueError("models: each may be named once")
        if {"lscp", "mclp"} & set(self.models) and self.metres is None and not self._each_slot_has_a_reach():
            raise ValueError("lscp and mclp need a reach: give reach_m or walking_minutes")
        if {"mclp", "p-median", "p-center"} & set(self.models) and self.number is None and self.budget is None:
            raise ValueError("mclp, p-median and p-center need a number of sites or a budget")
        _once("slots", [slot.id for slot in self.slots])
        return self

    def _each_slot_has_a_reach(self) -> bool:
        return bool(self.slots) and all(slot.metres is not None for slot in self.slots)


class SitingRequest(Terms):
    """Which of `candidates` to build, beside `existing` ones, by each of `models`."""

    demand: Annotated[tuple[DemandPoint, ...], Field(min_length=1, max_length=MAX_POINTS)]
    candidates: Annotated[tuple[Candidate, ...], Field(min_length=1, max_length=MAX_SITES)]
    existing: Annotated[tuple[Site, ...], Field(max_length=MAX_SITES)] = ()

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if (pairs := len(self.demand) * self.sites) > MAX_PAIRS:
            raise ValueError(
                f"{pairs:,} pairs of demand and site, at most {MAX_PAIRS:,}: join points or leave sites out"
            )
        _once("candidates and existing", [site.id for site in (*self.candidates, *self.existing)])
        for at, point in enumerate(self.demand):
            _weighed(at, point, len(self.slots))
        return self

    @property
    def sites(self) -> int:
        """How many sites there are, candidates first, then existing ones."""
        return len(self.candidates) + len(self.existing)


def _once(what: str, ids: list[str]) -> None:
    seen: set[str] = set()
    for one in ids:
        if one in seen:
            raise ValueError(f"{what}: the id {one!r} stands twice")
        seen.add(one)


def _weighed(at: int, point: DemandPoint, slots: int) -> None:
    if point.weight is not None and point.weights is not None:
        raise ValueError(f"demand {at}: give weight or weights, not both")
    if slots and (point.weights is None or len(point.weights) != slots):
        given = "none" if point.weights is None else len(point.weights)
        raise ValueError(f"demand {at}: weights must have one number for each of the {slots} slots, has {given}")
    if not slots and point.weights is not None:
        raise ValueError(f"demand {at}: weights need slots; without any, give weight")
