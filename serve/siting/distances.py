"""How far it is from each demand point to each site, and by which method each distance was found."""

import math
from dataclasses import dataclass

import networkx as nx
import numpy as np
from scipy.sparse import csgraph
from shapely import distance, length, line_locate_point, points

from serve.search.journey import EARTH_M
from serve.search.reach import NEAR_M, Roads
from serve.siting.problem import Flags, Floats, Ints

_SOURCES = 64
"""Ends of roads from which ways are sought at once: a row of all crossings for each is in memory meanwhile."""


@dataclass(frozen=True, slots=True, eq=False)
class Distances:
    """Metres (n × m), and which of them lead along roads (n × m); the others are straight lines times `detour`."""

    metres: Floats
    by_road: Flags
    detour: float

    @property
    def said(self) -> str:
        """The method in a sentence."""
        straight = "straight line" + ("" if self.detour == 1 else f" × {self.detour:g}")
        return (
            f"along roads for {self.by_road.mean():.1%} of the pairs, else {straight}"
            if self.by_road.any()
            else straight
        )


def straight(start: Floats, end: Floats) -> Floats:
    """Great-circle metres between each two of (lon, lat) (n × 2, m × 2), by the haversine formula (n × m)."""
    one, other = np.radians(start)[:, None, :], np.radians(end)[None, :, :]
    half = np.sin((other - one) / 2) ** 2
    inner = half[..., 1] + np.cos(one[..., 1]) * np.cos(other[..., 1]) * half[..., 0]
    metres: Floats = 2 * EARTH_M * np.arcsin(np.sqrt(np.clip(inner, 0.0, 1.0)))
    return metres


def distances(start: Floats, end: Floats, roads: "Walks | None" = None, detour: float = 1.0) -> Distances:
    """Metres along the roads where they lead from one to the other, else straight times `detour`."""
    crow = straight(start, end) * detour
    if roads is None:
        return Distances(crow, np.zeros(crow.shape, dtype=bool), detour)
    walked = roads.metres(start, end)
    by_road = np.isfinite(walked)
    return Distances(np.where(by_road, walked, crow), by_road, detour)


class Walks(Roads):
    """The road graph, asked for many ways at once."""

    def metres(self, start: Floats, end: Floats) -> Floats:
        """Metres along the roads between each two of (lon, lat), infinite where none lead (n × m).

        A point joins the nearest road where that is within `NEAR_M`, straight.
        """
        best = np.full((len(start), len(end)), np.inf)
        if not self._edges:
            return best
        numbers = {name: at for at, name in enumerate(self._graph.nodes)}
        graph = nx.to_scipy_sparse_array(self._graph, weight="metres", format="csr")
        ends = np.array([[numbers[one], numbers[other]] for one, other in self._edges])
        here, there = self._joined(start, ends), self._joined(end, ends)
        sources = np.unique(there.ends[there.near])
        for first in range(0, len(sources), _SOURCES):
            chunk = sources[first : first + _SOURCES]
            far = csgraph.dijkstra(graph, directed=False, indices=chunk)
            for side in (0, 1):
                who = np.flatnonzero(np.isin(there.ends[:, side], chunk) & there.near)
                rows = far[np.searchsorted(chunk, there.ends[who, side])]
                for other in (0, 1):
                    way = (
                        rows[:, here.ends[:, other]].T + here.to_end[:, other, None] + there.to_end[who, side][None, :]
                    )
                    best[:, who] = np.minimum(best[:, who], way)
        same = here.edge[:, None] == there.edge[None, :]
        along = np.abs(here.along[:, None] - there.along[None, :])
        best = np.where(same, np.minimum(best, along), best) + here.aside[:, None] + there.aside[None, :]
        return np.where(here.near[:, None] & there.near[None, :], best, np.inf)

    def _joined(self, places: Floats, ends: Ints) -> "_Joined":
        lon, lat = np.radians(places).T
        where = points(np.column_stack([lon * math.cos(self._lat), lat]) * EARTH_M)
        edge: Ints = np.atleast_1d(self._tree.nearest(where)).astype(np.intp)
        line = self._tree.geometries[edge]
        along, aside = line_locate_point(line, where), distance(line, where)
        return _Joined(edge, ends[edge], along, np.column_stack([along, length(line) - along]), aside, aside <= NEAR_M)


@dataclass(frozen=True, slots=True, eq=False)
class _Joined:
    """Where places join the roads: edge, its two ends, metres along it, to each end, and from the place to it."""

    edge: Ints
    ends: Ints
    along: Floats
    to_end: Floats
    aside: Floats
    near: Flags
