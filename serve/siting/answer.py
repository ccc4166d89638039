"""A siting answer as GeoJSON: which sites are chosen, by which model, and who gains what."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from schemas.siting import SitingRequest
from serve.siting.compare import Measures
from serve.siting.distances import Distances
from serve.siting.problem import Floats, Problem, Solution


def collection(
    asked: SitingRequest,
    far: Distances,
    problems: Sequence[Problem],
    solutions: Sequence[Solution],
    measures: Sequence[Measures],
) -> dict[str, Any]:
    """A FeatureCollection (RFC 7946, WGS84): sites first, then demand points, with `about` beside them.

    A site's `role` is `existing`, `chosen` (by some model) or `not-chosen`; `chosen_by` names the models; `assigned`
    gives the people that come, by model and slot. A demand point has `before_m`, and by model `after_m`, `gain_m`
    (metres less to the nearest site), `served` and `uncovered` (people, all slots together). Metres are null where
    there is no site, a gain also where there was none before.
    """
    return {
        "type": "FeatureCollection",
        "about": about(asked, far, problems, solutions, measures),
        "features": [*_sites(asked, solutions), *_points(asked, problems[0], solutions)],
    }


def about(
    asked: SitingRequest,
    far: Distances,
    problems: Sequence[Problem],
    solutions: Sequence[Solution],
    measures: Sequence[Measures],
) -> dict[str, Any]:
    """What was asked, how distances were found, what each model gave, and the comparison under every objective."""
    names = [site.id for site in asked.candidates]
    return {
        "kind": asked.kind,
        "number": asked.number,
        "budget": asked.budget,
        "reach_m": asked.metres,
        "distances": far.said,
        "models": [_told(solution, problem, names) for solution, problem in zip(solutions, problems, strict=True)],
        "compared": [asdict(one) for one in measures],
    }


def _told(solution: Solution, problem: Problem, names: Sequence[str]) -> dict[str, Any]:
    gains = _gain(solution) > 0
    return {
        "model": solution.model,
        "status": solution.status,
        "reason_ko": solution.reason_ko,
        "reason_en": solution.reason_en,
        "chosen": [names[site] for site in solution.chosen],
        "objective": solution.objective,
        "unit": _unit(problem),
        "bound": solution.bound,
        "gap": solution.gap,
        "seconds": round(solution.seconds, 3),
        "uncovered": _rounded(solution.uncovered.sum(axis=0)),
        "points_that_gain": int(gains.sum()),
        "demand_that_gains": float(problem.weights[gains].sum()),
    }


def _unit(problem: Problem) -> str:
    match problem.model:
        case "lscp":
            return "cost" if problem.number is None and problem.budget is not None else "sites"
        case "mclp":
            return "demand"
        case "p-median":
            return "m × demand"
        case "p-center":
            return "m"


def _sites(asked: SitingRequest, solutions: Sequence[Solution]) -> list[dict[str, Any]]:
    slots = [slot.id for slot in asked.slots] or ["all"]
    chosen_by: dict[int, list[str]] = {}
    for solution in solutions:
        for number in solution.chosen:
            chosen_by.setdefault(number, []).append(solution.model)
    coming = {one.model: _rounded(one.assigned) for one in solutions if one.objective is not None}
    features = []
    for at, site in enumerate((*asked.candidates, *asked.existing)):
        existing, by = at >= len(asked.candidates), chosen_by.get(at, [])
        assigned = {
            model: dict(zip(slots, people[at], strict=True))
            for model, people in coming.items()
            if existing or model in by
        }
        properties = {
            "what": "site",
            "id": site.id,
            "role": "existing" if existing else "chosen" if by else "not-chosen",
            "chosen_by": by,
            "capacity": site.capacity or asked.capacity,
            "cost": None if existing else asked.candidates[at].cost,
            "assigned": assigned,
        }
        features.append(_feature(site.lon, site.lat, properties))
    return features


def _points(asked: SitingRequest, problem: Problem, solutions: Sequence[Solution]) -> list[dict[str, Any]]:
    there = [one for one in solutions if one.objective is not None]
    columns = {
        one.model: [
            _rounded(values) for values in (one.after, _gain(one), one.served.sum(axis=1), one.uncovered.sum(axis=1))
        ]
        for one in there
    }
    before = _rounded(solutions[0].before)
    people = _rounded(problem.demand.sum(axis=1))
    names = ("after_m", "gain_m", "served", "uncovered")
    return [
        _feature(
            point.lon,
            point.lat,
            {
                "what": "demand",
                "id": point.id or str(at),
                "demand": people[at],
                "before_m": before[at],
                "models": {
                    model: {name: values[at] for name, values in zip(names, by, strict=True)}
                    for model, by in columns.items()
                },
            },
        )
        for at, point in enumerate(asked.demand)
    ]


def _gain(solution: Solution) -> Floats:
    """Metres less to the nearest site (n): infinite where there was none before, 0 where there is none after either."""
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(solution.before - solution.after, nan=0.0, posinf=np.inf)


def _rounded(values: Floats) -> Any:
    """Lists of numbers with one decimal, None where infinite."""
    told = np.round(values, 1).astype(object)
    told[~np.isfinite(values)] = None
    return told.tolist()


def _feature(lon: float, lat: float, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "geometry": {"type": "Point", "coordinates": [lon, lat]}, "properties": properties}
