"""What a statistic is: a title in Korean and English, a unit, a denominator, sources, a query and a chart."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import polars as pl

Facts = Mapping[str, pl.LazyFrame]
"""The tables of `schemas.archive` by name, with everything that has happened; `SEGMENT_AREAS` for who asks for it."""
Fields = Mapping[str, pl.DataType | type[pl.DataType]]
Bucket = Literal["minute", "hour", "day"]
EVERY: dict[Bucket, str] = {"minute": "1m", "hour": "1h", "day": "1d"}
OWN = "each sensor's own"
"""The unit of what is told in the unit of each sensor."""
SEGMENT_AREAS = "segment_areas"
"""No table of the archive: `road, segment, area, area_ko`, in which area (읍면동) each segment of now lies."""
ZONE = "Asia/Seoul"
"""Days and hours are those of the city."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a statistic is asked for: of `[start, end)` (UTC), in buckets of the city's clock, of these entities."""

    start: datetime
    end: datetime
    bucket: Bucket = "hour"
    facility: str | None = None
    sensor: str | None = None
    road: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the answer, with its unit where it has one."""

    name: str
    ko: str
    en: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """How the answer is drawn: marks of `y` over `x`, in the colour of a column."""

    mark: Literal["line", "bar"]
    x: str
    y: str
    colour: str | None = None


@dataclass(frozen=True, slots=True)
class Statistic:
    """One statistic. `denominator` says of what its shares and means are; `takes` which filters beside the window.

    `longest` bounds the window by the width of the buckets where neither facility nor sensor narrows it.
    """

    id: str
    ko: str
    en: str
    unit: str
    denominator: str
    source: tuple[str, ...]
    columns: tuple[Column, ...]
    query: Callable[[Facts, Asked], pl.LazyFrame]
    chart: Chart
    takes: frozenset[str] = field(default_factory=frozenset)
    reads: Callable[[Asked], str] | None = None
    longest: Mapping[Bucket, timedelta] = field(default_factory=dict)

    def tables(self, asked: Asked) -> tuple[str, ...]:
        """What the query reads: all of `source`, or of them the one that `reads` names."""
        return self.source if self.reads is None else (self.reads(asked),)


SENSOR = (Column("facility", "시설", "facility"), Column("sensor", "센서", "sensor"))
SYNTHETIC = Column("synthetic", "합성 자료", "synthetic")
OF_SENSORS = frozenset({"facility", "sensor"})


def of_sensors(rows: pl.LazyFrame, asked: Asked) -> pl.LazyFrame:
    """Rows of the facility and the sensor that are asked for."""
    for name in OF_SENSORS:
        if (value := getattr(asked, name)) is not None:
            rows = rows.filter(pl.col(name) == value)
    return rows


def local(time: pl.Expr) -> pl.Expr:
    """A time by the city's clock."""
    return time.dt.convert_time_zone(ZONE)


def within(rows: pl.LazyFrame, asked: Asked) -> pl.LazyFrame:
    """The rows whose time lies in the window; of the archive only the days that it touches are read."""
    inside = (pl.col("time") >= asked.start) & (pl.col("time") < asked.end)
    return rows.filter(pl.col("day").is_between(asked.start.date(), asked.end.date()), inside)


def share(condition: pl.Expr) -> pl.Expr:
    """Of how many rows of a group something holds; of an unknown it does not."""
    return condition.fill_null(value=False).mean()


def count(condition: pl.Expr) -> pl.Expr:
    """In how many rows of a group something holds."""
    return condition.sum().cast(pl.Int64)


def utc(text: pl.Expr) -> pl.Expr:
    """A time as events tell it."""
    return text.str.to_datetime("%+", time_unit="us", time_zone="UTC")


def events(facts: Facts, context: str, fields: Fields, *names: str) -> pl.LazyFrame:
    """Events of a context by their names, whatever their version, with these fields of what they say as columns."""
    found = facts["events"].filter(pl.col("context") == context)
    name = pl.col("type").str.extract(r"^city\.[^.]+\.(.+)\.v\d+$")
    said = pl.col("data").str.json_decode(pl.Struct(dict(fields)))
    return found.with_columns(name.alias("name")).filter(pl.col("name").is_in(names)).with_columns(said.struct.unnest())
