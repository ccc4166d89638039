"""Where a person could be by now: how far the roads lead from the last confirmed sighting."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import networkx as nx
from networkx.utils import UnionFind
from shapely import LineString, MultiLineString, Point, STRtree, node
from shapely.geometry import mapping
from shapely.ops import substring

from serve.search.journey import EARTH_M, FIELD_OF_VIEW_M

SNAP_M = 15.0
"""Ends of lines nearer than this are one crossing: the lines of a city's registers rarely meet to the centimetre."""
NEAR_M = 500.0
"""A road farther from the start than this says nothing of the way from there."""
ASIDE_M = 50.0
"""A person may stand this far beside the road."""

Line = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Area:
    """Where somebody may be: a GeoJSON geometry (WGS84), and how it was found."""

    geometry: dict[str, Any]
    method: Literal["roads", "straight-line"]


class Roads:
    """A road graph over lines of (lon, lat); ways lead both ways: people walk against one-way streets."""

    def __init__(self, lines: Iterable[Line]) -> None:
        given = [line for line in lines if len(line) > 1]
        lats = [lat for line in given for _, lat in line]
        self._lat = math.radians(sum(lats) / len(lats)) if lats else 0.0
        # Lines that cross meet, bridges too: rather too much reach than too little.
        crossed = node(MultiLineString([[self._metres(point) for point in line] for line in given]))
        kept = [[(at[0], at[1]) for at in line.coords] for line in crossed.geoms]
        self._place = [at for line in kept for at in line]
        self._graph: nx.Graph[int] = nx.Graph()
        self._join(kept)
        self._edges = list(self._graph.edges)
        self._tree = STRtree([LineString([self._place[one], self._place[other]]) for one, other in self._edges])

    def _metres(self, point: tuple[float, float]) -> tuple[float, float]:
        """Metres on a plane that touches the city at its mean latitude; 0.1 % off over 30 km."""
        lon, lat = point
        return math.radians(lon) * math.cos(self._lat) * EARTH_M, math.radians(lat) * EARTH_M

    def _degrees(self, at: tuple[float, float]) -> tuple[float, float]:
        return math.degrees(at[0] / EARTH_M / math.cos(self._lat)), math.degrees(at[1] / EARTH_M)

    def _join(self, lines: Sequence[Line]) -> None:
        """Edges between the points of each line; an end is one with every point near it."""
        same: UnionFind[int] = UnionFind(range(len(self._place)))
        where, first = [Point(at) for at in self._place], 0
        tree = STRtree(where)
        for line in lines:
            for end in (first, first + len(line) - 1):
                for other in tree.query(where[end], predicate="dwithin", distance=SNAP_M):
                    same.union(end, int(other))
            first += len(line)
        first = 0
        for line in lines:
            for start, end in pairwise(range(first, first + len(line))):
                if same[start] != same[end]:
                    metres = math.dist(self._place[same[start]], self._place[same[end]])
                    self._graph.add_edge(same[start], same[end], metres=metres)
            first += len(line)

    def within(self, lon: float, lat: float, seconds: float, metres_per_second: float) -> Area:
        """Where somebody may be who left (lon, lat) `seconds` ago at no more than this speed. Grows with both.

        Along the roads where one is within `NEAR_M`, as far as the lines lead, with `ASIDE_M` to either side; else a
        circle. The first `FIELD_OF_VIEW_M` cost no time: the camera saw somebody who stood that far from it.
        """
        start = Point(self._metres((lon, lat)))
        left = max(0.0, seconds) * metres_per_second + FIELD_OF_VIEW_M
        nearest = self._tree.nearest(start) if self._edges else None
        if nearest is None or start.distance(road := self._line(self._edges[int(nearest)])) > NEAR_M:
            return Area(self._geojson(start.buffer(left)), "straight-line")
        left = max(0.0, left - start.distance(road))
        reached = MultiLineString(self._reached(self._edges[int(nearest)], road.project(start), left))
        return Area(self._geojson(reached.buffer(ASIDE_M, quad_segs=2).union(start.buffer(ASIDE_M))), "roads")

    def _line(self, edge: tuple[int, int]) -> LineString:
        return LineString([self._place[edge[0]], self._place[edge[1]]])

    def _reached(self, edge: tuple[int, int], along: float, left: float) -> list[LineString]:
        """The stretches of road within `left` metres of the point that lies `along` metres along an edge."""
        road = self._line(edge)
        found = [substring(road, max(0.0, along - left), along + left)]
        for end, gone in zip(edge, (along, road.length - along), strict=True):
            costs = nx.single_source_dijkstra_path_length(self._graph, end, cutoff=left - gone, weight="metres")
            for one, cost in costs.items() if left > gone else ():
                found += [
                    substring(self._line((one, neighbour)), 0, left - gone - cost) for neighbour in self._graph[one]
                ]
        return [part for part in found if isinstance(part, LineString)]

    def _geojson(self, area: Any) -> dict[str, Any]:
        def turned(part: Any) -> Any:
            if isinstance(part[0], float):
                return tuple(round(value, 6) for value in self._degrees(part))
            return [turned(one) for one in part]

        shape = mapping(area)
        return {"type": shape["type"], "coordinates": turned(list(shape["coordinates"]))}
