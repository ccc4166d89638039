"""A siting problem and its solution as plain frozen data, which travel between processes."""

import time
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schemas.errors import InvalidError
from schemas.siting import Model

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.intp]
Status = Literal["optimal", "time-limit", "heuristic", "infeasible"]

GAP = 1e-6
"""A solution is called optimal when no other can be better by more than this share of its objective."""


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """One model over `n` demand points, `m` sites and `t` time slots.

    `distances` (n × m) are metres, finite. `demand` (n × t) counts people (or boardings, …) present in a slot;
    `slot_weights` (t) say what a slot counts in the objective; `reach` (t) is how far people go in it, in metres,
    infinite where no reach was asked. `capacity` (m) holds in each slot by itself, infinite where there is none.
    `cost`, `existing` (m): existing sites serve, cost nothing and do not count. At most `number` new sites, for at most
    `budget`.

    Raises `InvalidError` where the shapes do not agree or a value is impossible.
    """

    model: Model
    distances: Floats
    demand: Floats
    slot_weights: Floats
    reach: Floats
    capacity: Floats
    cost: Floats
    existing: Flags
    number: int | None = None
    budget: float | None = None
    time_limit_s: float = 60.0

    def __post_init__(self) -> None:
        (n, m), slots = self.distances.shape, len(self.slot_weights)
        wanted = {
            "demand": (n, slots),
            "reach": (slots,),
            "capacity": (m,),
            "cost": (m,),
            "existing": (m,),
        }
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise InvalidError(f"{name} has the shape {getattr(self, name).shape}, not {shape}")
        if not np.isfinite(self.distances).all() or (self.distances < 0).any():
            raise InvalidError("a distance is negative or not finite: give a straight line where no road leads")
        for name in ("demand", "slot_weights", "capacity", "cost", "reach"):
            if not (getattr(self, name) >= 0).all():
                raise InvalidError(f"{name} has a value that is negative or no number")

    @property
    def weights(self) -> Floats:
        """What each point counts in the objective: its demand by slot under the weights of the slots (n)."""
        weighted: Floats = self.demand @ self.slot_weights
        return weighted

    @property
    def present(self) -> Flags:
        """Whether anybody is at a point in any slot (n): only such points have to be served."""
        there: Flags = np.asarray(self.demand.any(axis=1))
        return there

    @property
    def settled(self) -> bool:
        """Whether nothing is left to choose."""
        return bool(self.existing.all() or self.number == 0)

    @property
    def capacitated(self) -> bool:
        """Whether some site could be asked for more than it takes in some slot."""
        return bool((self.capacity < self.demand.sum(axis=0).max(initial=0.0)).any())

    @property
    def furthest(self) -> Floats:
        """How far a site may stand from each point to cover it in all slots in which somebody is there (n)."""
        furthest: Floats = np.where(self.demand > 0, self.reach, np.inf).min(axis=1, initial=np.inf)
        return furthest


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """What was found. `objective`, `bound` and `gap` are None where nothing was.

    The objective is the number of new sites, or their cost where a budget alone was given (lscp), the demand covered
    (mclp), metres times demand (p-median), or metres (p-center); slots are weighted in the second and third. `bound`
    is what no solution can beat; `gap` their distance as a share of the objective. `chosen` are columns of the new
    sites. `assigned` (m × t) is the demand that goes to each site in each slot, `served` (n × t) the demand served,
    `uncovered` what is left. `before` and `after` (n) are metres to the nearest site without and with the new ones;
    infinite where there is none. `reason_ko` and `reason_en` say how far to trust it, or what to change.
    """

    model: Model
    status: Status
    reason_ko: str
    reason_en: str
    chosen: tuple[int, ...]
    objective: float | None
    bound: float | None
    gap: float | None
    seconds: float
    assigned: Floats
    served: Floats
    uncovered: Floats
    before: Floats
    after: Floats


@dataclass(frozen=True, slots=True)
class Deadline:
    """When to stop."""

    seconds: float
    began: float = field(default_factory=time.monotonic)

    def left(self) -> float:
        """Seconds that are left, never negative."""
        return max(0.0, self.began + self.seconds - time.monotonic())

    def passed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began


@dataclass(frozen=True, slots=True, eq=False)
class Flows:
    """The demand that goes to each site in each slot (m × t), and what of each point's is served (n × t)."""

    assigned: Floats
    served: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a model's solver hands on: which sites stand open (m), the objective, and what no solution can beat.

    `open` is None where nothing was found, and `proven` says that there is nothing. `large`: the problem was beyond
    what is solved exactly. `flows` are those that capacities decided.
    """

    open: Flags | None
    objective: float = np.inf
    bound: float = -np.inf
    flows: Flows | None = None
    large: bool = False
    proven: bool = False
