"""CSV as it comes: a delimiter to be found, rows with too few or too many cells, quotation marks left open."""

import csv
import io
import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as arrow_csv

from actors.catalogue.reading.findings import Findings, Said
from actors.catalogue.reading.header import bare
from actors.catalogue.reading.source import Limits, Source, of_texts

_DELIMITERS = ",;\t|"
_HEAD_ROWS = 15
_HEAD_LENGTH = 2**20
_LINE_DELIMITERS = 20

_ABOVE = Said("머리글 위에 다른 줄이 있어 읽지 않았습니다", "lines above the header are not read")
_SHORT = Said("칸이 모자라 나머지를 비워 두었습니다", "the row has too few cells: the rest stays empty")
_TRAILING = Said("빈 칸이 더 있습니다", "the row has more cells than the header; they are empty")
_LONG = Said(
    "칸이 머리글보다 많아 열을 맞출 수 없습니다", "the row has more cells than the header: which is which is unknown"
)
_OPEN = Said("닫히지 않은 따옴표를 지웠습니다", "a quotation mark is not closed: those of the line are left out")
_SWALLOWED = Said(
    "한 칸에 여러 줄이 들어 있습니다: 따옴표를 확인하세요",
    "the cell holds whole lines: a quotation mark before is probably not closed",
)


def parse(text: str, headers: Iterable[str], findings: Findings, limits: Limits) -> Source:
    """The cells of a CSV text. `headers`, the declared ones, tell which line is the header and what delimits it.

    Rows are counted from 1 below the header, lines without anything left out. A row with fewer cells is filled with
    empty ones; one with more that hold something is dropped. Where quotation marks do not match, those of the lines
    with an odd number are left out, so that a line ends where it ends. Raises `InvalidError` beyond the limits.
    """
    delimiter, header, above, body = _head(text, {bare(name) for name in headers})
    if above:
        findings.file("cut", "dropped", None, "\n".join(above), _ABOVE)
    limits.check(0, len(header))
    body = _closed(body, findings)
    if not body.strip("\r\n"):
        return of_texts(
            header, pl.DataFrame({str(place): [] for place in range(len(header))}, strict=False).cast(pl.String)
        )
    cells, ragged = _cells(body, delimiter, len(header))
    limits.check(cells.height + len(ragged), len(header))
    source = _joined(header, cells, ragged, delimiter, findings)
    _tell_swallowed(source, delimiter, findings)
    return source


def _head(text: str, wanted: set[str]) -> tuple[str, list[str], list[str], str]:
    best: tuple[tuple[int, int, int], str, list[str], int, int] | None = None
    for delimiter in _DELIMITERS:
        buffer = io.StringIO(text[:_HEAD_LENGTH], newline="")
        try:
            for place, row in enumerate(islice(csv.reader(buffer, delimiter=delimiter), _HEAD_ROWS)):
                if row:
                    score = (sum(bare(name) in wanted for name in row if name or len(row) > 1), -place, len(row))
                    if best is None or score > best[0]:
                        best = (score, delimiter, row, place, buffer.tell())
        except csv.Error:
            continue
    if best is None:
        return ",", [], [], ""
    _, delimiter, header, place, end = best
    above = [line for line in text[:end].splitlines()[:place] if line.strip()]
    return delimiter, [name.strip() for name in header], above, text[end:]


def _closed(body: str, findings: Findings) -> str:
    if body.count('"') % 2 == 0:
        return body
    lines = pl.Series("line", body.split("\n"), dtype=pl.String)
    odd = lines.str.count_matches('"', literal=True) % 2 == 1
    number = (lines.str.strip_chars("\r") != "").cum_sum().cast(pl.Int64)
    findings.rows("cut", "mended", None, number.filter(odd), lines.filter(odd), _OPEN)
    return "\n".join(
        pl.select(pl.when(odd).then(lines.str.replace_all('"', "", literal=True)).otherwise(lines)).to_series()
    )


def _cells(body: str, delimiter: str, width: int) -> tuple[pl.DataFrame, list[tuple[int, str]]]:
    ragged: list[tuple[int, str]] = []

    def keep(row: Any) -> str:
        ragged.append((row.number, row.text))
        return "skip"

    data = body.encode()
    names = [str(place) for place in range(width)]
    table = arrow_csv.read_csv(
        io.BytesIO(data),
        # Row numbers are known to one thread alone, and a row must lie within a block.
        read_options=arrow_csv.ReadOptions(use_threads=False, column_names=names, block_size=len(data) + 1),
        parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=keep),
        convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.large_string())),
    )
    return pl.DataFrame(pl.from_arrow(table)), ragged


def _joined(
    header: list[str], cells: pl.DataFrame, ragged: list[tuple[int, str]], delimiter: str, findings: Findings
) -> Source:
    if not ragged:
        return of_texts(header, cells)
    received = cells.height + len(ragged)
    numbers = np.delete(np.arange(1, received + 1), [number - 1 for number, _ in ragged])
    width = len(header)
    mended: list[tuple[int, list[str]]] = []
    told: dict[Said, list[tuple[int, str]]] = {_SHORT: [], _TRAILING: [], _LONG: []}
    for number, line in ragged:
        row = _row(line, delimiter)
        said = _SHORT if len(row) < width else _LONG if any(cell.strip() for cell in row[width:]) else _TRAILING
        told[said].append((number, line))
        if said is not _LONG:
            mended.append((number, (row + [""] * width)[:width]))
    for said, lines in told.items():
        rows, values = pl.Series([line[0] for line in lines], dtype=pl.Int64), [line[1] for line in lines]
        findings.rows(
            "cut", "dropped" if said is _LONG else "kept", None, rows, pl.Series(values, dtype=pl.String), said
        )
    more = pl.DataFrame([row for _, row in mended], schema=cells.schema, orient="row")
    rows = pl.concat([pl.Series("rows", numbers), pl.Series("rows", [number for number, _ in mended], dtype=pl.Int64)])
    order = rows.arg_sort()
    return of_texts(header, pl.concat([cells, more])[order], rows[order], received)


def _row(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter))
    except csv.Error:  # a cell longer than the reader takes
        return line.split(delimiter)


def _tell_swallowed(source: Source, delimiter: str, findings: Findings) -> None:
    """Tells cells with a whole line in them that has as many delimiters as a row; two at least, as prose has one."""
    many = min(len(source.header) - 1, _LINE_DELIMITERS)
    if many < 2:
        return
    other = f"[^{re.escape(delimiter)}\n]*"
    line = rf"\n(?:{other}{re.escape(delimiter)}){{{many}}}[^\n]*\n"
    for name, cells in zip(source.header, source.cells.iter_columns(), strict=True):
        if cells.str.contains("\n", literal=True).any():
            at = cells.str.contains(line)
            findings.rows("cut", "kept", name, source.rows.filter(at), cells.filter(at), _SWALLOWED)
