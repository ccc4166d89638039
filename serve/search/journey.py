"""How a person may have gone from camera to camera: travel-time gates, the likeliest chain, what the rest is worth.

Distances are great circles, which no real way undercuts: a leg called impossible is impossible on any road.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Literal

Mode = Literal["walk", "bus", "car", "impossible"]

FASTEST_M_S: dict[Mode, float] = {"walk": 2.0, "bus": 8.3, "car": 27.8}
"""The fastest that each way of travel is given from camera to camera, straight line.

Assumptions, chosen to let rather too much through. Walking: 1.4 m/s is a usual comfortable speed of adults, 2.0 a brisk
one. Bus: 30 km/h with its stops. Car: 100 km/h, twice the limit of 50 km/h within Korean towns, for their bypasses.
"""

WEIGHT: dict[Mode, float] = {"walk": 4.0, "bus": 2.0, "car": 1.0, "impossible": 0.05}
"""How the odds of a sighting change with the way of travel that it needs from or to a confirmed one.

Assumptions, not fitted. Never 0: what was confirmed may be the error.
"""

FIELD_OF_VIEW_M = 50.0
"""A person stands this far from a camera at most, so two cameras may be nearer to each other than their masts."""
CLOCKS_S = 2.0
"""Cameras' clocks may differ by this much."""
EARTH_M = 6_371_008.8
"""Mean radius of the Earth (IUGG)."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A sighting with its place. `probability` that it is the person, 0 to 1; of a confirmed one 1."""

    sighting: str
    camera: str
    lon: float
    lat: float
    time: datetime
    probability: float
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Leg:
    """From one stop to the next one in time."""

    start: Stop
    end: Stop
    metres: float
    seconds: float
    mode: Mode

    @property
    def reason(self) -> str:
        """Why the leg is what it is, in a sentence."""
        if not self.seconds:
            return f"{self.metres:.0f} m apart at the same moment"
        return f"{self.metres:.0f} m in {self.seconds:.0f} s: {self.metres / self.seconds * 3.6:.0f} km/h"


@dataclass(frozen=True, slots=True)
class Journey:
    """The likeliest chain in order of time, its legs, and the stops that do not fit, each with the leg that forbids it.

    Confirmed stops are always in the chain; a leg between two of them may be impossible, and is shown so. `left_out`
    are likely stops that would be possible, but make the chain less likely, each with the hardest leg that it needs.
    """

    stops: tuple[Stop, ...]
    legs: tuple[Leg, ...]
    apart: tuple[tuple[Stop, Leg], ...]
    left_out: tuple[tuple[Stop, Leg], ...] = ()


def distance_m(start: tuple[float, float], end: tuple[float, float]) -> float:
    """Great-circle distance of two (lon, lat) in metres, by the haversine formula."""
    (lon1, lat1), (lon2, lat2) = (tuple(map(math.radians, point)) for point in (start, end))
    half = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_M * math.asin(math.sqrt(min(1.0, half)))


def leg(one: Stop, other: Stop) -> Leg:
    """The way between two stops, whichever came first, and the slowest way of travel that could make it."""
    start, end = sorted((one, other), key=_order)
    metres = distance_m((start.lon, start.lat), (end.lon, end.lat))
    seconds = (end.time - start.time).total_seconds()
    needed = max(0.0, metres - 2 * FIELD_OF_VIEW_M) / (seconds + CLOCKS_S)
    modes = (mode for mode, fastest in FASTEST_M_S.items() if needed <= fastest)
    return Leg(start, end, metres, seconds, next(modes, "impossible"))


def weigh(stop: Stop, confirmed: Sequence[Stop]) -> Stop:
    """The stop with its probability given what was confirmed: its nearest confirmed ones before and after count."""
    if stop.confirmed:
        return stop
    near = _neighbours(stop, confirmed)
    if not near:
        return stop
    factor = min(WEIGHT[leg(stop, one).mode] for one in near)
    odds = factor * stop.probability
    return replace(stop, probability=odds / (odds + 1 - stop.probability))


def plan(stops: Sequence[Stop], likely: float = 0.5) -> Journey:
    """The chain of all confirmed stops and of those likely ones that together are the most probable and possible.

    A stop is likely from probability `likely` on, after `weigh`. Of equal chains the one whose stops come first counts.
    """
    confirmed = sorted((one for one in stops if one.confirmed), key=_order)
    weighed = [weigh(one, confirmed) for one in stops if not one.confirmed]
    chain = _best(sorted([*confirmed, *(one for one in weighed if one.probability >= likely)], key=_order))
    chosen = {one.sighting for one in chain}
    apart, left_out = [], []
    for one in sorted((one for one in weighed if one.sighting not in chosen), key=_order):
        forbidding = [found for found in (leg(one, other) for other in chain) if found.mode == "impossible"]
        if forbidding:
            apart.append((one, forbidding[0]))
        elif one.probability >= likely:
            needed = [leg(one, other) for other in _neighbours(one, chain)]
            left_out.append((one, min(needed, key=lambda found: WEIGHT[found.mode])))
    legs = tuple(leg(one, other) for one, other in pairwise(chain))
    return Journey(tuple(chain), legs, tuple(apart), tuple(left_out))


def _neighbours(stop: Stop, others: Sequence[Stop]) -> list[Stop]:
    """Of others the last one before a stop and the first one behind it, where there are any."""
    earlier = [one for one in others if _order(one) <= _order(stop)]
    later = [one for one in others if _order(one) > _order(stop)]
    return ([max(earlier, key=_order)] if earlier else []) + ([min(later, key=_order)] if later else [])


def _best(stops: list[Stop]) -> list[Stop]:
    """The heaviest chain through stops in order of time that leaves out no confirmed one (dynamic programming)."""
    best: list[tuple[float, int]] = []
    for end, stop in enumerate(stops):
        value, before = 0.0, -1
        for start in range(end - 1, -1, -1):
            mode = leg(stops[start], stop).mode
            if mode != "impossible" or (stops[start].confirmed and stop.confirmed):
                linked = best[start][0] + math.log(WEIGHT[mode])
                if linked > value or (before == -1 and stops[start].confirmed):
                    value, before = linked, start
            if stops[start].confirmed:
                if before == -1:  # whoever cannot follow the last confirmed stop is in no chain
                    value = -math.inf
                break
        best.append((value + _worth(stop), before))
    if not stops:
        return []
    last = max((i for i, one in enumerate(stops) if one.confirmed), default=-1)
    ends = range(max(last, 0), len(stops))
    at = max(ends, key=lambda i: (best[i][0], -i))
    chain = []
    while at >= 0:
        chain.append(stops[at])
        at = best[at][1]
    return chain[::-1]


def _worth(stop: Stop) -> float:
    certain = min(max(stop.probability, 1e-6), 1 - 1e-6)
    return math.log(certain / (1 - certain)) + 1e-3


def _order(stop: Stop) -> tuple[datetime, str]:
    return stop.time, stop.sighting
