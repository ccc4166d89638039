"""From a request and its distances to one problem for each model."""

import numpy as np

from schemas.siting import SitingRequest
from serve.siting.problem import Floats, Problem

_EXACTLY = 1 + 1e-12
"""Costs that are a budget exactly add up to a little more in binary fractions: .1 + .2 > .3."""


def demand_places(asked: SitingRequest) -> Floats:
    """(lon, lat) of the demand points (n × 2)."""
    return np.array([(one.lon, one.lat) for one in asked.demand])


def site_places(asked: SitingRequest) -> Floats:
    """(lon, lat) of the sites (m × 2): candidates first, then existing ones, as in every array of a problem."""
    return np.array([(one.lon, one.lat) for one in (*asked.candidates, *asked.existing)])


def problems(asked: SitingRequest, metres: Floats) -> list[Problem]:
    """One problem for each model that was asked for, in that order. `metres` is demand × site."""
    if asked.slots:
        demand = np.array([one.weights for one in asked.demand], dtype=np.float64)
    else:
        demand = np.array([[1.0 if one.weight is None else one.weight] for one in asked.demand])
    sites = (*asked.candidates, *asked.existing)
    room = [asked.capacity if one.capacity is None else one.capacity for one in sites]
    everywhere = np.inf if asked.metres is None else asked.metres
    reach = [everywhere if slot.metres is None else slot.metres for slot in asked.slots] or [everywhere]
    return [
        Problem(
            model=model,
            distances=metres,
            demand=demand,
            slot_weights=np.array([slot.weight for slot in asked.slots] or [1.0]),
            reach=np.array(reach, dtype=np.float64),
            capacity=np.array([np.inf if one is None else one for one in room]),
            cost=np.array([one.cost for one in asked.candidates] + [0.0] * len(asked.existing)),
            existing=np.arange(len(sites)) >= len(asked.candidates),
            number=asked.number,
            budget=None if asked.budget is None else asked.budget * _EXACTLY,
            time_limit_s=asked.time_limit_s,
        )
        for model in asked.models
    ]
