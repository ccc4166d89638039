"""What every format yields: cells as text under the headers found, each row with its number in the source."""

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import orjson
import polars as pl
import shapely

from actors.catalogue.reading.findings import Findings, Said
from schemas.errors import InvalidError


@dataclass(frozen=True)
class Limits:
    """What one source may hold at most; `unpacked` are bytes of a ZIP or Parquet file once it is decompressed."""

    size: int = 512 * 2**20
    unpacked: int = 2 * 2**30
    rows: int = 5_000_000
    columns: int = 1_000

    def check(self, rows: int, columns: int) -> None:
        """Raises `InvalidError` where a source has more."""
        if rows > self.rows:
            raise InvalidError(f"the source has {rows:,} rows, at most {self.rows:,} are read: bring it in parts")
        if columns > self.columns:
            raise InvalidError(
                f"the source has {columns:,} columns, at most {self.columns:,} are read: is its delimiter another, or "
                "are values used as names?"
            )


@dataclass(frozen=True)
class Source:
    """Cells as they came, not yet judged.

    `cells` has one String column for each of `header`, named by its place ("0", "1", …), since headers may repeat and
    be empty. `rows` (Int64) are the rows' numbers from 1 as a reader of the file counts them; a number that lacks is a
    row that was dropped, and told, before. `received` counts those, too. `kinds` are the types that the format knows.
    """

    header: tuple[str, ...]
    kinds: tuple[str, ...]
    cells: pl.DataFrame
    rows: pl.Series
    received: int


def of_texts(header: list[str], cells: pl.DataFrame, rows: pl.Series | None = None, received: int = -1) -> Source:
    """A source of a format that knows text alone. Without `rows` they are all there, in order."""
    named = cells.rename(dict(zip(cells.columns, map(str, range(cells.width)), strict=True)))
    numbers = pl.int_range(1, cells.height + 1, dtype=pl.Int64, eager=True) if rows is None else rows
    return Source(tuple(header), ("text",) * len(header), named, numbers, received if received >= 0 else cells.height)


def of_frame(frame: pl.DataFrame) -> Source:
    """A source of typed columns, such as Parquet's or a database's; a binary column is read as WKB."""
    texts = [_text(column).alias(str(place)) for place, column in enumerate(frame.iter_columns())]
    kinds = tuple(str(kind) for kind in frame.dtypes)
    numbers = pl.int_range(1, frame.height + 1, dtype=pl.Int64, eager=True)
    return Source(tuple(frame.columns), kinds, pl.DataFrame(texts), numbers, frame.height)


def of_records(records: list[Any], findings: Findings, limits: Limits | None = None) -> Source:
    """A source of JSON objects; fields of nested ones are named with dots (`place.lon`), lists stay JSON.

    A record that is no object is dropped, and told. Raises `InvalidError` beyond the limits.
    """
    odd = [place for place, record in enumerate(records) if not isinstance(record, dict)]
    if odd:
        rows = pl.Series(odd, dtype=pl.Int64) + 1
        values = pl.Series([_json(records[place]) for place in odd], dtype=pl.String)
        said = Said("이 항목은 JSON 객체가 아닙니다", "this record is not a JSON object with fields")
        findings.rows("unreadable", "dropped", None, rows, values, said)
    whole = [record for record in records if isinstance(record, dict)]
    series = _fields("", whole, limits or Limits())
    numbers = pl.Series("rows", np.delete(np.arange(1, len(records) + 1), odd))
    cells = pl.DataFrame(
        [one.alias(str(place)) for place, one in enumerate(series)], height=None if series else len(whole)
    )
    header = [one.name for one in series]
    return of_texts(header, cells, numbers, len(records))


def _fields(prefix: str, records: list[dict[str, Any]], limits: Limits) -> list[pl.Series]:
    names = list(dict.fromkeys(chain.from_iterable(records)))
    limits.check(len(records), len(names))
    series = []
    for name in names:
        values = [record.get(name) for record in records]
        kinds = set(map(type, values))
        if dict in kinds:
            inner = [value if isinstance(value, dict) else {} for value in values]
            series += _fields(f"{prefix}{name}.", inner, limits)
            values = [None if isinstance(value, dict) else value for value in values]
            if kinds <= {dict, type(None)}:
                continue
        if list in kinds:
            values = [_json(value) if isinstance(value, list) else value for value in values]
        series.append(pl.Series(f"{prefix}{name}", values, dtype=pl.String, strict=False))
    limits.check(len(records), len(series))
    return series


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()


def _text(column: pl.Series) -> pl.Series:
    kind = column.dtype
    if isinstance(kind, pl.Datetime):
        moments = column if kind.time_zone is None else column.dt.convert_time_zone("UTC")
        return moments.dt.strftime("%Y-%m-%dT%H:%M:%S%.f" + ("" if kind.time_zone is None else "Z"))
    if isinstance(kind, pl.Binary):
        return _wkt(column)
    if kind.is_nested() or isinstance(kind, pl.Object):
        written = [None if value is None else _json(value) for value in column.to_list()]
        return pl.Series(column.name, written, dtype=pl.String)
    return column.dt.to_string("iso") if isinstance(kind, pl.Duration) else column.cast(pl.String)


def _wkt(column: pl.Series) -> pl.Series:
    shapes = shapely.from_wkb(column.to_numpy(), on_invalid="ignore")
    written = pl.Series(column.name, shapely.to_wkt(shapes, rounding_precision=-1), dtype=pl.String)
    return written.fill_null(column.bin.encode("hex"))
