"""The archive adds each row once, whoever writes, and stays readable while it is written."""

import threading
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from schemas.archive import EVENTS
from schemas.errors import UnavailableError
from streams import archive as module
from streams.archive import Archive

LOG = "LOG_ROAD_0"


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
    assert archive.reached("events", [LOG]) == {LOG: 0}
    assert archive.scan("events", -1).collect().is_empty()
    assert archive.compact("events") == module.Compacted(0, 0)


def test_rows_and_how_far_they_reach_are_written_as_one(archive):
    version = archive.append("events", events(1), {LOG: 0}, {LOG: 3})
    assert (sequences(archive), archive.reached("events", [LOG, "LOG_ROAD_1"])) == (
        [1, 2, 3],
        {LOG: 3, "LOG_ROAD_1": 0},
    )
    archive.append("events", events(4), {LOG: 3}, {LOG: 6})
    assert sequences(archive) == [1, 2, 3, 4, 5, 6]
    assert sequences(archive, version) == [1, 2, 3]


@pytest.mark.parametrize("reached", [3, 6, 9])
def test_a_writer_that_does_not_know_of_another_adds_nothing(archive, reached):
    archive.append("events", events(1), {LOG: 0}, {LOG: 3})
    archive.append("events", events(4), {LOG: 3}, {LOG: 6})
    with pytest.raises(UnavailableError, match="another writer"):
        archive.append("events", events(4), {LOG: 3}, {LOG: reached})
    assert sequences(archive) == [1, 2, 3, 4, 5, 6]


def test_of_writers_at_the_same_moment_one_adds_its_rows(archive):
    archive.append("events", events(1), {LOG: 0}, {LOG: 3})
    gate, landed, refused = threading.Barrier(6), [], []

    def write() -> None:
        gate.wait()
        try:
            landed.append(archive.append("events", events(4), {LOG: 3}, {LOG: 6}))
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
    archive.append("events", events(1), {LOG: 0}, {LOG: 3})
    archive.append("events", events(1), {"LOG_ROAD_1": 0}, {"LOG_ROAD_1": 3})
    assert sequences(archive) == [1, 1, 2, 2, 3, 3]


def test_a_query_of_one_day_reads_the_files_of_that_day_alone(archive):
    archive.append("events", events(1, day=1), {LOG: 0}, {LOG: 3})
    archive.append("events", events(4, day=2), {LOG: 3}, {LOG: 6})
    asked = archive.scan("events", archive.version("events")).filter(pl.col("day") == date(2026, 1, 2))
    assert asked.collect()["sequence"].to_list() == [4, 5, 6]
    assert "day=2026-01-01" not in asked.explain()


def test_many_small_files_of_a_day_become_one_and_the_rows_stay(archive, tmp_path):
    for number in range(module.SMALL_FILES):
        archive.append("events", events(number, 1), {LOG: number}, {LOG: number + 1})
    before, version = sequences(archive), archive.version("events")
    assert archive.compact("events") == module.Compacted(module.SMALL_FILES, 1)
    assert sequences(archive) == before
    assert sequences(archive, version) == before, "who reads the version before goes on"
    assert archive.reached("events", [LOG]) == {LOG: module.SMALL_FILES}
    assert archive.compact("events") == module.Compacted(0, 0)


def test_a_storage_that_cannot_be_written_is_told_as_unavailable(tmp_path):
    (tmp_path / "archive").write_text("a file where a folder should be")
    with pytest.raises(UnavailableError, match="the archive does not answer"):
        Archive(str(tmp_path / "archive")).append("events", events(1), {LOG: 0}, {LOG: 3})
