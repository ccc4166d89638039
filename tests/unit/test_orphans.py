"""Objects that no log names: found, erased where nobody is at work, swept beside owners where that is safe."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from actors.host import CONTEXTS
from actors.orphans import SAFE_AFTER, erase_orphans, orphans, sweep
from actors.replay import load
from schemas.errors import DivergenceError
from streams.blobs import FileBlobs, MemoryBlobs
from streams.connection import Connection
from streams.ingest import NoInput
from streams.log import Commit
from streams.memory import MemoryIngest, MemoryStore
from streams.objects import Objects
from streams.snapshots import Snapshots
from tests.golden import files

NOW = 1_800_000_000_000_000
KEYS = [("catalogue", 0), ("population", 0), ("facility", 0)]
ROWS = f"datasets/bus-stops/{'e' * 64}-0123456789abcdef.parquet"
COUNTS = f"population/ee/{'e' * 64}.arrow"


@dataclass
class City:
    """What `orphans` needs of a connection, over the golden logs and a folder."""

    folder: Path
    altered: bool = False

    def store(self, context: str, shard: int) -> MemoryStore:
        store = MemoryStore(f"LOG_{context.upper()}_{shard}")
        store.records = files.read_log(files.HERE / f"{context}-{CONTEXTS[context]().fold_version}.log.jsonl")
        if self.altered:
            last = store.records[-1]
            store.records[-1] = replace(last, data=replace(Commit.from_json(last.data), digest="0" * 32).to_json())
        return store

    def ingest(self, context: str, shard: int) -> Any:
        return NoInput()

    async def snapshots(self, context: str, shard: int) -> Snapshots:
        return Snapshots(MemoryBlobs(), context, shard)

    def objects(self) -> Objects:
        return Objects(FileBlobs(self.folder.as_uri()))

    async def put(self, name: str, age_us: int = 0) -> None:
        await self.objects().blobs.put(name, b"x")
        os.utime(self.folder / name, ns=(0, (NOW - age_us) * 1_000))

    def names(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
async def city(tmp_path: Path) -> City:
    """All that the logs name is there, however old."""
    city = City(tmp_path)
    for context in ("catalogue", "population"):
        state = (await load(CONTEXTS[context](), city.store(context, 0), MemoryIngest([]), None)).domain
        for name in CONTEXTS[context]().objects(state):
            await city.put(name, 10 * SAFE_AFTER)
    return city


def of(city: City) -> Connection:
    return cast("Connection", city)


async def test_what_a_log_names_is_never_an_orphan(city: City) -> None:
    assert len(city.names()) > 4
    assert await orphans(of(city), KEYS) == []
    assert await sweep(of(city), KEYS, NOW) == []


async def test_what_no_log_names_is_told_and_with_a_moment_only_what_is_older(city: City) -> None:
    await city.put(ROWS, SAFE_AFTER + 1)
    await city.put(COUNTS, SAFE_AFTER - 1)
    assert await orphans(of(city), KEYS) == [ROWS, COUNTS]
    assert await orphans(of(city), KEYS, NOW - SAFE_AFTER) == [ROWS]
    assert {ROWS, COUNTS} <= city.names()


async def test_contexts_that_are_not_asked_about_have_no_orphans(city: City) -> None:
    await city.put(ROWS)
    await city.put(f"blocks/aa/{'a' * 64}.arrow")
    assert await erase_orphans(of(city), [("population", 0)]) == []
    assert ROWS in city.names()


async def test_where_nobody_is_at_work_orphans_of_any_age_are_erased(city: City) -> None:
    before = city.names()
    for name in (ROWS, COUNTS):
        await city.put(name)
    assert await erase_orphans(of(city), KEYS) == [ROWS, COUNTS]
    assert await erase_orphans(of(city), KEYS) == []
    assert city.names() == before


async def test_beside_owners_rows_are_swept_when_their_command_cannot_come_any_more(city: City) -> None:
    await city.put(ROWS, SAFE_AFTER)
    assert await sweep(of(city), KEYS, NOW) == []
    await city.put(ROWS, SAFE_AFTER + 1)
    assert await sweep(of(city), KEYS, NOW) == [ROWS]
    assert ROWS not in city.names()


async def test_beside_owners_counts_are_not_swept_since_the_same_file_may_store_them_again(city: City) -> None:
    await city.put(COUNTS, 100 * SAFE_AFTER)
    assert await sweep(of(city), KEYS, NOW) == []
    assert COUNTS in city.names()


async def test_the_half_that_a_writer_left_is_swept_too(city: City) -> None:
    half = city.folder / f"{ROWS}.part"
    half.write_bytes(b"x")
    os.utime(half, ns=(0, (NOW - 2 * SAFE_AFTER) * 1_000))
    assert await sweep(of(city), KEYS, NOW) == [ROWS]
    assert not half.exists()


async def test_nothing_is_erased_where_a_log_cannot_be_folded(city: City) -> None:
    await city.put(ROWS, 2 * SAFE_AFTER)
    city.altered = True
    with pytest.raises(DivergenceError):
        await sweep(of(city), KEYS, NOW)
    with pytest.raises(DivergenceError):
        await erase_orphans(of(city), KEYS)
    assert ROWS in city.names()
