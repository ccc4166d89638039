"""Rows of a source's file as counts per day, cell and hour; its report accounts for every number received."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

import polars as pl
import shapely

from actors.population.layouts import ROW_LIMITS, Layout
from actors.population.placing import OUTSIDE, PLACED, UNPLACED, placed
from schemas.errors import InvalidError

_ROW, _KEY = "_row", "_key:"
REPEATED = "repeated"
_HOUR = r"^(\d{1,2})(?:\.0+|시|:00(?::00)?)?$"
_DAY = r"^(\d{4}[-./]?\d{2}[-./]?\d{2})"


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in a file, in rows.

    `repeated`: of a fact that came before with the same number (dropped). `conflicting`: with another number (the later
    counts). `alike`: of the same place, time and number under another name of the place; `alike_count` is their sum.
    `unreadable`: no day, hour or number from nought up in it (dropped); `unreadable_count` is the sum of their
    numbers. `cut`: as many rows as a spreadsheet holds.
    `odd_share`: the share of odd numbers among those above nought; far below a half, each was probably counted twice.
    """

    rows: int
    repeated: int
    conflicting: int
    alike: int
    alike_count: float
    unreadable: int
    unreadable_count: float
    cut: bool
    odd_share: float


@dataclass(frozen=True, slots=True)
class Counted:
    """A file as counts.

    `counts`: `day` (Asia/Seoul), `cell`, `hour`, `count`; what is inside the city and above nought, sorted.
    `days`: a row a day: `rows` read, `received = placed + outside + unplaced + repeated`, `places_outside`,
    `places_unplaced` (numbers of places), `hours` that have rows, and whether it is `whole`.
    `places`: each place that is not `inside` the city: `place`, `name`, `kept` (`outside`, `unplaced`), `count`.
    """

    counts: pl.DataFrame
    days: pl.DataFrame
    places: pl.DataFrame
    findings: Findings


def counted(
    rows: pl.DataFrame,
    layout: Layout,
    *,
    day: date | None = None,
    city: shapely.Geometry | None = None,
    places: pl.DataFrame | None = None,
    hours: frozenset[int] | None = None,
    alike: Literal["add", "once"] = "add",
) -> Counted:
    """Counts of a file, its cells as texts or typed.

    `day`: of a file that has no such column. `city`: WGS84; what lies outside is told, not counted; None: nothing is
    outside. `places`: `place, name, lon, lat` for a file whose places have no coordinates. `hours`: those that a whole
    day has; None: all that any day of the file has. `alike`: whether a row of the same place, time and number under
    another name of the place adds to the first or is the same fact.

    Raises `InvalidError` for a file without the columns of its layout, or without a day.
    """
    if missing := [name for name in layout.needed() if name not in rows.columns]:
        raise InvalidError(f"the file lacks the columns {missing}: it has {rows.columns}")
    if layout.day is None and day is None:
        raise InvalidError("the file does not say of which day it is: name the day")
    read = _read(rows, layout, day)
    good = read.drop_nulls(["day", "hour", "count"])
    once, repeats = _once(good)
    same = _alike(once, layout.name) if layout.name is not None else once.clear()
    findings = Findings(
        rows=rows.height,
        repeated=int(repeats["same"].sum()),
        conflicting=int((~repeats["same"]).sum()),
        alike=same.height,
        alike_count=float(same["count"].sum()),
        unreadable=read.height - good.height,
        unreadable_count=float(read["count"].sum()) - float(good["count"].sum()),
        cut=rows.height in ROW_LIMITS,
        odd_share=_odd_share(once["count"]),
    )
    if alike == "once":
        once = once.join(same, on=_ROW, how="anti")
        repeats = pl.concat([repeats.drop("same"), same])
    where = placed(once, layout, city, places)
    inside = where.filter(pl.col("kept") == PLACED, pl.col("count") > 0)
    counts = inside.group_by("day", "cell", "hour").agg(pl.col("count").sum()).sort("day", "cell", "hour")
    again = repeats.with_columns(pl.lit(REPEATED).alias("kept"))
    columns = ["day", "hour", "place", "name", "count", "kept"]
    kept = pl.concat([where.select(columns), again.select(columns)])
    cut = good["day"].to_list()[-1] if findings.cut and good.height else None
    return Counted(counts, _days(kept, hours, cut), _elsewhere(where), findings)


def _odd_share(counts: pl.Series) -> float:
    """Of the whole counts above nought; estimates with fractions are neither odd nor even."""
    some = counts.filter((counts > 0) & (counts % 1 == 0))
    return float((some % 2 == 1).sum() / len(some)) if len(some) * 2 > len(counts) else 0.5


def _read(rows: pl.DataFrame, layout: Layout, day: date | None) -> pl.DataFrame:
    """The columns that count, parsed, null where a text is none of its kind; those of the identity behind `_KEY`."""
    names = layout.identity or tuple(name for name in rows.columns if name not in layout.values)
    identity = [name for name in names if name in rows.columns]
    text = rows.select(pl.all().cast(pl.String).str.strip_chars()).with_row_index(_ROW)
    hour = _text(text, layout.hour).str.extract(_HOUR).cast(pl.UInt8) if layout.hour else pl.lit(0, pl.UInt8)
    count = pl.col(layout.value).str.replace_all(",", "", literal=True).cast(pl.Float64, strict=False)
    return text.select(
        _ROW,
        pl.lit(day, pl.Date).alias("day") if layout.day is None else _date(_text(text, layout.day)).alias("day"),
        pl.when(hour <= 23).then(hour).alias("hour"),
        _text(text, layout.cell or layout.place).alias("place"),
        _text(text, layout.name).alias("name"),
        _text(text, layout.lon).cast(pl.Float64, strict=False).alias("lon"),
        _text(text, layout.lat).cast(pl.Float64, strict=False).alias("lat"),
        pl.when(count.is_finite() & (count >= 0)).then(count).alias("count"),
        *(pl.col(name).alias(_KEY + name) for name in identity),
    )


def _text(rows: pl.DataFrame, header: str | None) -> pl.Expr:
    return pl.col(header) if header is not None and header in rows.columns else pl.lit(None, pl.String)


def _date(text: pl.Expr) -> pl.Expr:
    return text.str.extract(_DAY).str.replace_all(r"\D", "").str.to_date("%Y%m%d", strict=False)


def _once(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The last row of each fact, and those before it with whether they say the `same`."""
    keys = _keys(rows)
    last = rows.unique(keys, keep="last", maintain_order=True)
    said = last.select(*keys, pl.col("count").alias("said"))
    before = rows.join(last.select(_ROW), on=_ROW, how="anti").join(said, on=keys, nulls_equal=True)
    return last, before.with_columns((pl.col("count") == pl.col("said")).alias("same")).drop("said")


def _alike(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """Rows that differ from an earlier one in nothing but the name of the place."""
    keys = [key for key in _keys(rows) if key != _KEY + name]
    first = rows.unique([*keys, "count"], keep="first", maintain_order=True)
    return rows.join(first.select(_ROW), on=_ROW, how="anti")


def _keys(rows: pl.DataFrame) -> list[str]:
    return [name for name in rows.columns if name.startswith(_KEY)] or [_ROW]


def _days(kept: pl.DataFrame, hours: frozenset[int] | None, cut: date | None) -> pl.DataFrame:
    """See `Counted.days`; `cut` is the day at whose rows a file was cut off."""
    sums = [
        pl.col("count").filter(pl.col("kept") == name).sum().alias(name)
        for name in (PLACED, OUTSIDE, UNPLACED, REPEATED)
    ]
    numbers = [
        pl.struct("place", "name").filter(pl.col("kept") == name).n_unique().alias(f"places_{name}")
        for name in (OUTSIDE, UNPLACED)
    ]
    expected = pl.lit(sorted(kept["hour"].unique() if hours is None else hours), pl.List(pl.UInt8))
    return (
        kept.group_by("day")
        .agg(
            pl.len().alias("rows"),
            pl.col("count").sum().alias("received"),
            *sums,
            *numbers,
            pl.col("hour").unique().sort().alias("hours"),
        )
        .sort("day")
        .with_columns(
            (
                (expected.list.set_difference("hours").list.len() == 0)
                & (pl.col("day") != pl.lit(cut, pl.Date)).fill_null(value=True)
            ).alias("whole")
        )
    )


def _elsewhere(rows: pl.DataFrame) -> pl.DataFrame:
    """See `Counted.places`."""
    away = rows.filter(pl.col("kept") != PLACED)
    summed = away.group_by("place", "name", "kept", maintain_order=True).agg(pl.col("count").sum())
    return summed.sort("count", descending=True, maintain_order=True)
