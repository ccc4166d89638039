"""One search shard: what the log says can be found, what it takes back cannot, and a restart changes nothing."""

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import from_micros
from schemas.errors import InvalidError, UnavailableError
from schemas.facility import Position
from schemas.road import Window
from schemas.sighting import (
    BlockErased,
    BlocksExpired,
    CameraFacts,
    CameraRegistered,
    CameraRestored,
    CameraSilent,
    SightingsErased,
)
from serve.search import blocks
from serve.search.asking import Reply
from serve.search.cameras import Camera, Silence
from serve.search.catalogue import MISSING, SEALED
from serve.search.place import Place
from serve.search.shard import SearchShard
from streams.blobs import MemoryBlobs
from tests.unit.search.town import DAY, HOUR, NOW, Town, asked, erasure, found, ids, vectors

TODAY = Window(start=from_micros(NOW - DAY), end=from_micros(NOW + HOUR))


@pytest.fixture
async def town(tmp_path: Path) -> Town:
    town = Town(tmp_path)
    for number in range(3):
        await town.camera(f"cam-{number}")
    return town


async def test_what_is_committed_can_be_found_and_equals_a_brute_force(town: Town) -> None:
    for number in range(3):
        await town.see(f"cam-{number}", vectors(50, number), NOW - HOUR)
    shard = await town.opened()
    query = vectors(1, 99)[0]
    reply = await found(shard, query)
    assert ids(reply) == town.best(query, 10)
    assert (reply.rested.permitted, reply.rested.scanned, reply.rested.cameras) == (150, 150, 3)
    assert reply.rested.known


async def test_calls_that_come_together_are_answered_one_after_the_other(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await town.see("cam-0", vectors(30, 1), NOW - HOUR)
    shard = await town.opened()
    look, at_work, most = shard.holdings.pools.look, 0, 0

    def slow(*arguments: Any) -> Any:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        time.sleep(0.02)
        answers = look(*arguments)
        at_work -= 1
        return answers

    monkeypatch.setattr(shard.holdings.pools, "look", slow)
    queries = vectors(4, 99)
    told = await asyncio.gather(*(found(shard, query) for query in queries))
    assert [ids(one) for one in told] == [town.best(query, 10) for query in queries]
    assert most == 1


async def test_filters_limit_the_answer_and_the_coverage(town: Town) -> None:
    await town.see("cam-0", vectors(30, 1), NOW - HOUR)
    await town.see("cam-1", vectors(30, 2), NOW - 5 * HOUR)
    shard = await town.opened()
    query = vectors(1, 99)[0]
    window = Window(start=from_micros(NOW - 2 * HOUR), end=from_micros(NOW))
    reply = await found(shard, query, window=window)
    assert ids(reply) == town.best(query, 10, cameras=["cam-0"])
    assert reply.rested.permitted == 30
    reply = await found(shard, query, cameras=frozenset({"cam-1"}))
    assert ids(reply) == town.best(query, 10, cameras=["cam-1"])
    assert (reply.rested.permitted, reply.rested.cameras) == (30, 1)


async def test_several_photographs_are_one_question_and_the_best_of_them_counts(town: Town) -> None:
    seen = vectors(40, 1)
    await town.see("cam-0", seen, NOW - HOUR)
    shard = await town.opened()
    (reply,) = await shard.search([asked(seen[[3, 17]], 2)])
    assert isinstance(reply, Reply)
    assert sorted(ids(reply)) == ["cam-0:1-17", "cam-0:1-3"]
    assert all(one.similarity == pytest.approx(1, abs=1e-2) for one in reply.found)


async def test_questions_of_one_call_are_answered_as_if_they_came_alone(town: Town) -> None:
    await town.see("cam-0", vectors(40, 1), NOW - HOUR)
    shard = await town.opened()
    queries = [asked(vectors(1, 50 + number), number + 1) for number in range(5)]
    queries.append(asked(vectors(1, 60), 3, cameras=frozenset({"cam-1"})))
    together = await shard.search(queries)
    assert together == [(await shard.search([one]))[0] for one in queries]


async def test_a_vector_that_fits_no_index_is_refused_alone(town: Town) -> None:
    await town.see("cam-0", vectors(5, 1), NOW - HOUR)
    shard = await town.opened()
    good, short, zero, nan = await shard.search(
        [
            asked(vectors(1)),
            asked(vectors(1, dimensions=8)),
            asked(np.zeros((1, 16), np.float32)),
            asked(np.full((1, 16), np.nan, np.float32)),
        ]
    )
    assert isinstance(good, Reply)
    assert all(isinstance(one, InvalidError) for one in (short, zero, nan))


async def test_models_never_meet(town: Town) -> None:
    same = vectors(3, 1)
    await town.see("cam-0", same, NOW - HOUR)
    await town.see("cam-0", same, NOW - 2 * HOUR, model="m-2")  # type: ignore[arg-type]
    shard = await town.opened()
    reply = await found(shard, same[0], model="m-2")
    assert len(reply.found) == 3
    assert all(one.time < NOW - HOUR for one in reply.found)
    assert not (await found(shard, same[0], model="m-3")).rested.known


async def test_two_cameras_may_use_the_same_id(town: Town) -> None:
    one, other = vectors(2, 5)
    town._made = 0
    first = town.block("cam-0", one[None], NOW - HOUR)
    await town.say(first)
    table = await blocks.fetch(town.blobs, first.block)
    assert table is not None
    moved = table.set_column(1, table.schema.field("camera"), [["cam-1"]])
    name, data = blocks.packed(moved)
    town.blobs.blobs[blocks.name_of(name)] = data
    await town.say(first.model_copy(update={"camera": "cam-1", "block": name}))
    shard = await town.opened()
    reply = await found(shard, other)
    assert sorted((hit.camera, hit.sighting_id) for hit in reply.found) == [
        ("cam-0", "cam-0:1-0"),
        ("cam-1", "cam-0:1-0"),
    ]


async def test_a_restart_from_its_files_answers_as_before_and_so_does_a_rebuild(town: Town) -> None:
    for number in range(6):
        await town.see(f"cam-{number % 3}", vectors(40, number), NOW - (number + 1) * HOUR)
    shard = await town.opened()
    query = vectors(1, 99)[0]
    before = await found(shard, query)
    shard.close()
    again = await town.opened()
    assert await found(again, query) == before
    again.close()
    elsewhere = Town(town.folder / "elsewhere")
    elsewhere.logs, elsewhere.blobs = town.logs, town.blobs
    assert await found(await elsewhere.opened(), query) == before


async def test_a_batch_taken_twice_counts_once(town: Town) -> None:
    await town.see("cam-0", vectors(20, 1), NOW - HOUR)
    shard = await town.opened()
    shard.catalogue.move("sighting", 0, 0)
    shard.catalogue.move("sighting", 1, 0)
    await town.catch_up(shard)
    assert (await found(shard, vectors(1)[0])).rested.permitted == 20


class Counted(MemoryBlobs):
    """Objects, and how many were fetched."""

    fetched = 0

    async def get(self, name: str) -> bytes | None:
        self.fetched += 1
        return await super().get(name)


async def test_a_restart_fetches_few_blocks_again_however_slowly_they_came(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.search.holdings.MOST_OPEN", 20)
    shard = await town.opened()
    for number in range(120):
        await town.see(f"cam-{number % 3}", vectors(1, number), NOW - HOUR + number * 1_000_000)
        await town.catch_up(shard)
    before = await found(shard, vectors(1)[0], 30)
    shard.close()
    counted = Counted()
    counted.blobs, town.blobs = town.blobs.blobs, counted
    again = await town.opened()
    assert 0 < counted.fetched <= 20
    assert await found(again, vectors(1)[0], 30) == before
    assert before.rested.scanned == 120
    assert sum(len(index.state.segments) for index in again.holdings.pools.indexes.values()) < 12


def spoil(path: Path) -> None:
    """Zeros over the beginning and the end; the length stays."""
    data = bytearray(path.read_bytes())
    data[:64] = data[-64:] = bytes(64)
    path.write_bytes(data)


FILES = ("manifest.json", "columns.arrow", "codes.faiss", "bits.faiss", "half.npy", "catalogue.sqlite")
DAMAGES = [(name, damage) for name in FILES for damage in (spoil, Path.unlink, lambda path: path.write_bytes(b""))]


@pytest.mark.parametrize(("name", "damage"), [*DAMAGES, ("rows", shutil.rmtree), ("m-1~*", shutil.rmtree)])
async def test_whatever_file_is_damaged_everything_is_read_from_the_log_again(
    town: Town, name: str, damage: Callable[[Path], object]
) -> None:
    await town.see("cam-0", vectors(200, 1), NOW - HOUR)
    shard = await town.opened()
    before = await found(shard, vectors(1)[0])
    for index in shard.holdings.pools.indexes.values():
        index.seal()
    shard.catalogue.do("UPDATE blocks SET state = ?", SEALED)
    shard.close()
    (path,) = town.folder.rglob(name)
    damage(path)
    assert await found(await town.opened(), vectors(1)[0]) == before


async def test_a_catalogue_of_another_version_is_read_from_the_log_again(town: Town) -> None:
    await town.see("cam-0", vectors(20, 1), NOW - HOUR)
    shard = await town.opened()
    before = await found(shard, vectors(1)[0])
    shard.catalogue.do("PRAGMA user_version = 1")
    shard.catalogue.do("DELETE FROM blocks")
    shard.close()
    assert await found(await town.opened(), vectors(1)[0]) == before


async def test_damaged_files_are_read_from_the_log_again(town: Town) -> None:
    await town.see("cam-0", vectors(20, 1), NOW - HOUR)
    shard = await town.opened()
    before = await found(shard, vectors(1)[0])
    for index in shard.holdings.pools.indexes.values():
        index.seal()
    shard.close()
    (manifest,) = town.folder.rglob("codes.faiss")
    manifest.write_bytes(b"")
    assert await found(await town.opened(), vectors(1)[0]) == before


async def test_a_shard_has_the_partitions_of_its_number_alone(town: Town) -> None:
    for number in range(3):
        await town.see(f"cam-{number}", vectors(10, number), NOW - HOUR)
    shards = [await town.opened(Place(2, number)) for number in range(2)]
    query = vectors(1)[0]
    replies = [await found(shard, query, 30) for shard in shards]
    assert sorted(one for reply in replies for one in ids(reply)) == sorted(name for _, name in town.rows)
    assert all(reply.rested.permitted < 30 for reply in replies)


async def test_an_asked_erasure_hides_rows_at_once_and_leaves_nothing_in_the_files(town: Town) -> None:
    seen = vectors(40, 7)
    await town.see("cam-0", seen[:20], NOW - 3 * HOUR)
    await town.see("cam-0", seen[20:], NOW - HOUR)
    shard = await town.opened()
    for index in shard.holdings.pools.indexes.values():
        index.seal()
    (index,) = shard.holdings.pools.indexes.values()
    (segment,) = index.state.sealed
    gone = segment.rows.time < NOW - 2 * HOUR
    traces = [np.array(part[gone]) for part in segment.rows.vectors[:3]]
    assert all(_holds(town.folder, row.tobytes()) for part in traces for row in part)
    await town.say(erasure("cam-0", NOW - 4 * HOUR, NOW - 2 * HOUR))
    await town.catch_up(shard)
    reply = await found(shard, seen[0], 40)
    assert all(one.time >= NOW - 2 * HOUR for one in reply.found)
    assert reply.rested.permitted == 20
    assert [one.key for one in shard.catalogue.tasks("erase")] == ["cam-0/e-1"]
    assert sum(one.rows for one in shard.holdings.receipts("cam-0", "e-1")) == 20
    shard.close()
    # Half floats, int8 codes and sign bits: each is a trace of a body.
    assert not any(_holds(town.folder, row.tobytes()) for part in traces for row in part)
    assert _holds(town.folder, seen[20].astype(np.float16).tobytes())


def _holds(folder: Path, needle: bytes) -> bool:
    return any(needle in path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_a_pending_erasure_hides_rows_after_a_restart_and_a_rebuild_too(town: Town) -> None:
    await town.see("cam-0", vectors(20, 7), NOW - 3 * HOUR)
    await town.say(erasure("cam-0", NOW - 4 * HOUR, NOW - 2 * HOUR))
    shard = await town.opened()
    assert not (await found(shard, vectors(1)[0])).found
    shard.close()
    again = await town.opened()
    assert not (await found(again, vectors(1)[0])).found
    assert await again.row_of("cam-0:1-0", "cam-0", NOW - 3 * HOUR) is None


async def test_an_erased_block_is_followed_to_what_is_left_of_it(town: Town) -> None:
    seen = vectors(20, 7)
    event = await town.see("cam-0", seen, NOW - 3 * HOUR)
    asked_for = erasure("cam-0", NOW - 4 * HOUR, NOW - 3 * HOUR + 5_000_000)
    table = await blocks.fetch(town.blobs, event.block)
    assert table is not None
    after, data = blocks.packed(blocks.without(table, asked_for))
    town.blobs.blobs[blocks.name_of(after)] = data
    del town.blobs.blobs[blocks.name_of(event.block)]
    told = BlockErased(before=event.block, after=after, rows=5, left=15)
    await town.say(asked_for)
    await town.say(
        SightingsErased(
            at=from_micros(NOW), camera="cam-0", erasure="e-1", rows=5, blocks=(told,), segments=(), last=True
        )
    )
    shard = await town.opened()
    await shard.tend()
    reply = await found(shard, seen[7], 30)
    assert ids(reply)[0] == "cam-0:1-7"
    assert (reply.rested.permitted, reply.rested.scanned) == (15, 15)
    assert not shard.catalogue.tasks("erase")
    assert await shard.row_of("cam-0:1-7", "cam-0", NOW - 3 * HOUR + 7_000_000) is not None
    assert await shard.row_of("cam-0:1-2", "cam-0", NOW - 3 * HOUR + 2_000_000) is None


async def test_a_missing_block_is_said_not_hidden_and_found_when_it_comes_back(town: Town) -> None:
    await town.see("cam-0", vectors(20, 1), NOW - 3 * HOUR)
    lost = await town.see("cam-0", vectors(30, 2), NOW - HOUR)
    data = town.blobs.blobs.pop(blocks.name_of(lost.block))
    shard = await town.opened()
    reply = await found(shard, vectors(1)[0], window=TODAY)
    assert (reply.rested.permitted, reply.rested.scanned) == (50, 20)
    assert reply.rested.missing_us == 29_000_000
    assert [one.state for one in shard.holdings.missing] == [MISSING]
    town.blobs.blobs[blocks.name_of(lost.block)] = b"something else"
    await shard.tend()
    assert (await found(shard, vectors(1)[0])).rested.scanned == 20
    town.blobs.blobs[blocks.name_of(lost.block)] = data
    await shard.tend()
    reply = await found(shard, vectors(1)[0], window=TODAY)
    assert (reply.rested.permitted, reply.rested.scanned, reply.rested.missing_us) == (50, 50, 0)


async def test_nothing_beyond_a_cameras_retention_is_found_even_before_it_is_dropped(town: Town) -> None:
    await town.camera("short", retention_days=2)
    await town.see("short", vectors(20, 1), NOW - 2 * DAY - 10_000_000)
    await town.see("cam-0", vectors(20, 2), NOW - 2 * DAY - 10_000_000)
    shard = await town.opened()
    reply = await found(shard, vectors(1)[0], 40)
    assert sum(one.camera == "short" for one in reply.found) == 10
    assert sum(one.camera == "cam-0" for one in reply.found) == 20
    town.now += HOUR
    assert all(one.camera == "cam-0" for one in (await found(shard, vectors(1)[0], 40)).found)
    assert await shard.row_of("short:1-15", "short", NOW - 2 * DAY + 5_000_000) is None


async def test_expired_blocks_leave_the_files(town: Town) -> None:
    seen = vectors(20, 1)
    event = await town.see("cam-0", seen, NOW - 29 * DAY)
    await town.see("cam-0", vectors(5, 2), NOW - HOUR)
    shard = await town.opened()
    for index in shard.holdings.pools.indexes.values():
        index.seal()
    at = from_micros(NOW + 2 * DAY)
    await town.say(BlocksExpired(at=at, camera="cam-0", blocks=(event.block,), rows=20))
    town.now = NOW + 2 * DAY
    await town.catch_up(shard)
    await shard.tend()
    assert [one.block for one in shard.catalogue.blocks()] != [event.block]
    assert [one.key for one in shard.catalogue.tasks("delete")] == [event.block]
    shard.close()
    assert not any(_holds(town.folder, row.astype(np.float16).tobytes()) for row in seen)


async def test_a_retention_that_is_raised_lets_older_sightings_in(town: Town) -> None:
    await town.camera("cam-0", retention_days=2)
    old = await town.see("cam-0", vectors(3, 1), NOW - 3 * DAY)
    shard = await town.opened()
    await town.say(BlocksExpired(at=from_micros(NOW), camera="cam-0", blocks=(old.block,), rows=3))
    await town.catch_up(shard)
    await shard.tend()
    await town.camera("cam-0", retention_days=30)
    await town.see("cam-0", vectors(5, 2), NOW - 10 * DAY)
    await town.catch_up(shard)
    reply = await found(shard, vectors(1)[0])
    assert len(reply.found) == 5
    assert (reply.rested.permitted, reply.rested.scanned) == (5, 5)


async def test_a_receipt_is_whole_when_the_process_dies_between_the_rows_and_the_position(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await town.see("cam-0", vectors(20, 1), NOW - 3 * HOUR)
    await town.see("cam-0", vectors(20, 2), NOW - 2 * HOUR)
    shard = await town.opened()
    for index in shard.holdings.pools.indexes.values():
        index.seal()
    shard.catalogue.do("UPDATE blocks SET state = ?", SEALED)
    await town.say(erasure("cam-0", NOW - 4 * HOUR, NOW - 2 * HOUR))

    def dies(*_: object) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(shard.catalogue, "move", dies)
        with pytest.raises(OSError, match="killed"):
            await town.catch_up(shard)
    shard.close()
    again = await town.opened()
    (receipt,) = again.holdings.receipts("cam-0", "e-1")
    assert receipt.rows == 20
    assert receipt.before != receipt.after != ""
    assert (await found(again, vectors(1)[0], 40)).rested.permitted == 20


async def test_silent_cameras_and_their_hours_are_told(town: Town) -> None:
    await town.see("cam-0", vectors(5, 1), NOW - HOUR)
    silent = CameraSilent(at=from_micros(NOW - 2 * HOUR), camera="cam-1", since=from_micros(NOW - 3 * HOUR))
    await town.say(silent)
    await town.say(CameraRestored(at=from_micros(NOW - 2 * HOUR), camera="cam-1", since=from_micros(NOW - 3 * HOUR)))
    await town.say(silent.model_copy(update={"camera": "cam-2"}))
    shard = await town.opened()
    for _ in range(2):
        rested = (await found(shard, vectors(1)[0], window=TODAY)).rested
        assert (rested.silent, rested.missing_us) == (("cam-1", "cam-2"), HOUR + 3 * HOUR)
        early = Window(start=from_micros(NOW - 9 * HOUR), end=from_micros(NOW - 8 * HOUR))
        assert (await found(shard, vectors(1)[0], window=early)).rested.silent == ()
        shard.close()
        shard = await town.opened()


async def test_before_it_has_read_the_log_it_answers_nothing(town: Town) -> None:
    shard = await town.opened()
    shard.ready = False
    with pytest.raises(UnavailableError, match="still reading"):
        await shard.search([asked(vectors(1))])


async def test_a_row_comes_with_its_picture(town: Town) -> None:
    await town.see("cam-0", vectors(3, 1), NOW - HOUR, picture=[None, b"\xff\xd8", None])
    shard = await town.opened()
    row = await shard.row_of("cam-0:1-1", "cam-0", NOW - HOUR + 1_000_000)
    assert row is not None
    assert row["picture"] == b"\xff\xd8"
    assert np.allclose(row["embedding"], vectors(3, 1)[1])
    assert await shard.row_of("cam-0:1-9", "cam-0", NOW - HOUR) is None
    assert await shard.row_of("cam-0:1-1", "cam-9", NOW - HOUR) is None


async def lost(shard: SearchShard, camera: str, start: int, end: int) -> float:
    window = Window(start=from_micros(start), end=from_micros(end))
    return (await found(shard, vectors(1)[0], window=window, cameras=frozenset({camera}))).rested.missing_us / HOUR


async def test_hours_beyond_the_retention_erased_or_before_the_camera_was_there_are_missing(town: Town) -> None:
    await town.camera("short", retention_days=2)
    await town.see("short", vectors(5, 1), NOW - HOUR)
    shard = await town.opened()
    assert await lost(shard, "short", NOW - 30 * DAY, NOW) == 28 * 24
    assert await lost(shard, "short", NOW - DAY, NOW) == 0
    assert await lost(shard, "cam-0", NOW - 30 * DAY, NOW + DAY) == 0
    assert await lost(shard, "cam-0", NOW - 41 * DAY, NOW - 39 * DAY) == 48
    await town.say(erasure("short", NOW - 20 * HOUR, NOW - 10 * HOUR))
    await town.say(erasure("short", NOW - 12 * HOUR, NOW + HOUR, "e-2"))
    await town.catch_up(shard)
    assert await lost(shard, "short", NOW - DAY, NOW) == 20
    # A silence that reaches into an erased window counts with it once.
    since = from_micros(NOW - 30 * HOUR)
    await town.say(CameraSilent(at=from_micros(NOW - 29 * HOUR), camera="short", since=since))
    await town.say(CameraRestored(at=from_micros(NOW - 15 * HOUR), camera="short", since=since))
    await town.catch_up(shard)
    for _ in range(2):
        assert await lost(shard, "short", NOW - 3 * DAY, NOW) == 24 + 30
        shard.close()
        shard = await town.opened()


async def test_a_recording_counts_from_its_first_sighting_though_its_camera_was_registered_later(town: Town) -> None:
    position = Position(lat=37.88, lon=127.73)
    facts = CameraFacts(name_ko="영상", name_en="video", position=position)
    await town.say(CameraRegistered(at=from_micros(NOW), camera="video", facts=facts))
    shard = await town.opened()
    assert await lost(shard, "video", NOW - 5 * HOUR, NOW) == 5
    await town.see("video", vectors(5, 1), NOW - 2 * HOUR)
    await town.say(CameraRegistered(at=from_micros(NOW), camera="video", facts=facts))
    await town.catch_up(shard)
    assert await lost(shard, "video", NOW - 5 * HOUR, NOW) == 3
    shard.close()
    assert await lost(await town.opened(), "video", NOW - 5 * HOUR, NOW) == 3


spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=5)


@given(spans, spans, spans, st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_every_moment_that_cannot_be_shown_counts_once(
    silences: list[tuple[int, int]],
    erased: list[tuple[int, int]],
    gaps: list[tuple[int, int]],
    since: int,
    start: int,
    end: int,
) -> None:
    facts = CameraFacts(name_ko="x", name_en="x", position=Position(lat=37.88, lon=127.73))
    camera = Camera(facts, tuple(Silence(*one) for one in silences), since, tuple(erased))
    dark = [at for at in range(start, min(end, 50)) if at < since or _in(at, [*silences, *erased, *gaps])]
    assert camera.lost(start, end, 50, gaps) == len(dark)


def _in(at: int, spans: list[tuple[int, int]]) -> bool:
    return any(first <= at < last for first, last in spans)
