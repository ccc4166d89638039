"""A statistic as bytes: JSON, CSV, Parquet, an Arrow stream, a Vega-Lite specification or a picture."""

from typing import Any, Literal

import orjson
import polars as pl

from serve.charts.render import MEDIA, render
from serve.render import ARROW, JSON, json_rows, table
from serve.statistics.declared import OWN, ZONE, Asked, Column, Statistic
from serve.statistics.labels import Labels

Format = Literal["json", "csv", "parquet", "arrow", "vega", "svg", "png"]
VEGA = "application/vnd.vegalite.v6+json"
TYPES: dict[Format, str] = {
    "json": JSON,
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "arrow": ARROW,
    "vega": VEGA,
    "svg": MEDIA["svg"],
    "png": MEDIA["png"],
}
DRAWN = frozenset({"vega", "svg", "png"})
MOST_MARKS = 5_000
"""Rows that a picture shows; more could not be told apart."""
FEW_MARKS = 100
"""Up to so many each is marked: a line of one row could not be seen."""


def body(told: Statistic, asked: Asked, rows: pl.DataFrame, form: Format, labels: Labels) -> bytes:
    """The rows in a format, times in UTC but for pictures. Takes up to a second for those: use a thread."""
    if form in DRAWN:
        spec = chart(told, rows, labels)
        return orjson.dumps(spec) if form == "vega" else render(spec, "svg" if form == "svg" else "png")
    rows = rows.with_columns(pl.col(pl.Datetime).dt.convert_time_zone("UTC"))
    match form:
        case "csv" | "parquet" | "arrow":
            return table(rows, form)
        case _:
            said = orjson.dumps(described(told, asked), option=orjson.OPT_UTC_Z)
            return b'%b,"rows":%b}' % (said[:-1], json_rows(rows))


def described(told: Statistic, asked: Asked | None = None) -> dict[str, Any]:
    """What a statistic is, and with `asked` of what this answer is."""
    said: dict[str, Any] = {
        "statistic": told.id,
        "title_ko": told.ko,
        "title_en": told.en,
        "unit": told.unit,
        "denominator": told.denominator,
        "source": told.source,
        "takes": sorted(told.takes),
        "columns": [{"name": one.name, "ko": one.ko, "en": one.en, "unit": one.unit} for one in told.columns],
    }
    if asked is not None:
        filters = {name: getattr(asked, name) for name in sorted(told.takes)}
        said |= {"start": asked.start, "end": asked.end, "zone": ZONE, **filters}
    return said


def chart(told: Statistic, rows: pl.DataFrame, labels: Labels) -> dict[str, Any]:
    """The Vega-Lite specification of a statistic, its data inside; times as the city's clock shows them."""
    unit = (told.unit == OWN and labels.unit(rows)) or told.unit
    drawn, named = told.chart, {one.name: one for one in told.columns}
    some = labels.named(rows.head(MOST_MARKS)).select(name for name in (drawn.x, drawn.y, drawn.colour) if name)
    timed = some.schema[drawn.x].is_temporal()
    across = {"type": "temporal"} if timed else {"type": "nominal", "sort": None}
    encoding = {
        "x": {"field": drawn.x, "title": _title(named[drawn.x]), **across},
        "y": {"field": drawn.y, "title": _title(named[drawn.y], unit), "type": "quantitative"},
    }
    if drawn.colour:
        encoding["color"] = {"field": drawn.colour, "title": _title(named[drawn.colour]), "type": "nominal"}
    return {
        "title": {"text": f"{told.ko} · {told.en}", "subtitle": _notes(rows), "anchor": "start"},
        "width": 640,
        "height": 320,
        "data": {"values": some.with_columns(pl.col(pl.Datetime).dt.strftime("%Y-%m-%dT%H:%M:%S")).to_dicts()},
        "mark": {"type": drawn.mark, "tooltip": True}
        | ({"point": len(some) <= FEW_MARKS} if drawn.mark == "line" else {}),
        "encoding": encoding,
    }


def _notes(rows: pl.DataFrame) -> list[str]:
    """What a picture has to say of its data."""
    notes = ["합성 자료 포함 · with synthetic data"] if rows["synthetic"].any() else []
    if len(rows) > MOST_MARKS:
        notes.append(f"처음 {MOST_MARKS:,}개 행 · the first {MOST_MARKS:,} of {len(rows):,} rows")
    return notes


def _title(column: Column, unit: str = "") -> str:
    unit = column.unit or unit
    return f"{column.ko} {column.en}" + (f" ({unit})" if unit else "")
