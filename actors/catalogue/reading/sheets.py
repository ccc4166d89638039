"""XLSX: the cells of one sheet as they show, formulas by their values."""

import io
import zipfile
import zlib
from collections.abc import Iterable

import fastexcel
import polars as pl

from actors.catalogue.reading.findings import Findings, Said
from actors.catalogue.reading.header import bare, matched
from actors.catalogue.reading.source import Limits, Source, of_texts
from schemas.dataset import Column
from schemas.errors import InvalidError

_HEAD_ROWS = 15
_CHUNK = 2**20
_ABOVE = Said("머리글 위에 다른 줄이 있어 읽지 않았습니다", "lines above the header are not read")
_ERRORS = {
    "Div0": "#DIV/0!",
    "NA": "#N/A",
    "Name": "#NAME?",
    "Null": "#NULL!",
    "Num": "#NUM!",
    "Ref": "#REF!",
    "Value": "#VALUE!",
}
"""Errors of formulas, as the reader names them and as a sheet shows them."""


def parse(data: bytes, sheet: str | None, columns: Iterable[Column], findings: Findings, limits: Limits) -> Source:
    """The cells of a sheet (the first without a name), below the line that has most of the declared headers.

    Rows are counted from 1 below it, empty ones too. Raises `InvalidError` for what is no XLSX file, for a sheet that
    is not there, and beyond the limits.
    """
    guard(data, limits)
    try:
        book = fastexcel.read_excel(data)
        names = book.sheet_names
        if sheet is not None and sheet not in names:
            raise InvalidError(f"there is no sheet {sheet!r} in the file; it has {', '.join(map(repr, names))}")
        return _sheet(book, sheet or names[0], tuple(columns), findings, limits)
    except fastexcel.FastExcelError as error:
        reason = str(error).splitlines()[0]
        raise InvalidError(f"the file cannot be read as XLSX ({reason}): save it anew as .xlsx") from error


def guard(data: bytes, limits: Limits) -> None:
    """Raises `InvalidError` where `data` is no sound ZIP, or is larger than the limit once it is unpacked.

    What the archive says of its sizes may be a lie, so it is unpacked, piece by piece, and counted.
    """
    left = limits.unpacked
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                entry.file_size = limits.unpacked + 2 * _CHUNK  # read to the end, not to where the archive says it is
                with archive.open(entry) as content:
                    while piece := content.read(_CHUNK):
                        left -= len(piece)
                        if left < 0:
                            raise InvalidError(f"the file is larger than {limits.unpacked:,} bytes once it is unpacked")
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise InvalidError(
            f"the file is no XLSX ({error}): an .xls, an encrypted one or a web page must be saved as .xlsx first"
        ) from error


def _sheet(
    book: fastexcel.ExcelReader, sheet: str, columns: tuple[Column, ...], findings: Findings, limits: Limits
) -> Source:
    batch, errors = book.load_sheet(sheet, header_row=None, dtypes="string").to_arrow_with_errors()
    cells = pl.DataFrame(pl.from_arrow(batch))
    limits.check(cells.height, cells.width)
    if cells.is_empty():
        return of_texts([], pl.DataFrame())
    for error in errors.errors if errors else []:
        row, column = error.offset_position
        name = error.detail.partition("Error(")[2].partition(")")[0]
        cells[row, column] = _ERRORS.get(name, f"#{name}")
    place = _header_row(cells, columns)
    if place:
        above = "\n".join(" ".join(filter(None, row)) for row in cells.head(place).rows())
        findings.file("cut", "dropped", None, above, _ABOVE)
    header = [(name or "").strip() for name in cells.row(place)]
    cells = cells.slice(place + 1)
    numeric = [at for id_, at in matched(columns, tuple(header)).items() if _is_number(columns, id_)]
    if numeric:
        exact = _numbers(book, sheet, numeric).slice(place + 1)
        cells = cells.with_columns(_exact(cells.to_series(at), exact.to_series(n)) for n, at in enumerate(numeric))
    # A time of day is kept as one of the spreadsheet's first day.
    cells = cells.with_columns(pl.all().str.replace(r"^1899-12-3[01] ", ""))
    return of_texts(header, cells)


def _header_row(cells: pl.DataFrame, columns: tuple[Column, ...]) -> int:
    wanted = {bare(column.header) for column in columns if column.header}
    scores = [sum(bare(name or "") in wanted for name in row) for row in cells.head(_HEAD_ROWS).rows()]
    return scores.index(max(scores))


def _is_number(columns: tuple[Column, ...], id_: str) -> bool:
    return any(column.id == id_ and column.kind == "number" for column in columns)


def _numbers(book: fastexcel.ExcelReader, sheet: str, places: list[int]) -> pl.DataFrame:
    loaded = book.load_sheet(sheet, header_row=None, dtypes=dict.fromkeys(places, "float"), use_columns=places)
    return pl.DataFrame(pl.from_arrow(loaded.to_arrow_with_errors()[0]))


def _exact(text: pl.Series, number: pl.Series) -> pl.Series:
    """The text, which has nine decimals at most, with the number that stands there in full."""
    is_number = text.cast(pl.Float64, strict=False).is_not_null() & number.is_not_null()
    return pl.select(pl.when(is_number).then(number.cast(pl.String)).otherwise(text).alias(text.name)).to_series()
