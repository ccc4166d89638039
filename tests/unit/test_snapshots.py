"""Where snapshots lie, which of them are kept, and which is taken when some are damaged."""

import os
import time
from pathlib import Path

import pyarrow as pa
import pytest

from streams.blobs import Blobs, FileBlobs, MemoryBlobs
from streams.snapshots import DAY, HOUR, SnapshotInfo, Snapshots, pack, thin
from tests.contracts.blobs import BlobsContract

NOW = 1_800_000_000_000_000


class TestMemoryBlobs(BlobsContract):
    @pytest.fixture
    def blobs(self) -> Blobs:
        return MemoryBlobs()


class TestFileBlobs(BlobsContract):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> Blobs:
        return FileBlobs((tmp_path / "snapshots").as_uri())

    async def test_the_half_that_a_writer_left_is_named_and_deleted(self, tmp_path: Path) -> None:
        blobs = FileBlobs(tmp_path.as_uri())
        await blobs.put("cases/c-1/whole.bin", b"x")
        half = tmp_path / "cases/c-1/half.bin.part"
        half.write_bytes(b"a photograph")
        assert await blobs.names("cases/c-1") == ["cases/c-1/half.bin", "cases/c-1/whole.bin"]
        assert await blobs.get("cases/c-1/half.bin") is None
        os.utime(half, ns=(0, 7_000_000))
        assert (await blobs.written("cases/c-1"))["cases/c-1/half.bin"] == 7_000
        await blobs.delete("cases/c-1/half.bin")
        assert not half.exists()

    async def test_one_that_cannot_be_stored_keeps_no_other_from_it(self, tmp_path: Path) -> None:
        blobs = FileBlobs(tmp_path.as_uri())
        (tmp_path / "file").write_bytes(b"")
        first, unfit, last = await blobs.put_all([("a/one", b"x"), ("file/below", b"x"), ("a/two", b"y")])
        assert (first, last) == (None, None)
        assert isinstance(unfit, OSError)
        assert await blobs.get("a/two") == b"y"
        with pytest.raises(OSError, match="file"):
            await blobs.put("file/below", b"x")

    async def test_without_a_root_each_is_told_that_it_cannot_be_stored(self, tmp_path: Path) -> None:
        (tmp_path / "root").write_bytes(b"a file where a folder should be")
        blobs = FileBlobs((tmp_path / "root").as_uri())
        assert [type(one) for one in await blobs.put_all([("a/one", b"x"), ("b/two", b"y")])] == [FileExistsError] * 2

    async def test_a_name_says_when_it_was_last_written(self, tmp_path: Path) -> None:
        blobs = FileBlobs(tmp_path.as_uri())
        for name in ("a/one", "a/b/two", "c/three"):
            await blobs.put(name, b"x")
            os.utime(tmp_path / name, ns=(0, 5_000_000_000))
        assert await blobs.written("a") == {"a/b/two": 5_000_000, "a/one": 5_000_000}
        began = time.time_ns() // 1_000 - 1_000_000
        await blobs.put("a/one", b"x")
        assert (await blobs.written("a"))["a/one"] > began
        assert await blobs.written("none") == {}


def tables(value: int) -> dict[str, pa.Table]:
    return {"one": pa.table({"value": [value]}), "없음": pa.table({"name": pa.array([], pa.string())})}


async def saved(blobs: Blobs, *clocks: int) -> Snapshots:
    snapshots = Snapshots(blobs, "facility", 0)
    for sequence, clock in enumerate(clocks, 1):
        await snapshots.save(sequence, clock, f"digest-{sequence}", 1, pack(tables(sequence)))
    return snapshots


async def test_the_newest_snapshot_comes_back_as_it_was_saved() -> None:
    snapshots = await saved(MemoryBlobs(), NOW, NOW + HOUR)
    found = await snapshots.newest()
    assert found is not None
    assert (found.info.sequence, found.info.digest) == (2, "digest-2")
    assert found.tables == tables(2)


async def test_the_newest_snapshot_before_a_moment_is_found() -> None:
    snapshots = await saved(MemoryBlobs(), NOW, NOW + HOUR)
    found = await snapshots.newest(not_after=NOW + HOUR - 1)
    assert found is not None
    assert found.info.sequence == 1
    assert await snapshots.newest(not_after=NOW - 1) is None


async def test_a_damaged_snapshot_is_passed_over() -> None:
    blobs = MemoryBlobs()
    snapshots = await saved(blobs, NOW, NOW + HOUR)
    blobs.blobs["facility/0/2.arrow"] = blobs.blobs["facility/0/2.arrow"][:-1] + b"!"
    found = await snapshots.newest()
    assert found is not None
    assert found.info.sequence == 1


async def test_a_snapshot_of_another_fold_or_schema_version_is_passed_over() -> None:
    blobs = MemoryBlobs()
    snapshots = await saved(blobs, NOW)
    assert await snapshots.newest(fold_versions={2}) is None
    index = blobs.blobs["facility/0/index.json"]
    blobs.blobs["facility/0/index.json"] = index.replace(b'"schema_version":1', b'"schema_version":9')
    assert await snapshots.newest() is None


async def test_a_snapshot_that_reads_back_differently_is_not_listed() -> None:
    class Forgetful(MemoryBlobs):
        async def put(self, name: str, data: bytes) -> None:
            await super().put(name, data[:-1] if name.endswith(".arrow") else data)

    snapshots = Snapshots(Forgetful(), "facility", 0)
    with pytest.raises(OSError, match="reads back differently"):
        await snapshots.save(1, NOW, "digest", 1, pack(tables(1)))
    assert await snapshots.index() == []


def info(clock: int) -> SnapshotInfo:
    return SnapshotInfo(clock, clock, "", 1, 1, "", 0)


def test_snapshots_are_kept_hourly_for_a_day_daily_for_the_retention_and_the_newest_two_always() -> None:
    start = NOW - NOW % DAY
    now = start + 40 * DAY
    kept = thin([info(clock) for clock in range(start, now + 1, HOUR // 2)], now, 30 * DAY)
    ages = [now - entry.clock for entry in kept]
    assert max(ages) <= 30 * DAY
    assert sum(1 for age in ages if age > DAY) in (29, 30)
    assert sum(1 for age in ages if age <= DAY) in (25, 26)
    assert [age for age in ages if age < HOUR] == [HOUR // 2, 0]


async def test_what_is_not_kept_is_deleted() -> None:
    blobs = MemoryBlobs()
    await saved(blobs, NOW - NOW % HOUR, *(NOW - NOW % HOUR + minute * 60_000_000 for minute in (1, 2, 3)))
    assert sorted(blobs.blobs) == [
        "facility/0/1.arrow",
        "facility/0/3.arrow",
        "facility/0/4.arrow",
        "facility/0/index.json",
    ]
