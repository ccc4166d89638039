"""Folds, replays and snapshots of sources agree, whatever was commanded."""

from copy import deepcopy
from datetime import timedelta

from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from actors.population.blocks import name_of
from actors.population.tables import DAYS, SOURCES
from schemas.errors import BomnaeError
from schemas.population import EVENTS
from streams.ingest import Observed
from streams.log import Position
from tests.unit.population.scenario import CONTEXT, MONDAY, A, B, given, record, register, retire

minutes = st.integers(0, 100)
sources = st.sampled_from(["fare-card", "operator"])
days = st.integers(0, 2).map(lambda number: MONDAY + timedelta(days=number))
commands = st.one_of(
    st.builds(
        register,
        minutes,
        sources,
        measure=st.sampled_from(["boardings", "people-present"]),
        suppress_below=st.sampled_from([3, 5]),
        synthetic=st.booleans(),
    ),
    st.builds(
        record,
        minutes,
        days,
        sources,
        block=st.sampled_from([A, B]),
        total=st.floats(0, 1e6),
        hours=st.sampled_from([(7, 8, 9), (7, 8, 9, 23)]),
        whole=st.booleans(),
    ),
    st.builds(retire, minutes, sources),
)
stories = st.lists(commands, max_size=20)


def run(story):
    city, events = given(), []
    for command in story:
        events += city.when(command).events
    return city, events


@for_all(stories)
@settings(max_examples=60)
def test_the_stored_events_alone_lead_to_the_same_state(story):
    city, events = run(story)
    read = {cls.type: cls for cls in EVENTS}
    again = given()
    for event in events:
        CONTEXT.evolve(again.state, read[event.type].model_validate_json(event.to_json()))
    assert again.state.sources == city.state.sources
    assert CONTEXT.digest(again.state) == CONTEXT.digest(city.state)


@for_all(stories, stories)
@settings(max_examples=50)
def test_a_snapshot_in_between_changes_nothing(first, second):
    city, _ = run(first)
    digest, tables = CONTEXT.digest(city.state), CONTEXT.tables(city.state)
    again = given()
    again.state = CONTEXT.load(CONTEXT.dump(city.state))
    assert CONTEXT.digest(again.state) == digest
    assert {name: table.schema for name, table in tables.items()} == {"sources": SOURCES, "days": DAYS}
    assert CONTEXT.tables(again.state) == tables
    for one in (city, again):
        for command in second:
            one.when(command)
    assert CONTEXT.digest(again.state) == CONTEXT.digest(city.state)
    assert CONTEXT.tables(again.state) == CONTEXT.tables(city.state)


@for_all(stories, commands)
@settings(max_examples=60)
def test_deciding_changes_nothing_and_deciding_again_gives_nothing(story, command):
    city, _ = run(story)
    before = deepcopy(city.state.sources)
    try:
        events = CONTEXT.decide(city.state, command)
    except BomnaeError:
        events = []
    assert city.state.sources == before
    for event in events:
        CONTEXT.evolve(city.state, event)
    if events:
        assert CONTEXT.decide(city.state, command) == []


@for_all(stories)
@settings(max_examples=50)
def test_every_block_that_an_event_named_stays_an_object_for_the_past(story):
    city, events = run(story)
    named = {name_of(event.facts.block) for event in events if event.name == "day-recorded"}
    assert set(CONTEXT.objects(city.state)) == named


@for_all(stories)
@settings(max_examples=50)
def test_the_digest_tells_states_apart(story):
    city, events = run(story)
    digests = {CONTEXT.digest(given().state)}
    again = given()
    for event in events:
        CONTEXT.evolve(again.state, event)
        digests.add(CONTEXT.digest(again.state))
    assert len(digests) == 1 or CONTEXT.digest(city.state) != CONTEXT.digest(given().state)
    assert (len(digests) > 1) == bool(events)


def test_time_and_input_change_nothing():
    city = given(register(), record())
    digest = CONTEXT.digest(city.state)
    assert CONTEXT.tick(city.state, 2**60) == []
    outcome = CONTEXT.observe(city.state, [Observed(7, "fare-card", "x", 0, {}, b"")], Position(3, 0), 10)
    assert (outcome.events, outcome.rejections, outcome.end) == ([], [], Position(7, 0))
    assert CONTEXT.digest(city.state) == digest


def test_an_event_of_a_synthetic_source_is_synthetic():
    city = given(register(synthetic=True), register(source="operator", synthetic=False))
    (made,) = city.when(record()).events
    (real,) = city.when(record(source="operator")).events
    assert CONTEXT.synthetic(city.state, made)
    assert not CONTEXT.synthetic(city.state, real)


def test_an_event_of_an_unknown_source_changes_nothing():
    (event,) = given(register()).when(record()).events
    empty = given()
    CONTEXT.evolve(empty.state, event)
    assert empty.state.sources == {}
