"""`bomnae verify` of one shard: what was changed behind the program's back is noticed and named."""

from collections.abc import Callable
from dataclasses import replace

import orjson
import pyarrow as pa
import pytest

from actors.verify import Verified, Watched, verify_shard
from schemas.errors import DivergenceError, LostLogError
from streams.log import Commit, Record
from streams.memory import MemoryIngest
from streams.snapshots import pack
from tests.unit.shard.counter import CounterContext
from tests.unit.shard.harness import World, ask, settle


async def lived() -> World:
    """A shard that folded input, decided commands under keys, and saved a snapshot in between and at the end."""
    world = World()
    shard = await world.started()
    for number in range(3):
        world.say("a", 1, 2)
        ask(shard, "b", 2, key=f"key-{number}", digest="same")
        await settle(shard)
        if number:
            await shard.saving.save(shard.state)
    return world


async def check(world: World) -> Verified:
    return await verify_shard(CounterContext(), world.store, MemoryIngest(world.messages), world.snapshots())


def tamper(world: World, wanted: Callable[[Record], bool], change: Callable[[Record], Record]) -> int:
    """Change the first record that is wanted, and say where it stands."""
    place = next(place for place, record in enumerate(world.store.records) if wanted(record))
    world.store.records[place] = change(world.store.records[place])
    return place + 1


def is_commit(record: Record) -> bool:
    return record.subject.endswith(".committed")


async def test_an_untouched_shard_holds_and_tells_its_figures() -> None:
    world = await lived()
    found = await check(world)
    newest = Commit.from_json(world.store.records[-1].data)
    assert (found.log, found.sequence, found.digest) == (world.store.name, len(world.store.records), newest.digest)
    assert (found.commits, found.snapshots, found.passed_over) == (newest.number, 2, 0)


async def test_a_log_that_goes_on_behind_the_newest_snapshot_holds() -> None:
    world = await lived()
    shard = await world.started()
    world.say("c", 5)
    await settle(shard)
    found = await check(world)
    assert found.sequence == len(world.store.records)


async def test_a_changed_event_is_noticed_where_it_stands() -> None:
    world = await lived()

    def raised(record: Record) -> Record:
        fields = orjson.loads(record.data)
        return replace(record, data=orjson.dumps({**fields, "to": fields["to"] + 1}))

    place = tamper(world, lambda record: record.type == "city.counter.bumped.v1", raised)
    with pytest.raises(DivergenceError) as found:
        await check(world)
    assert (found.value.sequence, found.value.what) == (place, "event (city.counter.bumped.v1)")


async def test_a_changed_command_is_noticed_at_its_commit() -> None:
    world = await lived()

    def doubled(record: Record) -> Record:
        return replace(record, data=record.data.replace(b'"times":2', b'"times":3'))

    tamper(world, lambda record: is_commit(record) and b'"times":2' in record.data, doubled)
    with pytest.raises(DivergenceError):
        await check(world)


async def test_input_that_was_changed_is_noticed() -> None:
    world = await lived()
    world.messages[1] = replace(world.messages[1], data=b"[7,2]")
    with pytest.raises(DivergenceError):
        await check(world)


async def test_a_changed_digest_is_noticed_at_its_commit() -> None:
    world = await lived()

    def other(record: Record) -> Record:
        return replace(record, data=replace(Commit.from_json(record.data), digest="0" * 16).to_json())

    place = tamper(world, is_commit, other)
    with pytest.raises(DivergenceError) as found:
        await check(world)
    assert (found.value.sequence, found.value.what) == (place, "digest")


async def test_an_event_taken_out_of_the_log_is_noticed() -> None:
    world = await lived()
    place = next(n for n, record in enumerate(world.store.records) if record.type == "city.counter.bumped.v1")
    del world.store.records[place]
    with pytest.raises(DivergenceError):
        await check(world)


async def forge(world: World, table: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Save the newest snapshot again with a changed table, so that its checksum is right."""
    snapshots = world.snapshots()
    found = await snapshots.newest()
    assert found is not None
    tables = {**found.tables, table: change(found.tables[table])}
    info = found.info
    await snapshots.save(info.sequence, info.clock, info.digest, info.fold_version, pack(tables))


async def test_a_snapshot_that_holds_another_state_is_noticed() -> None:
    world = await lived()
    await forge(world, "counters", lambda table: table.set_column(1, "value", pa.array([99] * table.num_rows)))
    with pytest.raises(DivergenceError) as found:
        await check(world)
    assert found.value.what == "state from the snapshot"


async def test_a_snapshot_with_other_answers_is_noticed() -> None:
    world = await lived()
    await forge(world, "_journal", lambda table: table.slice(1))
    with pytest.raises(DivergenceError) as found:
        await check(world)
    assert found.value.what == "journal of answers from the newest snapshot"


async def test_a_damaged_snapshot_is_passed_over_as_at_a_start() -> None:
    world = await lived()
    name = max(name for name in world.blobs.blobs if name.endswith(".arrow"))
    world.blobs.blobs[name] = world.blobs.blobs[name][:-1]
    found = await check(world)
    assert (found.snapshots, found.passed_over) == (1, 1)


async def test_reading_is_reported_up_to_the_newest_record() -> None:
    world = await lived()
    seen: list[tuple[str, int, int]] = []
    store = Watched(world.store, lambda *report: seen.append(report))
    await verify_shard(CounterContext(), store, MemoryIngest(world.messages), world.snapshots())
    last = len(world.store.records)
    assert seen[0] == (world.store.name, 0, last)
    assert (world.store.name, last, last) in seen


async def test_a_log_that_has_lost_what_a_snapshot_holds_is_not_served() -> None:
    world = await lived()
    newest = (await world.snapshots().index())[-1].sequence
    world.store.records = [record for record in world.store.records if record.sequence < newest]
    with pytest.raises(LostLogError, match=f"sequence {newest}"):
        await world.owner().start()


async def test_a_log_that_was_put_back_is_served_once_its_later_snapshots_are_forgotten() -> None:
    world = await lived()
    first, *_, newest = await world.snapshots().index()
    world.store.records = [record for record in world.store.records if record.sequence < newest.sequence]
    assert await world.snapshots().cut(await world.store.last_sequence()) == 1
    assert first in await world.snapshots().index()
    assert await world.snapshots().cut(await world.store.last_sequence()) == 0
    await world.owner().start()
