"""From bytes to a refresh: joins, the newest moment, digests; and a process that dies alone."""

import asyncio
import io
from datetime import UTC, date, datetime, timedelta

import orjson
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.dataset import Column, Layout
from schemas.errors import InvalidError
from serve.catalogue import child
from serve.catalogue.taking import NO_COLUMNS, joined, newest_moment, packed, take, told, unpacked
from tests.unit.api.memory import START
from tests.unit.catalogue.entries import facts
from tests.unit.catalogue.service.declared import AREAS, BUILT, CSV, LAMPS, ROWS, SEEN, STOP, job, rows_of, stops

JSON = Layout(format="json")
KEYED = stops(mode="upsert")
KEYS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99)), max_size=20)


def frame(pairs):
    numbers = pl.Series("_row", range(1, len(pairs) + 1), dtype=pl.Int64)
    return pl.DataFrame(pairs, schema={"key": pl.Int64, "value": pl.Int64}, orient="row").with_columns(numbers)


@given(KEYS, KEYS)
def test_of_each_key_the_row_that_came_last_counts(before, after):
    whole = joined(frame(before), frame(after), ["key"])
    assert dict(whole.select("key", "value").iter_rows()) == dict(before) | dict(after)
    assert whole["key"].is_unique().all()
    assert whole["_row"].to_list() == list(range(1, len(whole) + 1))


def test_rows_join_those_of_before_even_where_these_had_other_columns():
    old = take(
        job(
            stops(columns=(STOP, LAMPS), key=("stop",), geometry=None, rules=(), chart=None, map=None),
            "정류장 번호,lamps\nA1,1\nA9,7\n",
        )
    )
    new = rows_of(take(job(KEYED, ROWS, before=old.rows)))
    assert new.select("stop", "lamps", "width").rows() == [
        ("A9", 7, None),
        ("A1", 2, 1.5),
        ("A2", 0, 2.5),
        ("A3", 12, None),
        ("A4", None, 0.5),
    ]


def test_completeness_is_of_all_rows_that_the_version_holds():
    first = take(job(KEYED, "정류장 번호,lamps\nA1,1\n"))
    both = take(job(KEYED, "정류장 번호,lamps\nA2,\n", before=first.rows))
    assert (first.refresh.completeness, both.refresh.completeness) == (2 / 9, 3 / 18)
    assert (both.refresh.rows, both.refresh.received) == (2, 1)


@settings(max_examples=10)
@given(st.permutations(ROWS.splitlines()[1:]))
def test_the_same_bytes_give_the_same_digests(lines):
    text = "\n".join([ROWS.splitlines()[0], *lines])
    first, second = take(job(stops(), text)), take(job(stops(), text, now=START))
    assert first == second


def test_other_rows_have_another_digest():
    assert take(job(stops(), ROWS)).refresh.version != take(job(stops(), ROWS.replace("역전", "역앞"))).refresh.version


def test_the_counts_are_those_of_the_rows():
    found = take(job(stops(), ROWS))
    listing = pl.read_parquet(io.BytesIO(found.listing))
    assert (found.refresh.rows, found.refresh.received, found.refresh.dropped) == (4, 4, 0)
    counts = {(one.kind, one.column): one.rows for one in found.refresh.findings}
    assert counts[("range", "lamps")] == counts[("unreadable", "lamps")] == 1
    assert sum(counts.values()) == len(listing)


def test_the_newest_moment_is_none_of_the_future():
    rows = rows_of(take(job(stops(), ROWS)))
    assert newest_moment(stops(), rows, START) == datetime(2026, 1, 15, 1, tzinfo=UTC)
    assert newest_moment(stops(), rows, datetime(2026, 1, 14, 12, tzinfo=UTC)) == datetime(2026, 1, 14, 0, tzinfo=UTC)
    assert newest_moment(stops(), rows, datetime(2000, 1, 1, tzinfo=UTC)) is None


def test_a_day_counts_from_its_beginning_in_seoul():
    only = facts(columns=(BUILT,))
    rows = pl.DataFrame({"built": [date(2026, 1, 15), date(2026, 1, 16), None]})
    midnight = datetime(2026, 1, 15, 15, tzinfo=UTC)
    assert newest_moment(only, rows, midnight - timedelta(seconds=1)) == datetime(2026, 1, 14, 15, tzinfo=UTC)
    assert newest_moment(only, rows, midnight) == midnight


def test_the_newest_moment_says_nothing_of_a_personal_column():
    born = facts(columns=(BUILT.model_copy(update={"personal": "mask"}), SEEN.model_copy(update={"personal": "group"})))
    assert newest_moment(born, pl.DataFrame({"built": [date(2026, 1, 1)], "seen": [START]}), START) is None


def test_an_answer_without_rows_tells_of_no_column():
    found = take(job(stops(), "[]", layout=JSON))
    assert (found.refresh.rows, found.refresh.header, found.refresh.schema_digest) == (0, (), NO_COLUMNS)


def test_pages_are_read_as_one():
    pages = [orjson.dumps([{"정류장 번호": name, "lamps": 1}]) for name in ("A1", "A2")]
    assert rows_of(take(job(stops(), *pages, layout=JSON)))["stop"].to_list() == ["A1", "A2"]


def test_a_csv_does_not_come_in_pages():
    with pytest.raises(InvalidError, match="JSON and XML"):
        take(job(stops(), ROWS, ROWS))


def test_the_past_rows_do_not_hide_that_a_key_is_missing():
    with pytest.raises(InvalidError, match="key column"):
        take(job(KEYED, "lamps\n1\n"))


def test_a_job_travels_whole():
    given = job(AREAS, b"\x00\xff", area=b"a", bounds=(1.0, 2.0, 3.0, 4.0), before=b"b", layout=CSV)
    said, parts = packed(given)
    assert unpacked(orjson.loads(orjson.dumps(said)), parts) == given


async def test_a_process_of_its_own_reads_the_same():
    given = job(stops(), ROWS)
    assert await child.taken(given) == take(given)
    assert told(take(given))


async def test_what_cannot_be_read_is_told_in_its_own_words():
    with pytest.raises(InvalidError, match="none of the dataset's columns"):
        await child.taken(job(stops(), "a,b\n1,2\n"))


async def test_a_defect_is_told_without_what_the_cells_hold():
    broken = job(stops(), ROWS, before=b"not a table")
    with pytest.raises(InvalidError, match=r"cannot be read \(\w+\)") as caught:
        await child.taken(broken)
    assert "not a table" not in str(caught.value)


async def test_a_file_that_takes_too_much_memory_dies_alone():
    wide = facts(columns=(Column(id="name", ko="이름", en="Name"),))
    few = await child.taken(job(wide, "name\n가\n"), memory_mb=600, seconds=60)
    with pytest.raises(InvalidError, match="more than 600 MB or 60 s"):
        await child.taken(job(wide, "name\n" + "가나다라마바사아\n" * 4_000_000), memory_mb=600, seconds=60)
    assert few.refresh.rows == 1


async def test_a_file_that_takes_too_long_dies_alone():
    began = asyncio.get_running_loop().time()
    with pytest.raises(InvalidError, match="4,000 MB or 1 s"):
        await child.taken(job(stops(), ROWS + "A5,x,1,1,,,,127.7,37.8\n" * 2_000_000), seconds=1)
    assert asyncio.get_running_loop().time() - began < 30


async def test_nothing_is_left_of_who_stops_waiting():
    waiting = asyncio.create_task(child.taken(job(stops(), ROWS * 100_000)))
    await asyncio.sleep(0.5)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
