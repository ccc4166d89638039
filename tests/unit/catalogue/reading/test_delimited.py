import csv
import io
from unicodedata import normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.catalogue.reading.cells import BLANKS
from actors.catalogue.reading.read import read
from actors.catalogue.reading.source import Limits
from schemas.dataset import Layout
from schemas.errors import InvalidError
from tests.unit.catalogue.reading.declared import CITY, column, dataset, found, from_csv

NAMED = dataset("a", ("b", "integer"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter):
    loaded = from_csv(f"a{delimiter}b\nx{delimiter}1\n", NAMED)

    assert loaded.rows.select("a", "b").rows() == [("x", 1)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
def test_the_encoding_is_found(encoding):
    loaded = from_csv("이름,b\n춘천똠방,1\n".encode(encoding), dataset(("a", "text", "이름"), ("b", "integer")))

    assert loaded.rows["a"].to_list() == ["춘천똠방"]
    assert loaded.header == ("이름", "b")
    assert found(loaded) == []


def test_bytes_that_are_no_text_are_told_and_the_row_loads():
    data = "이름,b\n춘천,1\n".encode() + b"\xffxy,2\n"

    loaded = from_csv(data, dataset(("a", "text", "이름"), ("b", "integer")))

    assert loaded.rows["a"].to_list() == ["춘천", "\ufffdxy"]
    assert found(loaded) == [(2, "a", "encoding", "kept", "\ufffdxy")]


def test_a_header_that_went_through_a_wrong_decoding_is_matched_as_it_is():
    wrong = "정류장".encode().decode("cp949", errors="replace")

    loaded = from_csv(f"{wrong},b\nx,1\n", dataset(("a", "text", wrong), ("b", "integer")))

    assert loaded.rows["a"].to_list() == ["x"]


def test_letters_in_parts_are_joined():
    loaded = from_csv("a,b\n\u1112\u1161\u11ab,1\n", NAMED)

    assert loaded.rows["a"].to_list() == ["한"]


def test_a_blank_first_header_and_one_that_comes_twice_are_columns_too():
    declared = dataset(
        column("no", "integer", ""), column("gid"), column("again", source="gid"), column("n", "integer")
    )

    loaded = from_csv(",gid,n,gid\n0,x,5,y\n", declared)

    assert loaded.rows.select("no", "gid", "again", "n").rows() == [(0, "x", "y", 5)]
    assert found(loaded) == []


def test_the_second_of_two_headers_is_told_where_one_is_declared():
    loaded = from_csv("a,b,a\nx,1,y\n", NAMED)

    assert loaded.rows["a"].to_list() == ["x"]
    assert found(loaded) == [(None, "a", "extra-column", "dropped", "a")]


def test_headers_match_without_their_blanks():
    loaded = from_csv("정류장 번호 ,b\nx,1\n", dataset(("a", "text", "정류장번호"), ("b", "integer")))

    assert loaded.rows["a"].to_list() == ["x"]


def test_a_short_row_is_filled_a_long_one_dropped_and_both_are_told():
    loaded = from_csv("a,b\nx,1\ny\nz,3,w\nv,4,\nu,5\n", NAMED)

    assert loaded.rows.select("a", "b", "_row").rows() == [("x", 1, 1), ("y", None, 2), ("v", 4, 4), ("u", 5, 5)]
    assert found(loaded) == [
        (2, None, "cut", "kept", "y"),
        (3, None, "cut", "dropped", "z,3,w"),
        (4, None, "cut", "kept", "v,4,"),
    ]
    assert loaded.received == 5


def test_a_quotation_mark_that_is_never_closed_swallows_no_rows():
    loaded = from_csv('a,b\nx,1\n"y,2\nz,3\nw,4\n', NAMED)

    assert loaded.rows.select("a", "b").rows() == [("x", 1), ("y", 2), ("z", 3), ("w", 4)]
    assert found(loaded) == [(2, None, "cut", "mended", '"y,2')]


def test_a_cell_that_swallowed_rows_is_told():
    loaded = from_csv('a,b,c\n"x,1,2\ny,2,3\nz",3,4\n', dataset("a", "b", "c"))

    assert loaded.received == 1
    assert found(loaded) == [(1, "a", "cut", "kept", "x,1,2\ny,2,3\nz")]


def test_a_cell_may_hold_quoted_lines_delimiters_and_marks():
    loaded = from_csv('a,b\n"x, ""y""\nz",1\n', NAMED)

    assert loaded.rows["a"].to_list() == ['x, "y"\nz']
    assert found(loaded) == []


def test_lines_above_the_header_are_told():
    loaded = from_csv("2026년 현황\n\na,b\nx,1\n", NAMED)

    assert loaded.rows.select("a", "b", "_row").rows() == [("x", 1, 1)]
    assert found(loaded) == [(None, None, "cut", "dropped", "2026년 현황")]


def test_a_file_without_rows_is_empty_and_knows_its_columns():
    loaded = from_csv("a,b\n", NAMED)

    assert (loaded.received, len(loaded.rows), loaded.header, loaded.completeness) == (0, 0, ("a", "b"), 0.0)
    assert loaded.rows.columns[:2] == ["a", "b"]


def test_nothing_at_all_is_no_change_of_columns():
    loaded = from_csv(b"", NAMED)

    assert (loaded.received, loaded.schema_digest, found(loaded)) == (0, "", [])


def test_a_file_of_another_dataset_is_refused_with_both_headers():
    with pytest.raises(InvalidError, match="it has 'c', 'd'; declared are 'a', 'b'"):
        from_csv("c,d\n1,2\n", NAMED)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(rows=1), "2 rows, at most 1"),
        (Limits(columns=1), "2 columns, at most 1"),
        (Limits(size=5), "12 bytes came, at most 5"),
    ],
)
def test_more_than_the_limits_is_refused(limits, reason):
    with pytest.raises(InvalidError, match=reason):
        read(b"a,b\nx,1\ny,2\n", Layout(format="csv"), NAMED, CITY, limits)


CELL = st.text(st.sampled_from("ab,;\n\"' 한글\u00a0\u3000|\t0"), max_size=8)


@given(st.lists(st.tuples(CELL, CELL.filter(str.strip)), max_size=12))
@settings(max_examples=40)
def test_what_a_csv_writer_wrote_is_read(rows):
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])

    loaded = from_csv(out.getvalue(), dataset("a", "b"))

    assert loaded.received == len(rows)
    texts = [tuple(normalize("NFC", cell.strip(BLANKS)) or None for cell in row) for row in rows]
    assert [(a, b) for a, b, _ in loaded.rows.rows()] == [text for text in texts if any(text)]
