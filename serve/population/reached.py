"""People over facilities, from an answer and a layer to bytes."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import orjson
import polars as pl

from actors.population.grid import centres, geometries
from schemas.errors import InvalidError
from serve.areas import Areas
from serve.population.formats import MOST_ROWS, Frame, described, drawing, picture
from serve.population.layers import Layer
from serve.population.overlay import Overlay, overlay
from serve.population.query import Answer
from serve.siting.distances import Walks, distances
from serve.statistics.formats import DRAWN

Format = Literal["json", "geojson", "vega", "svg", "png"]
MOST_PAIRS = 5_000_000
"""Of a cell and a facility: some 300 MB while distances are computed."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far people walk."""

    minutes: float
    metres_per_minute: float


def reached(found: Answer, layer: Layer, walks: Walks | None, reach: Reach) -> tuple[Overlay, str]:
    """The overlay, and in words how distances were found. Raises `InvalidError` beyond `MOST_PAIRS`."""
    cells = found.cells["cell"].unique().sort()
    if (pairs := len(cells) * layer.rows.height) > MOST_PAIRS:
        raise InvalidError(
            f"{len(cells):,} cells with {layer.rows.height:,} facilities are {pairs:,} ways, of which at most "
            f"{MOST_PAIRS:,} are measured: ask for an area or a bbox"
        )
    if (rows := layer.rows.height * len(found.asked.slots)) > MOST_ROWS:
        raise InvalidError(f"{rows:,} facilities by slot are more than {MOST_ROWS:,}: ask for fewer slots")
    start, end = np.column_stack(centres(cells)), layer.rows.select("lon", "lat").to_numpy()
    far = distances(start, end, walks if pairs else None)
    method = np.where(far.by_road, "roads", "straight-line")
    limits = {"reach_min": reach.minutes, "walk_m_per_min": reach.metres_per_minute}
    return overlay(found.cells, cells, layer.rows["facility"], far.metres, method, **limits), far.said


def body(
    found: Answer,
    layer: Layer,
    walks: Walks | None,
    reach: Reach,
    form: Format,
    areas: Areas | None,
    frame: Frame | None,
) -> bytes:
    """An overlay in a format; takes up to seconds, so use a thread. Raises as `reached` and `population_map` do."""
    over, how = reached(found, layer, walks, reach)
    if form in DRAWN:
        return picture(_drawing(found, over, layer, reach, areas, frame), form)
    said = {**described(found, areas), **_described(layer, reach, how, over)}
    facilities = over.facilities.join(layer.rows, on="facility", how="left", maintain_order="left")
    if form == "geojson":
        features = [*_points(facilities), *_gaps(over.gaps)]
        return orjson.dumps({"type": "FeatureCollection", "about": said, "features": features})
    parts = {"totals": over.slots, "facilities": facilities, "gaps": over.gaps, "cells": over.cells}
    return orjson.dumps({**said, **{name: rows.to_dicts() for name, rows in parts.items()}})


def _described(layer: Layer, reach: Reach, how: str, over: Overlay) -> dict[str, Any]:
    by_road = (over.cells["method"] == "roads").sum()
    return {
        "layer": layer.id,
        "layer_ko": layer.title_ko,
        "layer_en": layer.title_en,
        "layer_source": layer.source,
        "layer_count": layer.rows.height,
        "layer_without_place": layer.left_out,
        "layer_synthetic": int(layer.rows["synthetic"].sum()),
        "reach_min": reach.minutes,
        "walk_m_per_min": reach.metres_per_minute,
        "distances": how,
        "nearest_by_road": int(by_road),
        "nearest_by_straight_line": int(over.cells["method"].count() - by_road),
        "stands_ko": "셀의 사람은 셀 가운데에 있는 것으로 보므로 실제 거리는 350m까지 다를 수 있음",
        "stands_en": "the people of a cell are taken to stand in its middle: they may be 350 m nearer or farther",
    }


def _points(facilities: pl.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "type": "Feature",
            "id": f"{row['facility']}/{row['slot']}",
            "geometry": {"type": "Point", "coordinates": [row["lon"], row["lat"]]},
            "properties": {"kind": "facility", **row},
        }
        for row in facilities.iter_rows(named=True)
    ]


def _gaps(gaps: pl.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "type": "Feature",
            "id": f"{row['cell']}/{row['slot']}",
            "geometry": shape,
            "properties": {"kind": "gap", **row},
        }
        for row, shape in zip(gaps.iter_rows(named=True), geometries(gaps["cell"]), strict=True)
    ]


def _drawing(
    found: Answer, over: Overlay, layer: Layer, reach: Reach, areas: Areas | None, frame: Frame | None
) -> dict[str, Any]:
    """The map of the gaps, with the facilities as points."""
    gaps = found.cells.join(over.gaps, on=("cell", "slot"), how="semi", maintain_order="left")
    spec = drawing(replace(found, cells=gaps), gaps, areas, frame, by="cell")
    title = spec["title"]
    words = (
        f"걸어서 {reach.minutes:g}분 안에 {layer.title_ko} 없음 · none of {layer.title_en} within {reach.minutes:g} min"
    )
    title["subtitle"] = [
        title["text"],
        *title["subtitle"],
        f"점: {layer.title_ko} {layer.rows.height:,}곳 · {layer.source}",
    ]
    title["text"] = words
    points = {
        "data": {"values": layer.rows.select(pl.col("lon", "lat").round(6)).to_dicts()},
        "mark": {"type": "circle", "size": 12, "color": "#1f4e9e", "opacity": 0.9, "clip": True},
        "encoding": {
            "longitude": {"field": "lon", "type": "quantitative"},
            "latitude": {"field": "lat", "type": "quantitative"},
        },
    }
    spec.get("spec", spec)["layer"].append(points)
    return spec
