import io
import zipfile
from datetime import date, datetime

import pytest
import xlsxwriter

from actors.catalogue.reading import sheets
from actors.catalogue.reading.read import read
from actors.catalogue.reading.source import Limits
from schemas.dataset import Layout
from schemas.errors import InvalidError
from tests.unit.catalogue.reading.declared import CITY, dataset, found

NAMED = dataset(("k", "text", "이름"), ("n", "number", "값"), ("day", "date", "날짜"), ("at", "time", "시각"))


def book(write, name="현황"):
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as workbook:
        write(workbook.add_worksheet(name), workbook)
    return out.getvalue()


def from_xlsx(data, declared=NAMED, limits=None, **reading):
    return read(data, Layout(format="xlsx", **reading), declared, CITY, limits)


def typed(sheet, workbook):
    day, at = (workbook.add_format({"num_format": text}) for text in ("yyyy-mm-dd", "yyyy-mm-dd hh:mm"))
    sheet.write_row(0, 0, ["이름", "값", "날짜", "시각"])
    sheet.write_row(1, 0, ["0012", 127.71857712345])
    sheet.write_datetime(1, 2, datetime(2026, 6, 10), day)  # noqa: DTZ001 - sheets have no zone
    sheet.write_datetime(1, 3, datetime(2026, 6, 10, 8, 30), at)  # noqa: DTZ001
    sheet.write_row(2, 0, [1001, "1,234원", "2026. 6. 11."])
    sheet.write_formula(3, 1, "=1/0", None, "#DIV/0!")
    sheet.write(3, 0, "x")
    sheet.write_formula(4, 1, "=1+1", None, 2)
    sheet.write(4, 0, "y")


def test_cells_of_a_sheet_are_read_by_their_values():
    loaded = from_xlsx(book(typed))

    assert loaded.rows["k"].to_list() == ["0012", "1001", "x", "y"]
    assert loaded.rows["n"].to_list() == [127.71857712345, 1234.0, None, 2.0]
    assert loaded.rows["day"].to_list() == [date(2026, 6, 10), date(2026, 6, 11), None, None]
    assert loaded.rows["at"].dt.convert_time_zone("Asia/Seoul").dt.hour().to_list() == [8, None, None, None]
    assert found(loaded) == [
        (2, "n", "mended", "mended", "1,234원"),
        (3, "n", "unreadable", "emptied", "#DIV/0!"),
    ]


def test_titles_above_the_header_are_told_and_empty_rows_below_it_counted():
    def write(sheet, _):
        sheet.write(0, 0, "춘천시 현황")
        sheet.write_row(2, 0, ["번호", "이름", "값", "", "날짜"])
        sheet.write_row(3, 0, [1, "a", 1.5])
        sheet.write_row(5, 0, [2, "b", 2.5])

    loaded = from_xlsx(book(write))

    assert loaded.rows.select("k", "n", "_row").rows() == [("a", 1.5, 1), ("b", 2.5, 3)]
    assert loaded.header == ("번호", "이름", "값", "", "날짜")
    assert found(loaded, "missing-column", "extra-column") == [
        (None, None, "cut", "dropped", "춘천시 현황\n"),
        (2, None, "missing", "dropped", ""),
    ]


def test_a_sheet_is_found_by_its_name():
    def write(sheet, workbook):
        sheet.write(0, 0, "다른 것")
        typed(workbook.add_worksheet("둘째"), workbook)

    assert len(from_xlsx(book(write), sheet="둘째").rows) == 4
    with pytest.raises(InvalidError, match="no sheet '셋째' in the file; it has '현황', '둘째'"):
        from_xlsx(book(write), sheet="셋째")


def test_an_empty_sheet_has_nothing():
    assert from_xlsx(book(lambda sheet, _: None)).received == 0


@pytest.mark.parametrize("data", [b"", b"<html>", b"\xd0\xcf\x11\xe0 an old .xls", b"PK\x03\x04 cut"])
def test_what_is_no_xlsx_is_refused(data):
    with pytest.raises(InvalidError, match="no XLSX"):
        from_xlsx(data)


def test_a_zip_without_a_book_is_refused():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a", "b")

    with pytest.raises(InvalidError, match="cannot be read as XLSX"):
        from_xlsx(out.getvalue())


def test_a_bomb_is_refused_though_it_lies_about_its_size():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"\0" * 5_000_000)
    honest = out.getvalue()
    lying = honest.replace((5_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))

    assert len(honest) < 10_000
    assert lying != honest
    for data in (honest, lying):
        with pytest.raises(InvalidError, match="larger than 1,000,000 bytes once it is unpacked"):
            sheets.guard(data, Limits(unpacked=1_000_000))


def test_more_rows_than_the_limit_are_refused():
    with pytest.raises(InvalidError, match="rows, at most 2"):
        from_xlsx(book(typed), limits=Limits(rows=2))
