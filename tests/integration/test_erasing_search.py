"""What was erased is in no file of a city that searches: NATS, blocks, segments, catalogue; after a rebuild neither."""

import asyncio
import hashlib
import shutil
from datetime import timedelta
from pathlib import Path

import numpy as np

from actors.sighting.blocks import name_of
from actors.verify import verify
from schemas.registry import read_event
from schemas.road import Window
from schemas.sighting import RequestErasure, SightingsErased
from serve.search.host import SearchHost
from serve.search.segment_digest import digest
from streams.subjects import partition
from tests.integration.hosted import SHARDS
from tests.integration.searching import Searching, now, people, searching
from tests.unit.jpegs import jpeg

GONE, STAYS = {"upper": "purple"}, {"upper": "orange"}
"""Nothing else in a city says either word."""
SECOND = timedelta(seconds=1)
Traces = dict[str, list[bytes]]


def pictures(count: int, seed: int) -> list[bytes]:
    return [jpeg(np.random.default_rng(seed + number).bytes(500)) for number in range(count)]


def traces_of(host: SearchHost, seen: np.ndarray, faces: list[bytes], word: bytes) -> Traces:
    """In every form that is kept: as sent, half floats, int8 codes, sign bits, picture, looks."""
    assert host.shard is not None
    (index,) = host.shard.holdings.pools.indexes.values()
    (segment,) = index.state.sealed
    halves = [row.astype(np.float16).tobytes() for row in seen]
    kept = segment.rows.vectors
    rows = [number for number, half in enumerate(kept.half) if half.tobytes() in halves]
    assert len(rows) == len(seen)
    return {
        "float32": [row.tobytes() for row in seen],
        "float16": halves,
        "int8": [kept.codes[row].tobytes() for row in rows],
        "bits": [kept.bits[row].tobytes() for row in rows],
        "picture": [face[100:300] for face in faces],
        "looks": [word],
    }


def held(folder: Path, traces: Traces) -> dict[str, int]:
    """Of each kind how many traces some file holds."""
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    return {kind: sum(any(one in data for data in files) for one in some) for kind, some in traces.items()}


async def receipts(city: Searching) -> list[SightingsErased]:
    store = city.connection.store("sighting", partition("cam-0", SHARDS["sighting"]))
    found = [read_event(one.type, one.data) async for one in store.read(0) if one.type == SightingsErased.type]
    return [one for one in found if isinstance(one, SightingsErased)]


async def test_an_erasure_ends_in_a_receipt_and_no_file_holds_any_trace_before_and_after_a_rebuild(
    tmp_path: Path,
) -> None:
    start = now() - timedelta(minutes=30)
    seen, faces = people(30, 1), pictures(30, 7)
    looks = [GONE] * 20 + [STAYS] * 10
    async with searching(tmp_path) as city:
        host = await city.host()
        await city.camera("cam-0")
        # A block that goes whole, and one of which two erasures take a quarter each.
        await city.see("cam-0", seen[:10], 0, start, attributes=looks[:10], picture=faces[:10])
        await city.see("cam-0", seen[10:], 10, start + SECOND, attributes=looks[10:], picture=faces[10:])
        await city.until_scanned(seen[0], 30)
        assert host.shard is not None
        (index,) = host.shard.holdings.pools.indexes.values()
        index.seal()
        gone = traces_of(host, seen[:20], faces[:20], b"purple")
        stays = traces_of(host, seen[20:], faces[20:], b"orange")
        everything = {kind: len(some) for kind, some in gone.items()}
        assert held(tmp_path, gone) == everything

        window = Window(start=start - timedelta(hours=1), end=start + SECOND + timedelta(milliseconds=5))
        asked = {"camera": "cam-0", "reason": "r", "at": now(), "by": "operator"}
        assert await city.submit([RequestErasure(erasure="e-1", window=window, **asked)]) == [None]
        named = tuple(f"cam-0:{number}" for number in range(15, 20))
        assert await city.submit([RequestErasure(erasure="e-2", sightings=named, **asked)]) == [None]
        async with asyncio.timeout(30):
            while len(await receipts(city)) < 2 or host.shard.catalogue.tasks():
                await asyncio.sleep(0.02)
        nothing = dict.fromkeys(everything, 0)
        async with asyncio.timeout(20):  # the input is overwritten beside the commits
            while held(tmp_path, gone) != nothing:
                await asyncio.sleep(0.05)
        assert held(tmp_path, stays) == {kind: len(some) for kind, some in stays.items()}
        await agree(city, host)

        await host.stop()
        shutil.rmtree(tmp_path / "search")
        again = await city.host()
        candidates = (await city.search(seen[25], 30)).candidates
        assert {one.sighting for one in candidates} == {f"cam-0:{number}" for number in range(20, 30)}
        assert again.shard is not None
        for one in again.shard.holdings.pools.indexes.values():
            one.seal()
        assert held(tmp_path, gone) == nothing
        assert held(tmp_path, stays)["int8"] == 10
        key = ("sighting", partition("cam-0", SHARDS["sighting"]))
        assert [one.objects for one in await verify(city.connection, [key])] == [1]
    # The server has written what it writes at its end.
    assert held(tmp_path, gone) == nothing
    assert held(tmp_path, stays)["float32"] == 10


async def agree(city: Searching, host: SearchHost) -> None:
    """Hold the receipts against what lies there."""
    first, second = await receipts(city)
    assert (first.erasure, first.rows, second.erasure, second.rows) == ("e-1", 15, "e-2", 5)
    blobs, told = city.connection.objects().blobs, [*first.blocks, *second.blocks]
    assert [await blobs.get(name_of(one.before)) for one in told] == [None] * len(told)
    (left,) = {one.after for one in told if one.after} - {one.before for one in told}
    assert hashlib.sha256(await blobs.get(name_of(left)) or b"").hexdigest() == left
    assert host.shard is not None
    (index,) = host.shard.holdings.pools.indexes.values()
    (segment,) = index.state.segments
    assert [*first.segments, *second.segments][-1].after == digest(segment, index.texts)
    assert sum(one.rows for one in (*first.segments, *second.segments)) == 20
    key = ("sighting", partition("cam-0", SHARDS["sighting"]))
    assert [one.objects for one in await verify(city.connection, [key])] == [1]
