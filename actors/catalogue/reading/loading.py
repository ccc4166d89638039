"""From a source to a dataset's rows: every row of the source is loaded, or is told as dropped."""

from dataclasses import dataclass

import polars as pl

from actors.catalogue.reading import checks, header, keys
from actors.catalogue.reading.cells import BLANKS, TYPES, clean, trimmed
from actors.catalogue.reading.city import City
from actors.catalogue.reading.findings import Findings, Said
from actors.catalogue.reading.places import with_points
from actors.catalogue.reading.shapes import with_shapes
from actors.catalogue.reading.source import Source
from schemas.dataset import Dataset, Points, Shapes

ROW_LIMITS = frozenset({65_535, 65_536, 1_048_575, 1_048_576})
"""Rows that a spreadsheet holds, with and without the header: a file that has just as many was probably cut there."""

_EMPTY = Said("모든 칸이 비어 있습니다", "no cell of the row holds anything")
_CUT = Said(
    "스프레드시트의 최대 행 수와 같습니다: 뒷부분이 잘렸을 수 있습니다",
    "the file has as many rows as a spreadsheet can hold: what followed was probably cut off",
)


@dataclass(frozen=True)
class Loaded:
    """What came in for a dataset.

    `rows` has the dataset's columns by id, in order (`cells.TYPES`; times in UTC), for a geometry `_lon` and `_lat`, or
    `_wkt`, `_west`, `_south`, `_east`, `_north` (WGS84), and `_row`, the number in the source. `findings` lists what
    was found (`findings.FINDINGS`), `summary` counts all of it (`findings.SUMMARY`). `received` counts the rows of the
    source, `header` and `schema_digest` (empty where nothing came) tell its columns as they came. `completeness` is the
    share of the declared columns' cells that hold something, of the rows that load; 0 without rows.
    """

    rows: pl.DataFrame
    findings: pl.DataFrame
    summary: pl.DataFrame
    received: int
    header: tuple[str, ...]
    schema_digest: str
    completeness: float

    @property
    def dropped(self) -> int:
        """Rows of the source that did not load; each of them is a finding."""
        return self.received - len(self.rows)


def load(
    source: Source, dataset: Dataset, city: City, findings: Findings | None = None, ordered: bool = True
) -> Loaded:
    """The rows of a source, cleaned and checked. `findings` are those made before; records' fields are not `ordered`.

    Cells are cleaned first, then one row of each key is chosen, and required columns, rules and places are judged of
    the rows that load. Raises `InvalidError` where no declared column came.
    """
    findings = findings or Findings()
    places = header.judged(dataset, source, findings)
    if source.received in ROW_LIMITS:
        findings.file("cut", "kept", None, f"{source.received:,}", _CUT)
    cells, numbers = _filled(source, findings)
    texts = pl.DataFrame([trimmed(cells[str(places[id_])]).alias(id_) for id_ in _ids(dataset) if id_ in places])
    rows = pl.DataFrame(
        [
            clean(column, texts[column.id], numbers, findings)
            if column.id in places
            else pl.Series(column.id, [None] * len(numbers), dtype=TYPES[column.kind])
            for column in dataset.columns
        ]
    )
    if set(dataset.key) <= set(places):
        kept = keys.kept(dataset, rows, numbers, findings)
        rows, texts, numbers = rows.filter(kept), texts.filter(kept), numbers.filter(kept)
    checks.check(dataset, rows, texts, numbers, findings)
    rows = _located(dataset, rows, texts, numbers, city, findings)
    held = rows.select(pl.sum_horizontal(pl.col(_ids(dataset)).count())).item()
    return Loaded(
        rows.with_columns(numbers.alias("_row")),
        findings.listing(),
        findings.summary(),
        source.received,
        source.header,
        header.digest(source, ordered),
        held / (len(rows) * len(dataset.columns)) if len(rows) else 0.0,
    )


def _ids(dataset: Dataset) -> list[str]:
    return [column.id for column in dataset.columns]


def _filled(source: Source, findings: Findings) -> tuple[pl.DataFrame, pl.Series]:
    """The rows that hold anything."""
    if source.cells.is_empty():
        return source.cells, source.rows
    held = (pl.col(name).str.strip_chars(BLANKS) != "" for name in source.cells.columns)
    filled = source.cells.select(pl.any_horizontal(pl.lit(False), *held).fill_null(False).alias("held")).to_series()
    empty = source.rows.filter(~filled)
    findings.rows(
        "missing", "dropped", None, empty, pl.Series([""], dtype=pl.String).new_from_index(0, len(empty)), _EMPTY
    )
    return source.cells.filter(filled), source.rows.filter(filled)


def _located(
    dataset: Dataset, rows: pl.DataFrame, texts: pl.DataFrame, numbers: pl.Series, city: City, findings: Findings
) -> pl.DataFrame:
    known = city if dataset.inside else City()
    match dataset.geometry:
        case Points() as place:
            return with_points(place, rows, texts, numbers, known, findings)
        case Shapes() as place:
            return with_shapes(place, rows, texts, numbers, known, findings)
        case None:
            return rows
