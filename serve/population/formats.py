"""An answer as bytes: JSON, GeoJSON, CSV, Parquet, an Arrow stream, a Vega-Lite specification or a picture."""

from dataclasses import replace
from typing import Any, Literal

import orjson
import polars as pl

from actors.population.grid import centres, geometries
from schemas.errors import InvalidError
from schemas.population import MEANINGS
from serve.areas import Areas
from serve.charts.render import SCHEMA, render
from serve.population.by_area import by_area
from serve.population.picture import population_map
from serve.population.query import Answer
from serve.render import GEOJSON, table
from serve.statistics.formats import TYPES as TABLES

Format = Literal["json", "geojson", "csv", "parquet", "arrow", "vega", "svg", "png"]
TYPES: dict[str, str] = dict(TABLES.items(), geojson=GEOJSON)
MOST_ROWS = 200_000
Frame = tuple[float, float, float, float]


def body(
    found: Answer, form: Format, told: pl.DataFrame, areas: Areas | None, frame: Frame | None, *, by: str
) -> bytes:
    """An answer in a format, by `cell` or by `area`. `told` are the days as `suppress.told_days` gives them.

    `areas` are needed by area, and give pictures their outline. Takes up to a second or two: use a thread. Raises
    `InvalidError` beyond `MOST_ROWS`, and as `population_map` does.
    """
    rows = by_area(found, areas) if by == "area" and areas is not None else found.cells
    if rows.height > MOST_ROWS:
        raise InvalidError(f"{rows.height:,} rows, more than {MOST_ROWS:,}: ask for an area or fewer slots")
    said = described(found, areas)
    match form:
        case "vega" | "svg" | "png":
            return picture(drawing(found, rows, areas, frame, by=by), form)
        case "json":
            parts = {"totals": found.totals, "rows": rows, "told": told}
            said |= {name: part.to_dicts() for name, part in parts.items()}
            return orjson.dumps(said)
        case "geojson":
            return orjson.dumps({"type": "FeatureCollection", "about": said, "features": _features(found, rows, areas)})
        case "csv" | "parquet" | "arrow":
            return _table(found, rows, form)


def described(found: Answer, areas: Areas | None) -> dict[str, Any]:
    """What the answer is: `Answer.described`, its slots, and whose borders the areas have."""
    slots = [{"slot": one.id, "ko": one.ko, "en": one.en, "hours": one.hours} for one in found.asked.slots]
    return {**found.described(), "slots": slots, "boundaries": None if areas is None else areas.source}


def drawing(found: Answer, rows: pl.DataFrame, areas: Areas | None, frame: Frame | None, *, by: str) -> dict[str, Any]:
    """The Vega-Lite specification of the map."""
    credit = f"{found.facts.provider} ({found.facts.licence})"
    outline = None if areas is None else areas.parts
    if areas is None:
        return population_map(found, credit, outline, frame)
    credit += "\n" + areas.source.replace(" · ", "\n")
    if by == "cell":
        return population_map(found, credit, outline, frame)
    coded = replace(found, cells=rows.drop_nulls("code").rename({"code": "cell"}))
    return population_map(coded, credit, outline, frame, areas.geometries(clockwise=True))


def picture(spec: dict[str, Any], form: str) -> bytes:
    """A specification as JSON, or drawn."""
    if form == "vega":
        return orjson.dumps({"$schema": SCHEMA, **spec})
    return render(spec, "svg" if form == "svg" else "png")


def _features(found: Answer, rows: pl.DataFrame, areas: Areas | None) -> list[dict[str, Any]]:
    """One for each row, its columns the properties."""
    if "code" in rows.columns and areas is not None:
        shapes, name = areas.geometries(), "code"
    else:
        cells, name = rows["cell"].unique(), "cell"
        shapes = dict(zip(cells, geometries(cells), strict=True))
    return [
        {
            "type": "Feature",
            "id": f"{row[name]}/{row['slot']}",
            "geometry": shapes.get(row[name]),
            "properties": {"measure": found.facts.measure, **row},
        }
        for row in rows.iter_rows(named=True)
    ]


def _table(found: Answer, rows: pl.DataFrame, form: Literal["csv", "parquet", "arrow"]) -> bytes:
    """Rows that say themselves what they count; those of cells with the middle of each (WGS84)."""
    unit = MEANINGS[found.facts.measure].unit_en
    named = rows.select(
        pl.lit(found.source).alias("source"),
        pl.lit(found.facts.measure).alias("measure"),
        pl.lit(unit).alias("unit"),
        pl.all(),
    )
    if "cell" in rows.columns:
        lon, lat = centres(rows["cell"])
        named = named.with_columns(pl.Series("lon", lon.round(6)), pl.Series("lat", lat.round(6)))
    return table(named, form)
