from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.catalogue.reading.cells import trimmed
from actors.catalogue.reading.moments import dates, times
from actors.catalogue.reading.numbers import integers, numbers
from tests.unit.catalogue.reading.declared import dataset, found, from_csv


def one(read, text, *more):
    values, mended = read(pl.Series([text], dtype=pl.String), *more)
    return values.item(), mended.item()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("?127.718577", 127.718577),
        ("12,345원", 12345.0),
        ("3.5㎞", 3.5),
        ("１２３", 123.0),
        ("△1,234", -1234.0),
        ("−5", -5.0),
        ("￦1,000", 1000.0),
        ("'12", 12.0),
        ("12%", 12.0),
    ],
)
def test_a_number_is_read_without_what_is_around_it(text, value):
    assert one(numbers, text) == (value, True)


@pytest.mark.parametrize("text", ["-", "nan", "inf", "1e400", "5 2", "1,2342", "1.2.3", "3,5", "12-34", "10만", "1_0"])
def test_what_is_no_number_stays_empty(text):
    assert one(numbers, text) == (None, False)


def test_a_unit_that_is_a_multiple_of_the_columns_is_not_guessed_at():
    assert one(numbers, "350m", "km") == (None, False)
    assert one(numbers, "3.5㎞", "km") == (3.5, True)
    assert one(numbers, "350m") == (350.0, True)
    assert one(numbers, "500천원", "천원") == (500.0, True)
    assert one(numbers, "500천원", "원") == (None, False)


@pytest.mark.parametrize(
    ("text", "value"), [("12", 12), ("12.0", 12), ("1e3", 1000), ("9223372036854775807", 2**63 - 1)]
)
def test_whole_numbers_are_whole_however_they_are_written(text, value):
    assert one(integers, text) == (value, False)


@pytest.mark.parametrize("text", ["12.5", "4.5명", "99999999999999999999"])
def test_a_broken_or_endless_number_is_no_integer(text):
    assert one(integers, text) == (None, False)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.none(), max_size=20))
@settings(max_examples=50)
def test_every_number_that_is_written_plainly_is_read_as_it_is(values):
    read = numbers(pl.Series([None if value is None else repr(value) for value in values], dtype=pl.String))

    assert read.values.to_list() == values
    assert not read.mended.any()


@given(st.integers(-(10**15), 10**15))
@settings(max_examples=50)
def test_thousands_separators_change_no_number(value):
    text = f"{value:,}"

    assert one(integers, text) == (value, "," in text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-06-01",
        "20260601",
        "2026.06.01",
        "2026. 6. 1.",
        "2026/6/1",
        "2026년 6월 1일",
        "2026-06-01(월)",
        "２０２６-06-01",
    ],
)
def test_a_date_is_read_in_every_shape_that_files_have(text):
    assert one(dates, text) == (date(2026, 6, 1), False)


@pytest.mark.parametrize("text", ["2026-06", "2026.06.", "2026년 6월", "202606", "2026-06-01 13:20"])
def test_a_date_without_a_day_or_with_a_time_is_mended(text):
    assert one(dates, text) == (date(2026, 6, 1), True)


@pytest.mark.parametrize(
    "text", ["2026-02-30", "0000-00-00", "2026", "26.6.10", "05/01/2022", "2026-06-10 25:00", "2021071"]
)
def test_what_is_no_date_stays_empty(text):
    assert one(dates, text) == (None, False)


def test_a_time_with_a_zone_is_the_date_that_it_is_in_seoul():
    assert one(dates, "2026-06-10T15:00:00Z") == (date(2026, 6, 11), False)


@pytest.mark.parametrize(
    "text",
    [
        "2025-06-25 08:00",
        "2025-06-25 08:00:00",
        "2025-06-25T08:00:00",
        "2025-06-25T08:00:00+09:00",
        "2025-06-24T23:00:00Z",
        "2025-06-24T18:00:00.0-0500",
        "20250625080000",
        "202506250800",
        "2025062508",
        "20250625 0800",
        "1750806000",
        "1750806000000",
        "2025-06-25 오전 8:00:00",
        "2025.06.25. 08시 00분",
        "06/25/2025 08:00:00 AM",
        "2025-06-25 (수) 08:00 KST",
    ],
)
def test_a_time_is_read_in_every_shape_and_kept_in_utc(text):
    assert one(times, text) == (datetime(2025, 6, 24, 23, tzinfo=UTC), False)


def test_the_end_of_a_day_is_the_begin_of_the_next_one():
    assert one(times, "2025-06-25 24:00") == (datetime(2025, 6, 25, 15, tzinfo=UTC), False)


@pytest.mark.parametrize(("text", "hour"), [("오전 12:05", 15), ("오후 12:05", 3), ("1:05 PM", 4), ("오후 3:05", 6)])
def test_halves_of_the_day_are_understood(text, hour):
    read, _ = one(times, f"2025-06-25 {text}")

    assert (read.hour, read.minute) == (hour, 5)


def test_a_date_alone_is_mended_to_its_midnight():
    assert one(times, "2025-06-25") == (datetime(2025, 6, 24, 15, tzinfo=UTC), True)


@pytest.mark.parametrize(
    "text", ["08:00", "2025-06-25 24:01", "2025-06-25 08:60", "2025-06-25 13:00 PM", "2025-06 08:00"]
)
def test_what_is_no_time_stays_empty(text):
    assert one(times, text) == (None, False)


def test_an_hour_that_summer_time_left_out_is_no_time():
    assert one(times, "1988-05-08 02:30") == (None, False)


@given(st.lists(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)), min_size=1, max_size=20))  # noqa: DTZ001
@settings(max_examples=30)
def test_every_iso_time_is_read_exactly(locals_):
    read = times(pl.Series([f"{local.isoformat()}+09:00" for local in locals_]))

    assert [time.replace(tzinfo=None) + timedelta(hours=9) for time in read.values] == locals_
    assert not read.mended.any()


def test_yes_and_no_have_many_words():
    text = "\n".join(["on", "사용", "미사용", "Y", "n", "예", "아니오", "O", "X", "○", "true", "0", "1.0", "글쎄"])

    loaded = from_csv(text, dataset(("on", "boolean")))

    yes_no = [True, False, True, False, True, False, True, False, True, True, False, True, None]
    assert loaded.rows["on"].to_list() == yes_no
    assert found(loaded) == [(13, "on", "unreadable", "emptied", "글쎄")]


def test_blanks_of_every_width_around_a_cell_are_left_out_silently():
    cells = pl.Series(["\u00a0가 나\u3000", " \u200b", "\ufeff1"])

    assert trimmed(cells).to_list() == ["가 나", None, "1"]


def test_each_cell_that_changed_or_cannot_be_read_is_told_with_its_words():
    loaded = from_csv("n\n1\n?2\nabc\n", dataset(("n", "number")))

    assert loaded.rows["n"].to_list() == [1.0, 2.0, None]
    assert found(loaded) == [(2, "n", "mended", "mended", "?2"), (3, "n", "unreadable", "emptied", "abc")]
    assert loaded.completeness == pytest.approx(2 / 3)
    assert loaded.findings["detail_ko"].to_list()[1] == "숫자로 읽을 수 없습니다"
