"""Maps of the population: cells in the colour of what was counted, one picture, or one for each time slot."""

from collections.abc import Mapping
from typing import Any

import polars as pl
import shapely
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from actors.population.grid import geometries
from schemas.errors import InvalidError
from schemas.population import MEANINGS
from serve.population.query import Answer

MOST_SQUARES = 30_000
"""In one picture, over all its slots."""
_ONE, _MANY, _COLUMNS = 640, 230, 5
_HIDDEN, _LINE = "#c9ced6", "#7a7f87"
_SIMPLER_DEGREES = 0.0005
"""About 50 m: finer than a line of the picture."""


def population_map(
    found: Answer,
    attribution: str,
    outline: BaseGeometry | None = None,
    frame: tuple[float, float, float, float] | None = None,
    shapes: Mapping[str, dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """A Vega-Lite specification of an answer, its data inside; a small map a slot where there are several.

    The borders of `outline` (WGS84) are drawn, of all its parts. The map shows what is in `frame` (west, south, east,
    north), else the outline, else the cells. `attribution` names the sources of data and boundaries, in lines, as their
    licences want it. Cells of which all is hidden are grey. `shapes` are geometries by id, outer rings clockwise, where
    `found.cells` names others than cells. Raises `InvalidError` for more than `MOST_SQUARES`, and where there is
    nothing to draw at all.
    """
    rows = found.cells
    if rows.height > MOST_SQUARES:
        raise InvalidError(
            f"{rows.height:,} squares, more than {MOST_SQUARES:,}: ask for a smaller area or fewer slots"
        )
    if not rows.height and outline is None:
        raise InvalidError("nothing was counted there, so there is nothing to draw: ask for another area or slot")
    titles = {slot.id: slot.ko for slot in found.asked.slots}
    squares = _squares(rows, titles, _of_cells(rows["cell"].unique()) if shapes is None else shapes)
    size = _ONE if len(titles) == 1 else _MANY
    bounds = frame or (outline.bounds if outline is not None else _bounds(squares))
    drawn: dict[str, Any] = {
        "width": size,
        "height": size,
        "projection": {"type": "mercator", "fit": _frame(bounds), "size": [size, size], "clipExtent": None},
        "layer": [
            *_outlines(outline, bounds),
            _layer("isValid", _colour(found)),
            _layer("!isValid", {"value": _HIDDEN}),
        ],
    }
    whole: dict[str, Any] = {"title": _title(found, attribution, titles), "data": {"values": squares}}
    if len(titles) == 1:
        return {**whole, **drawn}
    facet = {"field": "slot", "type": "nominal", "title": None, "sort": list(titles.values())}
    return {**whole, "columns": _COLUMNS, "facet": facet, "spec": drawn}


def _of_cells(cells: pl.Series) -> dict[str, dict[str, Any]]:
    """Geometries, their rings turned clockwise, as d3 wants them."""
    return {
        cell: {"type": "Polygon", "coordinates": [ring[::-1] for ring in shape["coordinates"]]}
        for cell, shape in zip(cells, geometries(cells), strict=True)
    }


def _squares(rows: pl.DataFrame, titles: dict[str, str], shapes: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "type": "Feature",
            "geometry": shapes[cell],
            "slot": titles[slot],
            "value": value,
            "properties": {"cell": cell},
        }
        for cell, slot, value in rows.select("cell", "slot", pl.col("mean").round(2)).iter_rows()
    ]


def _layer(is_shown: str, colour: dict[str, Any]) -> dict[str, Any]:
    return {
        "transform": [{"filter": f"{is_shown}(datum.value)"}],
        "mark": {"type": "geoshape", "strokeWidth": 0, "clip": True},
        "encoding": {"color": colour},
    }


def _outlines(outline: BaseGeometry | None, bounds: tuple[float, float, float, float]) -> list[dict[str, Any]]:
    if outline is None:
        return []
    # Neighbours share a border, which is drawn once.
    borders = shapely.line_merge(shapely.union_all(shapely.get_parts(outline.boundary)))
    shown = shapely.clip_by_rect(shapely.simplify(borders, _SIMPLER_DEGREES), *bounds)
    lines = {"type": "Feature", "geometry": mapping(shown), "properties": {}}
    mark = {"type": "geoshape", "filled": False, "stroke": _LINE, "strokeWidth": 0.8, "clip": True}
    return [{"data": {"values": [lines]}, "mark": mark}]


def _colour(found: Answer) -> dict[str, Any]:
    """Square roots, for a few cells have most of the people."""
    meaning = MEANINGS[found.facts.measure]
    per = "하루 평균" if meaning.adds else "시간당 평균"
    return {
        "field": "value",
        "type": "quantitative",
        "title": f"{meaning.unit_ko} ({per})",
        "scale": {"type": "sqrt", "scheme": "yelloworangered", "domainMin": 0},
    }


def _title(found: Answer, attribution: str, titles: dict[str, str]) -> dict[str, Any]:
    """What it shows and what it does not, what is left out and hidden, whose data it is."""
    said, meaning = found.described(), MEANINGS[found.facts.measure]
    slot = f" — {next(iter(titles.values()))}" if len(titles) == 1 else ""
    first, last = found.days[0], found.days[-1]
    when = f"{first}" if first == last else f"{first} ~ {last}"
    notes = [
        meaning.not_ko,
        meaning.not_en,
        f"{when}, {said['days_ko']} · {said['denominator_ko']} · {found.below} 미만은 숨김(회색)",
        *f"자료: {attribution}".split("\n"),
    ]
    if found.retired is not None:
        notes.append(f"집계가 끝난 출처 · a retired source{f': {found.retired.why}' if found.retired.why else ''}")
    if found.facts.synthetic:
        notes.append("합성 자료 · synthetic data")
    return {"text": f"{meaning.ko}{slot} · {meaning.en}", "subtitle": notes, "anchor": "start"}


def _bounds(squares: list[dict[str, Any]]) -> tuple[float, float, float, float]:
    rings = shapely.polygons([square["geometry"]["coordinates"][0] for square in squares])
    west, south, east, north = shapely.total_bounds(rings).tolist()
    return west, south, east, north


def _frame(bounds: tuple[float, float, float, float]) -> dict[str, Any]:
    """A box as a ring that turns clockwise, as d3 wants it."""
    west, south, east, north = bounds
    ring = [[west, south], [west, north], [east, north], [east, south], [west, south]]
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {}}
