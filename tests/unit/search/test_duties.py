"""Duties of a search shard: erasures, expiry, ended cases, hits; begun again wherever they were cut off."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from actors.sighting.blocks import name_of
from schemas.base import Event, from_micros
from schemas.errors import ConflictError, UnavailableError
from schemas.person import (
    AuthoriseCase,
    Candidate,
    CaseErased,
    CaseFacts,
    CloseCase,
    ConfirmCandidate,
    Coverage,
    OpenCase,
    RecordHits,
    RecordSearch,
    StartWatch,
)
from schemas.registry import read_event
from schemas.road import Window
from schemas.sighting import BlocksExpired, BlocksLost, RequestErasure, SegmentErased, SightingsErased
from serve.search import blocks, queries
from serve.search.catalogue import OPEN
from serve.search.duties import LOST_AFTER, Duties
from serve.search.protocol import Query
from serve.search.queries import Sought, digest_of
from serve.search.shard import SearchShard
from streams.blobs import MemoryBlobs
from tests.unit.search.office import Office
from tests.unit.search.town import DAY, HOUR, MODEL, NOW, Town, found, ids, vectors


class Cut(MemoryBlobs):
    """Objects of which the n-th change, and every one behind it, does not come through."""

    def __init__(self, blobs: dict[str, bytes], changes: int) -> None:
        super().__init__()
        self.blobs, self.left = blobs, changes

    def _change(self) -> None:
        if self.left == 0:
            raise OSError("cut off")
        self.left -= 1

    async def put(self, name: str, data: bytes) -> None:
        self._change()
        await super().put(name, data)

    async def delete(self, name: str) -> None:
        self._change()
        await super().delete(name)


async def alone(partition: int, sequence: int, camera: str, erasure: str) -> list[SegmentErased]:
    return []


class World:
    """A town with its office, and a shard with duties that is made anew whenever it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.town = Town(folder)
        self.office = Office(self.town)
        self.town.say_directly, self.town.say = self.town.say, self.office.say  # type: ignore[attr-defined, method-assign]
        self.office.town = _Direct(self.town)  # type: ignore[assignment]
        self.forgotten: list[str] = []

    async def forget(self, case: str) -> None:
        self.forgotten.append(case)

    async def duties(self, others=alone) -> tuple[SearchShard, Duties]:  # type: ignore[no-untyped-def]
        shard = await self.town.opened()
        return shard, Duties(shard, self.office.submit, others, self.forget, lambda: self.town.now)

    async def settle(self, shard: SearchShard, duties: Duties) -> None:
        for _ in range(4 + len(shard.catalogue.tasks())):
            await self.town.catch_up(shard)
            await duties.work()
        await self.town.catch_up(shard)
        await shard.tend()

    def receipts(self) -> list[SightingsErased]:
        return [one for one in self._events() if isinstance(one, SightingsErased)]

    def lost(self) -> list[BlocksLost]:
        return [one for one in self._events() if isinstance(one, BlocksLost)]

    def _events(self) -> list[Event]:
        return [
            read_event(record.type, record.data)
            for log in self.town.logs
            for record in log.records
            if "_shard" not in record.subject
        ]


class _Direct:
    def __init__(self, town: Town) -> None:
        self._town, self.partitions = town, town.partitions

    async def say(self, *events) -> None:  # type: ignore[no-untyped-def]
        await self._town.say_directly(*events)  # type: ignore[attr-defined]


@pytest.fixture
async def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    await world.town.camera("cam-0")
    await world.town.camera("cam-1")
    return world


async def request(world: World, start: int, end: int, erasure: str = "e-1") -> None:
    command = RequestErasure(
        camera="cam-0",
        erasure=erasure,
        window=Window(start=from_micros(start), end=from_micros(end)),
        reason="asked",
        at=from_micros(NOW),
        by="operator",
    )
    assert await world.office.submit([command]) == [None]


async def test_an_erasure_rewrites_blocks_and_files_a_receipt(world: World) -> None:
    seen = vectors(30, 1)
    whole = await world.town.see("cam-0", seen[:10], NOW - 3 * HOUR)
    part = await world.town.see("cam-0", seen[10:20], NOW - 2 * HOUR)
    other = await world.town.see("cam-0", seen[20:], NOW - HOUR)
    shard, duties = await world.duties()
    await request(world, NOW - 4 * HOUR, NOW - 2 * HOUR + 4_000_000)
    await world.settle(shard, duties)
    (receipt,) = world.receipts()
    told = {one.before: one for one in receipt.blocks}
    assert (told[whole.block].after, told[whole.block].rows) == ("", 10)
    assert (told[part.block].rows, told[part.block].left) == (4, 6)
    assert other.block not in told
    assert sum(one.rows for one in receipt.segments) == 14
    stored = {name for name in world.town.blobs.blobs if name.startswith("blocks/")}
    assert stored == {name_of(told[part.block].after), name_of(other.block)}
    assert not shard.catalogue.tasks()
    assert not [name for name in world.town.blobs.blobs if name.startswith("erasures/")]
    assert (await found(shard, seen[0], 40)).rested.permitted == 16
    everything = b"".join(world.town.blobs.blobs.values())
    assert all(row.tobytes() not in everything for row in seen[:14])
    assert all(row.tobytes() in everything for row in seen[14:])


async def test_named_sightings_are_erased_wherever_they_lie(world: World) -> None:
    await world.town.see("cam-0", vectors(5, 1), NOW - 3 * HOUR)
    await world.town.see("cam-0", vectors(5, 2), NOW - 2 * HOUR)
    await world.town.see("cam-1", vectors(5, 3), NOW - 2 * HOUR)
    named = RequestErasure(
        camera="cam-0",
        erasure="e-1",
        sightings=("cam-0:1-2", "cam-0:2-3", "x"),
        reason="r",
        at=from_micros(NOW),
        by="p",
    )
    assert await world.office.submit([named]) == [None]
    shard, duties = await world.duties()
    await world.settle(shard, duties)
    assert sum(one.rows for one in world.receipts()[0].blocks) == 2
    left = ids(await found(shard, vectors(1)[0], 40))
    assert len(left) == 13
    assert not {"cam-0:1-2", "cam-0:2-3"} & set(left)


@pytest.mark.parametrize("changes", range(9))
async def test_an_erasure_that_is_cut_off_anywhere_ends_the_same(world: World, changes: int) -> None:
    seen = vectors(20, 1)
    await world.town.see("cam-0", seen[:10], NOW - 3 * HOUR)
    await world.town.see("cam-0", seen[10:], NOW - 2 * HOUR)
    await request(world, NOW - 4 * HOUR, NOW - 2 * HOUR + 4_000_000)
    shard, duties = await world.duties()
    shard.blobs = Cut(world.town.blobs.blobs, changes)
    await duties.work()
    shard.close()
    again, more = await world.duties()
    await world.settle(again, more)
    (receipt,) = world.receipts()
    assert sum(one.rows for one in receipt.blocks) == 14
    assert not again.catalogue.tasks()
    reply = await found(again, seen[15], 40)
    assert (reply.rested.permitted, reply.rested.scanned) == (6, 6)
    assert len([name for name in world.town.blobs.blobs if name.startswith("blocks/")]) == 1
    assert all(row.tobytes() not in b"".join(world.town.blobs.blobs.values()) for row in seen[:14])


async def rebuilt(world: World) -> SearchShard:
    """A shard that knows nothing but the log and the objects."""
    world.town.folder = world.town.folder / "anew"
    shard, duties = await world.duties()
    await world.settle(shard, duties)
    return shard


def rows_in_objects(world: World, rows: np.ndarray) -> list[int]:
    everything = b"".join(world.town.blobs.blobs.values())
    return [number for number, row in enumerate(rows) if row.tobytes() in everything]


async def test_two_erasures_of_one_block_take_both_their_rows(world: World) -> None:
    seen = vectors(10, 1)
    await world.town.see("cam-0", seen, NOW - HOUR)
    shard, duties = await world.duties()
    await request(world, NOW - HOUR, NOW - HOUR + 2_000_000)
    await request(world, NOW - HOUR + 3_000_000, NOW - HOUR + 5_000_000, "e-2")
    await world.settle(shard, duties)
    assert [(one.erasure, one.rows) for one in world.receipts()] == [("e-1", 2), ("e-2", 2)]
    left = [2, 5, 6, 7, 8, 9]
    assert rows_in_objects(world, seen) == left
    for one in (shard, await rebuilt(world)):
        reply = await found(one, seen[3], 20)
        assert sorted(ids(reply)) == [f"cam-0:1-{number}" for number in left]
        assert (reply.rested.permitted, reply.rested.scanned) == (6, 6)
        assert await one.row_of("cam-0:1-3", "cam-0", NOW - HOUR + 3_000_000) is None


async def test_an_erasure_that_was_done_by_another_leaves_its_turn_to_the_next_at_once(world: World) -> None:
    await world.town.see("cam-0", vectors(10, 1), NOW - HOUR)
    shard, duties = await world.duties()
    await request(world, NOW - HOUR, NOW - HOUR + 2_000_000)
    await request(world, NOW - HOUR + 3_000_000, NOW - HOUR + 5_000_000, "e-2")
    await world.town.catch_up(shard)
    shard.catalogue.do("UPDATE erasures SET done = 1 WHERE erasure = 'e-1'")
    assert await duties.work() == 0
    assert [one.erasure for one in world.receipts()] == ["e-2"]


async def test_of_two_layouts_that_erase_at_once_neither_leaves_a_block_behind(world: World) -> None:
    seen = vectors(10, 1)
    await world.town.see("cam-0", seen, NOW - HOUR)
    old, duties = await world.duties()
    world.town.folder = world.town.folder / "new layout"
    new, others = await world.duties()
    await request(world, NOW - HOUR, NOW - HOUR + 2_000_000)
    await request(world, NOW - HOUR + 3_000_000, NOW - HOUR + 5_000_000, "e-2")
    await world.town.catch_up(new)
    await world.town.catch_up(old)
    await duties.work()
    assert await others.work() == 1  # the block is gone, and it has not read yet that it was replaced
    between = dict(world.town.blobs.blobs)
    await world.town.catch_up(old)
    await duties.work()
    world.town.blobs.blobs |= between  # written by the new one, so late that the old one has rewritten it once more
    await world.settle(new, others)
    assert [(one.erasure, one.rows) for one in world.receipts()] == [("e-1", 2), ("e-2", 2)]
    assert rows_in_objects(world, seen) == [2, 5, 6, 7, 8, 9]
    assert len([name for name in world.town.blobs.blobs if name.startswith("blocks/")]) == 1


@pytest.mark.parametrize("damaged", [False, True])
async def test_a_block_that_cannot_be_read_holds_the_receipt_back_until_it_is_there_again(
    world: World, damaged: bool
) -> None:
    seen = vectors(10, 1)
    name = name_of((await world.town.see("cam-0", seen, NOW - HOUR)).block)
    shard, duties = await world.duties()
    data = world.town.blobs.blobs.pop(name)
    if damaged:
        world.town.blobs.blobs[name] = data[:-1]
    await request(world, NOW - HOUR, NOW - HOUR + 2_000_000)
    await world.settle(shard, duties)
    assert world.receipts() == []
    shard.close()
    world.town.blobs.blobs[name] = data
    again, more = await world.duties()
    assert sorted(ids(await found(again, seen[0], 20))) == [f"cam-0:1-{number}" for number in range(2, 10)]
    await world.settle(again, more)
    assert [(one.erasure, one.rows) for one in world.receipts()] == [("e-1", 2)]
    assert rows_in_objects(world, seen) == list(range(2, 10))


@pytest.mark.parametrize("end", [2_000_000, HOUR])
async def test_a_block_that_stays_away_is_told_to_be_lost_and_deleted_should_it_come_back(
    world: World, end: int
) -> None:
    seen = vectors(10, 1)
    event = await world.town.see("cam-0", seen, NOW - HOUR)
    shard, duties = await world.duties()
    data = world.town.blobs.blobs.pop(name_of(event.block))
    await request(world, NOW - HOUR, NOW - HOUR + end)
    await world.settle(shard, duties)
    world.town.now += LOST_AFTER - 1
    await world.settle(shard, duties)
    assert world.lost() == world.receipts() == []
    world.town.now += 1
    await world.settle(shard, duties)
    assert [(one.erasure, one.blocks, one.rows) for one in world.lost()] == [("e-1", (event.block,), 10)]
    assert [(one.erasure, one.rows) for one in world.receipts()] == [("e-1", 0)]
    assert not shard.catalogue.tasks()
    world.town.blobs.blobs[name_of(event.block)] = data
    anew = await rebuilt(world)
    assert rows_in_objects(world, seen) == []
    hidden = {f"cam-0:1-{number}" for number in range(2 if end < HOUR else 10)}
    assert not hidden & set(ids(await found(anew, seen[0], 20)))


async def test_a_block_that_comes_back_as_it_was_does_not_bring_back_what_was_erased(world: World) -> None:
    seen = vectors(10, 1)
    event = await world.town.see("cam-0", seen, NOW - HOUR)
    whole = dict(world.town.blobs.blobs)
    shard, duties = await world.duties()
    await request(world, NOW - HOUR, NOW - HOUR + 2_000_000)
    await world.settle(shard, duties)
    # As a shard knows it that missed the block while it was erased, and has not read what replaced it.
    (after,) = shard.catalogue.blocks("camera = 'cam-0'")
    shard.catalogue.put_block(replace(after, block=event.block, rows=10, state=OPEN))
    shard.close()
    world.town.blobs.blobs |= whole
    again, _ = await world.duties()
    assert sorted(ids(await found(again, seen[0], 20))) == [f"cam-0:1-{number}" for number in range(2, 10)]
    assert await again.row_of("cam-0:1-1", "cam-0", NOW - HOUR + 1_000_000) is None


@pytest.mark.parametrize("changes", range(4))
async def test_what_a_cut_off_erasure_wrote_leaves_with_a_block_that_expires_meanwhile(
    world: World, changes: int
) -> None:
    event = await world.town.see("cam-0", vectors(10, 1), NOW - HOUR)
    shard, duties = await world.duties()
    await request(world, NOW - HOUR, NOW - HOUR + 2_000_000)
    await world.town.catch_up(shard)
    shard.blobs = Cut(world.town.blobs.blobs, changes)
    await duties.work()
    shard.close()
    at = from_micros(NOW + 30 * DAY)
    await world.town.say(BlocksExpired(at=at, camera="cam-0", blocks=(event.block,), rows=10))
    again, more = await world.duties()
    await world.settle(again, more)
    assert world.receipts()[-1].last
    left = {name_of(one.block) for one in again.catalogue.blocks()}
    assert {name for name in world.town.blobs.blobs if name.startswith("blocks/")} == left
    assert len(left) == (changes == 3)  # told before it expired: then what is left has its own time


async def test_no_receipt_before_every_copy_has_forgotten(world: World) -> None:
    await world.town.see("cam-0", vectors(5, 1), NOW - 3 * HOUR)
    await request(world, NOW - 4 * HOUR, NOW - HOUR)
    behind = True

    async def others(partition: int, sequence: int, camera: str, erasure: str) -> list[SegmentErased]:
        assert (camera, erasure) == ("cam-0", "e-1")
        if behind:
            raise UnavailableError("copy 1 has not come that far")
        return [SegmentErased(shard="search-1-0-1", segment="x", before="a" * 64, after="", rows=5)]

    shard, duties = await world.duties(others)
    await world.settle(shard, duties)
    assert world.receipts() == []
    behind = False
    await world.settle(shard, duties)
    assert {one.shard for one in world.receipts()[0].segments} == {"search-1-0-0", "search-1-0-1"}


async def test_a_sighting_of_the_window_that_came_late_is_erased_too(world: World) -> None:
    await world.town.see("cam-0", vectors(5, 1), NOW - 3 * HOUR)
    await request(world, NOW - 4 * HOUR, NOW - HOUR)
    await world.town.see("cam-0", vectors(5, 2), NOW - 2 * HOUR)
    shard, duties = await world.duties()
    await world.settle(shard, duties)
    assert (await found(shard, vectors(1)[0])).rested.permitted == 0
    assert not world.town.blobs.blobs


async def test_expired_blocks_are_deleted(world: World) -> None:
    event = await world.town.see("cam-0", vectors(5, 1), NOW - 29 * DAY)
    shard, duties = await world.duties()
    at = from_micros(NOW + 2 * DAY)
    await world.town.say(BlocksExpired(at=at, camera="cam-0", blocks=(event.block,), rows=5))
    await world.settle(shard, duties)
    assert blocks.name_of(event.block) not in world.town.blobs.blobs
    assert not shard.catalogue.tasks()


async def case(world: World, person: np.ndarray) -> str:
    """An authorised case with a search, a watch, and objects; the query's digest."""
    at, who = from_micros(NOW), {"case": "c-1", "by": "officer-1"}
    facts = CaseFacts(
        kind="dementia",
        authority="2026-1",
        legal_ground="act",
        reason="missing",
        officer="officer-1",
        expires_at=at + timedelta(days=3),
    )
    data = Sought((Query(MODEL, person),)).to_bytes()
    digest = digest_of(data)
    world.town.blobs.blobs[queries.name_of("c-1", digest)] = data
    world.town.blobs.blobs[queries.name_of("c-1", "f" * 64)] = b"stored by a search that was never recorded"
    world.town.blobs.blobs[queries.name_of("c-10", digest)] = data
    coverage = Coverage(
        shards=1,
        shards_answered=1,
        rows_permitted=1,
        rows_scanned=1,
        cameras=2,
        cameras_silent=(),
        hours_missing=0,
        exact=True,
        recall=None,
    )
    seen = Candidate(
        sighting="cam-0:1-0", camera="cam-0", time=from_micros(NOW - HOUR), model=MODEL, score=0.9, probability=None
    )
    search = RecordSearch(
        **who,
        at=at,
        search="q-1",
        query=digest,
        window=Window(start=from_micros(NOW - DAY), end=at),
        cameras=2,
        models=(MODEL,),
        candidates=(seen,),
        coverage=coverage,
    )
    watch = StartWatch(**who, at=at, watch="w-1", query=digest, models=(MODEL,), min_probability=0.9)
    confirm = ConfirmCandidate(**who, at=at, candidate="cam-0.cam-0:1-0", reason="her coat")
    opened = OpenCase(**who, at=at, facts=facts), AuthoriseCase(**who, at=at, sole=True)
    assert await world.office.submit([*opened, search, watch, confirm]) == [None] * 5
    return digest


async def test_hits_are_told_to_the_watch_once(world: World) -> None:
    person = vectors(1, 5)[0]
    await case(world, person)
    shard, duties = await world.duties()
    await world.town.see("cam-0", np.vstack([person, vectors(3, 6), person]), NOW + 1)
    await world.town.catch_up(shard)
    await world.settle(shard, duties)
    (told,) = [one for one in world.office.asked if isinstance(one, RecordHits)]
    assert [one.sighting for one in told.hits] == ["cam-0:1-0", "cam-0:1-4"]
    assert not shard.catalogue.tasks()


async def test_hits_wait_for_an_owner_that_is_away_and_end_with_a_watch_that_has_ended(world: World) -> None:
    person = vectors(1, 5)[0]
    await case(world, person)
    shard, duties = await world.duties()
    await world.town.see("cam-0", person[None], NOW + 1)
    await world.town.catch_up(shard)
    world.office.refuse = [UnavailableError("starting")]
    assert await duties.work() == 1
    assert len(shard.catalogue.tasks("hits")) == 1
    world.office.refuse = [ConflictError("the watch has ended")]
    assert await duties.work() == 0
    assert not shard.catalogue.tasks("hits")


async def test_hits_are_told_while_erasures_wait_for_a_copy_that_hangs(world: World) -> None:
    person = vectors(1, 5)[0]
    await case(world, person)
    asked = asyncio.Event()

    async def others(partition: int, sequence: int, camera: str, erasure: str) -> list[SegmentErased]:
        asked.set()
        await asyncio.sleep(60)
        raise TimeoutError

    shard, duties = await world.duties(others)
    await request(world, NOW - 4 * HOUR, NOW - HOUR)
    await world.town.catch_up(shard)
    running = asyncio.create_task(duties.run())
    try:
        async with asyncio.timeout(5):
            await asked.wait()
            await world.town.see("cam-0", person[None], NOW + 1)
            await world.town.catch_up(shard)
            while not [one for one in world.office.asked if isinstance(one, RecordHits)]:
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
    assert [one.kind for one in shard.catalogue.tasks()] == ["erase"]


async def test_a_hit_in_a_block_that_was_missing_is_told_when_it_is_found(world: World) -> None:
    person = vectors(1, 5)[0]
    await case(world, person)
    shard, duties = await world.duties()
    running = asyncio.create_task(duties.run())
    try:
        event = await world.town.see("cam-0", person[None], NOW + 1)
        kept = world.town.blobs.blobs.pop(name_of(event.block))
        await world.town.catch_up(shard)
        await asyncio.sleep(0.05)
        world.town.blobs.blobs[name_of(event.block)] = kept
        await shard.tend()
        async with asyncio.timeout(5):
            while not [one for one in world.office.asked if isinstance(one, RecordHits)]:
                await asyncio.sleep(0.01)
    finally:
        running.cancel()


@pytest.mark.parametrize("changes", [0, 1, 2, 99])
async def test_an_ended_case_is_erased_with_its_sightings_wherever_that_is_cut_off(world: World, changes: int) -> None:
    person = vectors(1, 5)[0]
    await world.town.see("cam-0", np.vstack([person, vectors(3, 6)]), NOW - HOUR)
    digest = await case(world, person)
    closed = CloseCase(case="c-1", by="officer-1", at=from_micros(NOW), outcome="found", reason="at home")
    assert await world.office.submit([closed]) == [None]
    shard, duties = await world.duties()
    shard.blobs = Cut(world.town.blobs.blobs, changes)
    await duties.work()
    shard.close()
    again, more = await world.duties()
    await world.settle(again, more)
    events = [read_event(one.type, one.data) for one in world.town.ledger.records if "_shard" not in one.subject]
    (receipt,) = [one for one in events if isinstance(one, CaseErased)]
    assert receipt.objects == tuple(sorted((digest, "f" * 64)))
    assert len(receipt.erasures) == 1
    assert [name for name in world.town.blobs.blobs if name.startswith("cases/")] == [queries.name_of("c-10", digest)]
    assert "c-1" in world.forgotten
    assert ids(await found(again, person, 5)).count("cam-0:1-0") == 0
    assert (await found(again, person, 5)).rested.permitted == 3
    assert [one.erasure for one in world.receipts()] == list(receipt.erasures)
    assert not again.catalogue.tasks()


async def test_of_two_cameras_with_the_same_sighting_id_only_the_confirmed_one_is_erased(world: World) -> None:
    person = vectors(1, 5)[0]
    await world.town.see("cam-0", person[None], NOW - HOUR, ids=["cam-0:1-0"], picture=[b"here"])
    await world.town.see("cam-1", person[None], NOW - HOUR, ids=["cam-0:1-0"], picture=[b"there"])
    await case(world, person)
    shard, duties = await world.duties()
    assert [one.camera for one in (await found(shard, person, 5)).found] == ["cam-0", "cam-1"]
    pictures = [await shard.row_of("cam-0:1-0", camera, NOW - HOUR) for camera in ("cam-0", "cam-1")]
    assert [row and row["picture"] for row in pictures] == [b"here", b"there"]
    closed = CloseCase(case="c-1", by="officer-1", at=from_micros(NOW), outcome="found", reason="at home")
    assert await world.office.submit([closed]) == [None]
    await world.settle(shard, duties)
    assert [(one.camera, one.sighting_id) for one in (await found(shard, person, 5)).found] == [("cam-1", "cam-0:1-0")]
    assert [one.camera for one in world.receipts()] == ["cam-0"]
    left = await shard.row_of("cam-0:1-0", "cam-1", NOW - HOUR)
    assert left is not None
    assert left["picture"] == b"there"
    assert await shard.row_of("cam-0:1-0", "cam-0", NOW - HOUR) is None
