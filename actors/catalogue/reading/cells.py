"""The cells of one column: from text to its kind, with what is found."""

from typing import assert_never

import polars as pl

from actors.catalogue.reading.cleaned import Cleaned
from actors.catalogue.reading.decoding import LOST
from actors.catalogue.reading.findings import Findings, Said
from actors.catalogue.reading.moments import dates, times
from actors.catalogue.reading.numbers import integers, numbers
from schemas.dataset import Column, Kind

BLANKS = (
    " \t\r\n\v\f\x00\x85\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u200b\u200c\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
)
"""What is left out around a cell, without a finding: blanks of every width, and marks that nobody sees."""

TYPES: dict[Kind, pl.DataType] = {
    "text": pl.String(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "time": pl.Datetime("us", "UTC"),
}
"""The type of a column of each kind."""

_YES = "y yes t true 1 1.0 o ○ ● ◯ v √ ✓ 예 네 유 참 사용 있음 가능 해당 운영 설치 개방"
_NO = "n no f false 0 0.0 x × ✕ 아니오 아니요 무 거짓 미사용 없음 불가 불가능 미해당 비해당 미운영 미설치 미개방"
_BOOLEANS = dict.fromkeys(_YES.split(), True) | dict.fromkeys(_NO.split(), False)

_UNREADABLE: dict[Kind, Said] = {
    "text": Said("글자로 읽을 수 없습니다", "this is no text"),
    "integer": Said("정수로 읽을 수 없습니다", "this is no whole number"),
    "number": Said("숫자로 읽을 수 없습니다", "this is no number"),
    "boolean": Said("예·아니오로 읽을 수 없습니다", "this is neither yes nor no"),
    "date": Said("날짜로 읽을 수 없습니다", "this is no date"),
    "time": Said("시각으로 읽을 수 없습니다", "this is no date with a time"),
}
_MENDED: dict[Kind, Said] = {
    "text": Said("글자를 고쳤습니다", "the text was mended"),
    "integer": Said("기호·구분자·단위를 빼고 읽었습니다", "read without the marks, separators or unit around it"),
    "number": Said("기호·구분자·단위를 빼고 읽었습니다", "read without the marks, separators or unit around it"),
    "boolean": Said("예·아니오로 고쳤습니다", "read as yes or no"),
    "date": Said(
        "없는 일은 1일로, 시각은 빼고 읽었습니다", "without a day it is the first of the month; a time is left out"
    ),
    "time": Said("시각이 없어 0시로 읽었습니다", "without a time it is midnight in Seoul"),
}
_ENCODING = Said("글자가 깨져 있습니다", "some bytes of the cell are no text")


def trimmed(cells: pl.Series) -> pl.Series:
    """Texts without the blanks around them, None where nothing is left."""
    texts = cells.str.strip_chars(BLANKS)
    return texts.set(texts == "", None)


def clean(column: Column, texts: pl.Series, rows: pl.Series, findings: Findings) -> pl.Series:
    """The column's values (`TYPES`) of trimmed texts; a cell that says none is emptied, and told."""
    lost = texts.str.contains(LOST, literal=True).fill_null(False)
    findings.rows("encoding", "kept", column.id, rows.filter(lost), texts.filter(lost), _ENCODING)
    if column.kind == "text":
        return texts.alias(column.id)
    values, mended = _cleaned(column, texts)
    findings.rows("mended", "mended", column.id, rows.filter(mended), texts.filter(mended), _MENDED[column.kind])
    unread = texts.is_not_null() & values.is_null()
    findings.rows(
        "unreadable", "emptied", column.id, rows.filter(unread), texts.filter(unread), _UNREADABLE[column.kind]
    )
    return values.alias(column.id)


def _cleaned(column: Column, texts: pl.Series) -> Cleaned:
    match column.kind:
        case "text":
            return Cleaned(texts, texts.is_null() & False)
        case "integer":
            return integers(texts, column.unit)
        case "number":
            return numbers(texts, column.unit)
        case "boolean":
            words = texts.str.normalize("NFKC").str.to_lowercase()
            values = words.replace_strict(_BOOLEANS, default=None, return_dtype=pl.Boolean)
            return Cleaned(values, texts.is_null() & False)
        case "date":
            return dates(texts)
        case "time":
            return times(texts)
        case _ as never:
            assert_never(never)
