"""A dataset as a chart and as a map: Vega-Lite specifications with Korean and English labels, source and date."""

from typing import Any

import orjson
import polars as pl
import shapely

from schemas.dataset import Chart, Column, Dataset, Map
from schemas.errors import InvalidError
from serve.catalogue.geo import shapes_of

MOST_MARKS = 5_000
"""Rows or bars that a picture shows; more could not be told apart."""
MOST_KINDS = 20
"""Values that colours tell apart."""
_PIXELS = 1_440
_POINTED, _SOLID = {0, 4}, {3, 6}
"""Types of GEOS: point and multipoint, polygon and multipolygon."""
_COUNT = ("행 수", "rows")
_WORDS = {"sum": ("합계", "sum of"), "mean": ("평균", "mean of")}


def chart(rows: pl.DataFrame, facts: Dataset, lineage: dict[str, Any]) -> dict[str, Any]:
    """The declared chart of the rows. `lineage` (where they come from, and by what query) goes along as `usermeta`.

    Raises `InvalidError` where none is declared.
    """
    if (drawn := facts.chart) is None:
        raise InvalidError("no chart is declared for this dataset")
    values = _aggregated(rows, drawn)
    x, colour = facts.column(drawn.x), facts.column(drawn.colour) if drawn.colour else None
    timed = x.kind in {"date", "time"}
    across: dict[str, Any] = {"type": "temporal"} if timed else {"type": "quantitative"}
    if not timed and (x.kind not in {"integer", "number"} or drawn.mark == "bar"):
        across = {"type": "nominal", "sort": None}
    encoding: dict[str, Any] = {
        "x": {"field": "x", "title": _title(x), **across},
        "y": {"field": "y", "title": _height(facts, drawn), "type": "quantitative"},
    }
    if colour is not None:
        encoding["color"] = {"field": "colour", "title": _title(colour), "type": "nominal"}
    shown = values.head(MOST_MARKS).with_columns(pl.col(pl.Datetime).dt.convert_time_zone("Asia/Seoul"))
    shown = shown.with_columns(pl.col(pl.Datetime).dt.strftime("%Y-%m-%dT%H:%M:%S"))
    return {
        **_frame(facts, lineage, len(values)),
        "width": 640,
        "height": 320,
        "data": {"values": orjson.loads(shown.write_json())},
        "mark": {"type": drawn.mark, "tooltip": True},
        "encoding": encoding,
    }


def picture(rows: pl.DataFrame, facts: Dataset, lineage: dict[str, Any]) -> dict[str, Any]:
    """The rows on a map. Raises `InvalidError` for a dataset without places."""
    drawn = facts.map or Map()
    shapes = _simple(shapes_of(rows.head(MOST_MARKS), facts))
    colour = facts.column(drawn.colour) if drawn.colour else None
    told = rows.head(MOST_MARKS).select(
        (pl.col(colour.id) if colour is not None else pl.repeat(None, pl.len())).alias("colour"),
        (pl.col(drawn.label).cast(pl.String) if drawn.label else pl.repeat("", pl.len())).alias("label"),
    )
    if colour is not None and colour.kind not in {"integer", "number"}:
        told = _few(told.with_columns(pl.col("colour").cast(pl.String)))
    # d3 takes the other side of a ring of GeoJSON for its inside, so rings turn clockwise.
    features = [
        {"type": "Feature", "geometry": orjson.loads(shape), "properties": one}
        for shape, one in zip(shapely.to_geojson(_clockwise(shapes)).tolist(), told.to_dicts(), strict=True)
        if shape is not None
    ]
    flat = colour is None or colour.kind not in {"integer", "number"}
    encoding: dict[str, Any] = {}
    if colour is not None:
        scale = {"scheme": "tableau20"} if flat else {"scheme": "viridis"}
        kind = "nominal" if flat else "quantitative"
        encoding["color"] = {"field": "properties.colour", "type": kind, "title": _title(colour), "scale": scale}
    kinds = set(shapely.get_type_id(shapes).tolist())
    solid, pointed = bool(kinds & _SOLID), bool(kinds & _POINTED)
    mark = {"type": "geoshape", "strokeWidth": 0.4 if solid else 1.5, "filled": solid or pointed}
    mark |= {"stroke": "#ffffff"} if solid else {}
    return {
        **_frame(facts, lineage, len(rows)),
        "width": 720,
        "height": 560,
        "projection": {"type": "mercator", "pointRadius": 2},
        "data": {"values": features},
        "mark": mark if colour is not None or not pointed else mark | {"color": "#2f6fde"},
        "encoding": encoding,
    }


def _aggregated(rows: pl.DataFrame, drawn: Chart) -> pl.DataFrame:
    by = [pl.col(drawn.x).alias("x"), *([pl.col(drawn.colour).alias("colour")] if drawn.colour else [])]
    if drawn.aggregate == "none":
        return rows.select(*by, pl.col(drawn.y or drawn.x).alias("y")).drop_nulls("x")
    made = {
        "count": pl.len(),
        "sum": pl.when(pl.col(drawn.y or drawn.x).count() > 0).then(pl.col(drawn.y or drawn.x).sum()),
        "mean": pl.col(drawn.y or drawn.x).mean(),
    }[drawn.aggregate].alias("y")
    values = rows.group_by(*by).agg(made).drop_nulls("x")
    ordered = values.schema["x"].is_temporal() or values.schema["x"].is_numeric()
    return values.sort("x") if ordered else values.sort("y", "x", descending=[True, False])


def _height(facts: Dataset, drawn: Chart) -> str:
    if drawn.aggregate == "count" or drawn.y is None:
        return " ".join(_COUNT)
    y = facts.column(drawn.y)
    if drawn.aggregate == "none":
        return _title(y)
    ko, en = _WORDS[drawn.aggregate]
    return f"{y.ko} {ko} · {en} {y.en}" + (f" ({y.unit})" if y.unit else "")


def _few(told: pl.DataFrame) -> pl.DataFrame:
    """With the most frequent colours; the rest share one name."""
    counts = told.drop_nulls("colour").group_by("colour").len().sort("len", "colour", descending=[True, False])
    rare = pl.col("colour").is_in(counts["colour"][MOST_KINDS:].implode())
    return told.with_columns(pl.when(rare).then(pl.lit("기타 other")).otherwise("colour").alias("colour"))


def _simple(shapes: Any) -> Any:
    """Without what is smaller than a pixel of the picture: drawing takes its time by points, not by shapes."""
    placed = shapes[~(shapely.is_missing(shapes) | shapely.is_empty(shapes))]
    if not len(placed):
        return shapes
    west, south, east, north = shapely.total_bounds(placed)
    return shapely.simplify(shapes, max(east - west, north - south) / _PIXELS)


def _clockwise(shapes: Any) -> Any:
    return shapely.orient_polygons(shapes, exterior_cw=True)


def _frame(facts: Dataset, lineage: dict[str, Any], total: int) -> dict[str, Any]:
    notes = [f"출처 source: {facts.source}"]
    if facts.synthetic:
        notes.append("합성 자료 · synthetic data")
    if total > MOST_MARKS:
        notes.append(f"처음 {MOST_MARKS:,}개 · the first {MOST_MARKS:,} of {total:,}")
    title = {"text": f"{facts.title_ko} · {facts.title_en}", "subtitle": notes, "anchor": "start"}
    return {"title": title, "usermeta": {"lineage": lineage}}


def _title(column: Column) -> str:
    return f"{column.ko} {column.en}" + (f" ({column.unit})" if column.unit else "")
