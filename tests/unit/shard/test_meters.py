"""What an owner tells its meters, as plain numbers."""

import pytest

from actors.commit import Asked
from actors.meters import METRICS, Numbers, ShardMeter
from schemas.base import from_micros
from tests.unit.shard.counter import Bump
from tests.unit.shard.harness import T0, World, ask, settle

TAGS = ("counter", "0")


async def measured(world: World) -> tuple[Numbers, object]:
    shard, numbers = await world.started(), Numbers()
    shard.meter = ShardMeter(numbers, *("counter", 0))
    return numbers, shard


async def test_input_is_counted_with_its_events_rejections_and_lag() -> None:
    world = World()
    world.say("a", 1, 1, "no")
    numbers, shard = await measured(world)
    await settle(shard)
    found = {name: numbers.values[name, *TAGS] for name in ("bomnae_readings", "bomnae_events", "bomnae_rejections")}
    assert found == {"bomnae_readings": 3, "bomnae_events": 2, "bomnae_rejections": 1}
    assert numbers.values["bomnae_commits", *TAGS] == numbers.values["bomnae_commit_seconds_count", *TAGS] == 1
    assert numbers.values["bomnae_fold_lag_seconds_sum", *TAGS] == pytest.approx(
        (shard.state.stored_at - (T0 + 1)) / 1e6
    )


async def test_commands_are_counted_by_what_became_of_them() -> None:
    numbers, shard = await measured(World())
    for counter, times, key in (("a", 1, "k"), ("a", 1, "k"), ("a", 0, ""), ("a", -1, "")):
        ask(shard, counter, times, key)
    shard.submit(Asked(None, "claim#", "", T0))
    await settle(shard)
    shard.measure()
    found = {key[-1]: value for key, value in numbers.values.items() if key[0] == "bomnae_commands"}
    assert found == {"done": 1, "repeated": 1, "unchanged": 1, "refused": 1}


async def test_what_waits_is_shown_until_it_is_done() -> None:
    world = World()
    numbers, shard = await measured(world)
    await settle(shard)
    world.say("a", 1)
    world.say("a", 1)
    shard.submit(Asked(Bump(counter="b", at=from_micros(T0), by="test"), "", "", T0))
    shard.measure()
    waiting = [numbers.values[name, *TAGS] for name in ("bomnae_ingest_waiting", "bomnae_queue", "bomnae_feed_backlog")]
    assert waiting == [2, 1, 0]
    await settle(shard)
    shard.measure()
    after = [numbers.values[name, *TAGS] for name in ("bomnae_ingest_waiting", "bomnae_queue", "bomnae_feed_backlog")]
    assert after == [0, 0, 1]
    assert numbers.values["bomnae_log_position", *TAGS] == shard.state.sequence
    assert numbers.values["bomnae_ingest_position", *TAGS] == 2


async def test_all_that_is_told_is_declared() -> None:
    world = World()
    world.say("a", 1, "no")
    numbers, shard = await measured(world)
    ask(shard, "a")
    await settle(shard)
    shard.measure()
    declared = {metric.name for metric in METRICS}
    told = {key[0].removesuffix("_count").removesuffix("_sum") for key in numbers.values}
    assert told == declared - {"bomnae_nats_reconnects"}
