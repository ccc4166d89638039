"""A `traceparent` goes from the command or message to the event's record, and from there to the feed."""

import orjson
import pytest

from actors.commit import Asked
from schemas.base import from_micros
from streams.codec import TRACEPARENT, trace_of
from streams.feed import messages as feed_messages
from streams.ingest import Observed
from streams.log import MAX_BATCH, Position, read_batches
from tests.unit.facility.scenario import HIGH, City
from tests.unit.road.scenario import CONTEXT, given, message, road, row
from tests.unit.shard.counter import Bump
from tests.unit.shard.harness import T0, World, ask, settle


def trace(number: int) -> str:
    return f"00-{number:032x}-{number:016x}-01"


def traced(number: int, counter: str, times: int = 1) -> Asked:
    command = Bump(counter=counter, times=times, at=from_micros(T0), by="test")
    return Asked(command, "", "", T0, trace=trace(number))


async def test_each_event_of_a_commit_carries_the_trace_of_what_caused_it() -> None:
    world = World()
    headers = {TRACEPARENT: trace(1)}
    world.messages.append(Observed(1, "a", "rows", T0, headers, orjson.dumps([1, 1])))
    world.say("b", 1)
    shard = await world.started()
    shard.submit(traced(2, "c", 2))
    ask(shard, "d")
    await shard.step()
    (batch,) = [one async for one in read_batches(world.store, 1)]
    found = [(one.subject.split(".")[4], one.headers.get(TRACEPARENT)) for one in batch.events]
    assert found == [("a", trace(1)), ("a", trace(1)), ("b", None), ("c", trace(2)), ("c", trace(2)), ("d", None)]


async def test_events_that_did_not_fit_into_their_commands_batch_carry_its_trace_too() -> None:
    world = World()
    shard = await world.started()
    shard.submit(traced(3, "a", 2 * MAX_BATCH))
    await settle(shard)
    batches = [one async for one in read_batches(world.store, 1)]
    assert len(batches) == 3
    assert {event.headers[TRACEPARENT] for one in batches for event in one.events} == {trace(3)}


async def test_a_traced_log_replays_to_the_same_state() -> None:
    world = World()
    first = await world.started()
    first.submit(traced(1, "a", 3))
    await settle(first)
    second = await world.started()
    assert second.state.domain == first.state.domain == {"a": 3}


def test_a_reading_that_trips_an_alarm_names_its_message_among_many() -> None:
    city = City().bridge(HIGH)
    calm, high = city.arrow([("tilt-1", 1, 1.0)]), city.arrow([("tilt-1", 2, 60.0)])
    sent = [
        city.message(calm, traceparent=trace(1)),
        city.message(b"unreadable", traceparent=trace(2)),
        city.message(high, traceparent=trace(3)),
        city.message(city.arrow([("tilt-1", 3, 1.0)]), traceparent=trace(4)),
    ]
    names = city.send(*sent)
    assert names[0] == "alarm-raised"
    assert names[-1] == "risk-level-changed"
    returned = names.index("alarm-returned")
    assert city.outcome.traces == [trace(3)] * returned + [trace(4)] * (len(names) - returned)


def test_a_road_feeds_events_name_their_message() -> None:
    city = given(road())
    plain, traced = message(1, [row("snowed")]), message(2, [row("cleared", 1)])
    traced.headers[TRACEPARENT] = trace(7)
    outcome = CONTEXT.observe(city.state, [plain, traced], Position(), MAX_BATCH)
    assert outcome.traces == ["", "", trace(7), trace(7)]


async def test_the_feed_message_of_an_event_carries_its_trace() -> None:
    world = World()
    shard = await world.started()
    shard.submit(traced(5, "a"))
    await settle(shard)
    (batch,) = [one async for one in read_batches(world.store, 1)]
    assert {one.headers[TRACEPARENT] for one in feed_messages(batch)} == {trace(5)}


@pytest.mark.parametrize(
    "said", ["", "00-1-2-01", trace(1) + "\r\nx: y", trace(1).replace("00-", "ff-", 1), trace(1).upper() + "Z", "\r"]
)
def test_what_is_no_traceparent_is_not_carried_on(said: str) -> None:
    assert trace_of({TRACEPARENT: said}) == ""
