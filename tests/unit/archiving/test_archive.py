"""The archive adds each row once, whoever writes, and stays readable while it is written."""

import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from actors.archiving import clustering
from actors.archiving.rollups import merged, rolled
from schemas.archive import EVENTS, READINGS
from schemas.errors import UnavailableError
from streams import archive as module
from streams.archive import Archive, Reached

LOG = "LOG_ROAD_0"
TODAY, TOMORROW, LATER = date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 9)


def at(sequence: int, log: str = LOG) -> dict[str, Reached]:
    return {log: Reached(sequence, sequence * 1000)}


def events(first: int, count: int = 3, day: int = 1) -> pa.Table:
    time = datetime(2026, 1, day, 9, tzinfo=UTC)
    return pa.Table.from_pylist(
        [
            {
                "context": "road", "day": time.date(), "shard": 0, "commit": number, "sequence": number,
                "entity": "jungang-ro", "type": "city.road.work-started.v1", "time": time, "stored_at": time,
                "synthetic": False, "data": "{}",
            }
            for number in range(first, first + count)
        ],
        EVENTS,
    )  # fmt: skip


def sequences(archive: Archive, version: int | None = None) -> list[int]:
    newest = archive.version("events") if version is None else version
    return archive.scan("events", newest).select("sequence").collect()["sequence"].sort().to_list()


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(str(tmp_path / "archive"))


def test_an_archive_that_nobody_has_written_is_empty(archive):
    assert archive.version("events") == -1
    assert archive.held("events", [LOG]) == (-1, at(0))
    assert archive.scan("events", -1).collect().is_empty()
    assert archive.compact("events", TOMORROW) == module.Compacted(0, 0)


def test_rows_and_how_far_they_reach_are_written_as_one(archive):
    version = archive.append("events", events(1), at(0), at(3))
    assert sequences(archive) == [1, 2, 3]
    assert archive.held("events", [LOG, "LOG_ROAD_1"])[1] == at(3) | at(0, "LOG_ROAD_1")
    archive.append("events", events(4), at(3), at(6))
    assert sequences(archive) == [1, 2, 3, 4, 5, 6]
    assert sequences(archive, version) == [1, 2, 3]


@pytest.mark.parametrize("reached", [3, 6, 9])
def test_a_writer_that_does_not_know_of_another_adds_nothing(archive, reached):
    archive.append("events", events(1), at(0), at(3))
    archive.append("events", events(4), at(3), at(6))
    with pytest.raises(UnavailableError, match="another writer"):
        archive.append("events", events(4), at(3), at(reached))
    assert sequences(archive) == [1, 2, 3, 4, 5, 6]


def test_of_writers_at_the_same_moment_one_adds_its_rows(archive):
    archive.append("events", events(1), at(0), at(3))
    gate, landed, refused = threading.Barrier(6), [], []

    def write() -> None:
        gate.wait()
        try:
            landed.append(archive.append("events", events(4), at(3), at(6)))
        except UnavailableError as error:
            refused.append(error)

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(landed), len(refused)) == (1, 5)
    assert sequences(archive) == [1, 2, 3, 4, 5, 6]


def test_writers_of_different_logs_do_not_hinder_each_other(archive):
    archive.append("events", events(1), at(0), at(3))
    archive.append("events", events(1), at(0, "LOG_ROAD_1"), at(3, "LOG_ROAD_1"))
    assert sequences(archive) == [1, 1, 2, 2, 3, 3]


def test_a_query_of_one_day_reads_the_files_of_that_day_alone(archive):
    archive.append("events", events(1, day=1), at(0), at(3))
    archive.append("events", events(4, day=2), at(3), at(6))
    asked = archive.scan("events", archive.version("events")).filter(pl.col("day") == date(2026, 1, 2))
    assert asked.collect()["sequence"].to_list() == [4, 5, 6]
    assert "day=2026-01-01" not in asked.explain()


def test_many_small_files_of_a_day_become_one_and_the_rows_stay(archive, tmp_path):
    for number in range(module.SMALL_FILES):
        archive.append("events", events(number, 1), at(number), at(number + 1))
    before, version = sequences(archive), archive.version("events")
    assert archive.compact("events", TOMORROW) == module.Compacted(module.SMALL_FILES, 1)
    assert sequences(archive) == before
    assert sequences(archive, version) == before, "who reads the version before goes on"
    assert archive.held("events", [LOG])[1] == at(module.SMALL_FILES)
    assert archive.compact("events", TOMORROW) == module.Compacted(0, 0)


def parts(*values: float) -> pa.Table:
    """Readings of one minute, rolled up."""
    time = datetime(2026, 1, 1, 9, tzinfo=UTC)
    rows = [
        {
            "context": "facility", "day": time.date(), "facility": "bridge-1", "sensor": "tilt-1", "time": time,
            "value": value, "quality": 0, "synthetic": False,
        }
        for value in values
    ]  # fmt: skip
    return rolled(pa.Table.from_pylist(rows, READINGS), "1m")


def test_parts_of_a_bucket_become_one_row_and_their_sum_stays(archive):
    for number in range(module.SMALL_FILES):
        archive.append("minutes", parts(number, number + 0.5), at(number), at(number + 1))
    before = archive.version("minutes")
    assert archive.compact("minutes", TOMORROW, merged) == module.Compacted(module.SMALL_FILES, 1)
    (row,) = archive.scan("minutes", archive.version("minutes")).collect().to_dicts()
    total = sum(number + number + 0.5 for number in range(module.SMALL_FILES))
    assert (row["readings"], row["total"], row["least"], row["greatest"]) == (64, total, 0.0, 31.5)
    assert len(archive.scan("minutes", before).collect()) == module.SMALL_FILES
    assert archive.held("minutes", [LOG])[1] == at(module.SMALL_FILES)


def test_parts_of_today_stay_as_they_are_but_for_their_files(archive):
    for number in range(module.SMALL_FILES):
        archive.append("minutes", parts(number), at(number), at(number + 1))
    assert archive.compact("minutes", TODAY, merged) == module.Compacted(module.SMALL_FILES, 1)
    assert len(archive.scan("minutes", archive.version("minutes")).collect()) == module.SMALL_FILES


def measured(first: int, count: int = 40) -> pa.Table:
    """Readings of four sensors in turns."""
    time = datetime(2026, 1, 1, 9, tzinfo=UTC)
    rows = [
        {
            "context": "facility", "day": time.date(), "shard": 0, "commit": number, "facility": f"bridge-{number % 2}",
            "sensor": f"tilt-{number % 4}", "time": time + timedelta(seconds=number), "value": float(number),
            "quality": 0, "arrived": time, "boot": 1, "sequence": number, "synthetic": False,
        }
        for number in range(first, first + count)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, READINGS)


@pytest.mark.parametrize("most", [1, 30, 1_000])
def test_readings_are_put_in_order_by_sensor_however_many_at_a_time(monkeypatch, most):
    monkeypatch.setattr(clustering, "MOST_ROWS", most)
    found = pl.DataFrame(clustering.clustered(pl.DataFrame(measured(0)).lazy()).read_all())
    assert found.equals(pl.DataFrame(measured(0)).sort("facility", "sensor", "time"))
    assert found["facility"].n_unique() == 2


def test_readings_of_a_day_that_is_over_are_put_together_and_none_is_lost(archive, monkeypatch):
    monkeypatch.setattr(clustering, "MOST_ROWS", 30)
    for number in range(2):
        archive.append("readings", measured(40 * number), at(40 * number), at(40 * number + 40))
    assert archive.compact("readings", TODAY, clustering.clustered) == module.Compacted(0, 0)
    assert archive.compact("readings", TOMORROW, clustering.clustered) == module.Compacted(2, 1)
    found = archive.scan("readings", archive.version("readings")).collect().select(READINGS.names)
    assert found.sort("sequence").equals(pl.DataFrame(pa.concat_tables([measured(0), measured(40)])))
    assert archive.held("readings", [LOG])[1] == at(80)
    assert archive.compact("readings", TOMORROW, clustering.clustered) == module.Compacted(0, 0)


def test_what_comes_very_late_is_merged_when_many_files_have_come(archive):
    for number in range(module.SMALL_FILES):
        if number == 2:
            assert archive.compact("readings", LATER, clustering.clustered) == module.Compacted(0, 0)
        archive.append("readings", measured(number, 1), at(number), at(number + 1))
    assert archive.compact("readings", LATER, clustering.clustered) == module.Compacted(module.SMALL_FILES, 1)


def test_other_tools_read_the_table_while_it_is_written(archive, tmp_path):
    archive.append("events", events(1), at(0), at(3))
    table = DeltaTable(str(tmp_path / "archive" / "events"))
    rows = table.to_pyarrow_dataset()
    archive.append("events", events(4), at(3), at(6))
    told = duckdb.from_arrow(rows).filter("entity = 'jungang-ro'").aggregate("count(*), max(sequence)").fetchall()
    assert told == [(3, 3)], "as of the version that it opened"
    assert duckdb.from_arrow(DeltaTable(table.table_uri).to_pyarrow_dataset()).count("*").fetchall() == [(6,)]
    # What every reader and writer of Delta Lake knows, Spark's among them.
    protocol = table.protocol()
    assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)
    assert not protocol.reader_features


def test_a_version_that_was_scanned_is_not_looked_up_again_and_a_new_one_is(archive):
    version = archive.append("events", events(1), at(0), at(3))
    assert archive.scan("events", version) is archive.scan("events", version)
    newer = archive.append("events", events(4), at(3), at(6))
    assert sequences(archive, newer) == [1, 2, 3, 4, 5, 6]
    assert sequences(archive, version) == [1, 2, 3]


def test_how_far_a_log_was_read_is_kept_without_rows_too(archive):
    version = archive.append("events", EVENTS.empty_table(), at(0), at(5))
    assert archive.held("events", [LOG]) == (version, at(5))
    assert archive.append("events", events(1), at(5), at(8)) == version + 1


def test_what_another_writer_adds_while_parts_are_merged_is_not_lost(archive, tmp_path):
    for number in range(module.SMALL_FILES):
        archive.append("minutes", parts(number), at(number), at(number + 1))

    def slow(rows: pl.LazyFrame) -> pa.Table:
        Archive(str(tmp_path / "archive")).append(
            "minutes", parts(99.0), at(0, "LOG_FACILITY_1"), at(1, "LOG_FACILITY_1")
        )
        return merged(rows)

    with pytest.raises(UnavailableError):
        archive.compact("minutes", TOMORROW, slow)
    found = archive.scan("minutes", archive.version("minutes")).collect()
    assert (found["readings"].sum(), found["greatest"].max()) == (module.SMALL_FILES + 1, 99.0)


def test_a_storage_that_cannot_be_written_is_told_as_unavailable(tmp_path):
    (tmp_path / "archive").write_text("a file where a folder should be")
    with pytest.raises(UnavailableError, match="the archive does not answer"):
        Archive(str(tmp_path / "archive")).append("events", events(1), at(0), at(3))
