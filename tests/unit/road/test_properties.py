"""No sequence of commands reaches a forbidden state; folds, replays and snapshots agree."""

from copy import deepcopy
from datetime import timedelta

import orjson
import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from actors.road.state import STAGES, Clearing
from actors.road.status import status_of, works_on
from schemas.errors import BomnaeError
from schemas.registry import command_from_dict, command_to_json, read_event
from schemas.road import CancelWork, EndSnow, ExtendWork, FinishWork, MeasureSnow, SegmentStatusChanged, StartWork
from schemas.tables import PUBLISHED
from tests.unit.road.scenario import CONTEXT, WINDOW, at, clear, given, permit, road, snow

times = st.integers(-30, 600).map(at)
works = st.sampled_from(["a", "b"])
commands = st.one_of(
    st.builds(road, segments=st.integers(1, 3), rank=st.sampled_from(["103", "107"])),
    st.builds(
        permit,
        works,
        st.sampled_from(["none", "some-lanes-closed", "all-lanes-closed", "alternating-one-way"]),
        segments=st.sampled_from([("jungang-ro-1",), ("jungang-ro-1", "jungang-ro-2"), ("jungang-ro-3",)]),
        position=st.sampled_from([None, {"lon": 127.73, "lat": 37.88, "synthetic": True}]),
    ),
    st.builds(lambda when, work: StartWork(**when, road="jungang-ro", work=work), times, works),
    st.builds(lambda when, work: FinishWork(**when, road="jungang-ro", work=work), times, works),
    st.builds(lambda when, work: CancelWork(**when, road="jungang-ro", work=work, reason="rain"), times, works),
    st.builds(
        lambda when, work, hours: ExtendWork(
            **when, road="jungang-ro", work=work, until=WINDOW.end + timedelta(hours=hours), reason="rock"
        ),
        times,
        works,
        st.integers(-1, 3),
    ),
    st.builds(snow, st.integers(0, 600), st.sampled_from(["x", "y"]), st.sampled_from([2.0, 6.0])),
    st.builds(lambda when, cm: MeasureSnow(**when, road="jungang-ro", snow="x", depth_cm=cm), times, st.integers(0, 9)),
    st.builds(lambda when: EndSnow(**when, road="jungang-ro", snow="x"), times),
    st.builds(
        clear,
        st.sampled_from(STAGES),
        st.integers(0, 600),
        st.sampled_from(["jungang-ro-1", "jungang-ro-2", "jungang-ro-3"]),
        window=st.sampled_from([None, WINDOW]),
    ),
)
stories = st.lists(commands, max_size=25)


def run(story):
    """The city after a story, with all its events; impossible commands are refused on the way."""
    city, events = given(road()), []
    for command in story:
        try:
            decided = CONTEXT.decide(city.state, command)
        except BomnaeError:
            continue
        for event in decided:
            CONTEXT.evolve(city.state, event)
        events += decided
    return city, events


@for_all(stories)
def test_no_story_reaches_a_forbidden_state(story):
    city, events = run(story)
    for segment in city.state.segments.values():
        assert segment.status == status_of(segment.clearing.state, works_on(city.state, segment))
    assert not city.state.lagging
    for work in city.table("works"):
        assert (work["started_at"] is not None) == (work["state"] in {"started", "finished"})
        assert (work["finished_at"] is not None) == (work["state"] == "finished")
        assert work["window_end"] >= work["permitted_end"]
    told = {}
    for event in events:
        if isinstance(event, SegmentStatusChanged):
            assert event.was == told.get(event.segment, "open")
            assert event.status != event.was
            told[event.segment] = event.status


@for_all(stories, commands)
def test_deciding_changes_nothing_and_deciding_again_gives_nothing(story, command):
    city, _ = run(story)
    before = deepcopy((city.state.roads, city.state.segments, city.state.lagging))
    try:
        events = CONTEXT.decide(city.state, command)
    except BomnaeError:
        events = None
    assert (city.state.roads, city.state.segments, city.state.lagging) == before
    if events is not None:
        for event in events:
            CONTEXT.evolve(city.state, event)
        assert CONTEXT.decide(city.state, command) == []


@for_all(stories)
def test_a_replay_of_the_stored_events_and_a_snapshot_give_the_same_state(story):
    city, events = given(road()), []
    for command in story:
        try:
            decided = CONTEXT.decide(city.state, command_from_dict(orjson.loads(command_to_json(command))))
        except BomnaeError:
            continue
        events += decided
        for event in decided:
            CONTEXT.evolve(city.state, event)
        CONTEXT.digest(city.state)  # step by step here, at once below
        CONTEXT.tables(city.state)
    replayed = given(road())
    for event in events:
        CONTEXT.evolve(replayed.state, read_event(event.type, event.model_dump_json().encode()))
    loaded = CONTEXT.load(CONTEXT.dump(city.state))
    for other in (replayed.state, loaded):
        assert CONTEXT.digest(other) == CONTEXT.digest(city.state)
        assert CONTEXT.tables(other) == CONTEXT.tables(city.state)
        assert (other.roads, other.segments) == (city.state.roads, city.state.segments)


@for_all(stories, stories)
def test_cities_with_different_tables_have_different_digests(one, other):
    a, b = run(one)[0], run(other)[0]
    assert (CONTEXT.tables(a.state) == CONTEXT.tables(b.state)) or CONTEXT.digest(a.state) != CONTEXT.digest(b.state)


@for_all(stories)
def test_an_event_about_something_unknown_is_folded_without_effect(story):
    _, events = run(story)
    empty = CONTEXT.initial_state()
    for event in events:
        if event.name != "road-registered":
            CONTEXT.evolve(empty, event)
    assert CONTEXT.digest(empty) == CONTEXT.digest(CONTEXT.initial_state())


def test_the_tables_have_the_published_columns_also_without_rows():
    for city in (given(), given(road(), permit(), snow())):
        tables = CONTEXT.tables(city.state)
        assert {name: table.schema for name, table in tables.items()} == PUBLISHED["road"]


def test_tables_that_nothing_touched_are_the_same_objects():
    city = given(road(), road("soyang-ro"))
    before = CONTEXT.tables(city.state)
    city.and_(permit())
    after = CONTEXT.tables(city.state)
    assert after["segments"] is before["segments"]
    assert after["works"] is not before["works"]


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        *(
            ("segment", name, value)
            for name, value in {"last_cleared_at": 1, "status": "works", "status_since": 1}.items()
        ),
        *(("segment", "clearing", report) for report in (Clearing(7), Clearing(stage=3), Clearing(window=(1, 2)))),
        *(("segment", "clearing", report) for report in (Clearing(source="x"), Clearing(source_state="x"))),
        *(("road", name, "x") for name in ("name_ko", "name_en", "rank")),
        ("road", "synthetic", False),
        *(("work", name, 5) for name in ("window_end", "extensions", "started_at", "finished_at", "early_s", "late_s")),
        ("work", "state", "cancelled"),
        *(("snow", name, 9) for name in ("first_depth_cm", "depth_cm", "began_at", "ended_at")),
        ("snow", "synthetic", False),
    ],
)
def test_the_digest_covers_every_field(kind, field, value):
    state = given(road(), snow(), permit()).state
    before, known = CONTEXT.digest(state), state.roads["jungang-ro"]
    entities = {
        "segment": ("jungang-ro-1", state.segments["jungang-ro-1"]),
        "road": ("jungang-ro", known),
        "work": ("gas-1", known.works["gas-1"]),
        "snow": ("snow-1", known.snow["snow-1"]),
    }
    entity_id, entity = entities[kind]
    assert getattr(entity, field) != value
    setattr(entity, field, value)
    state.touch(kind, "jungang-ro", entity_id)
    assert CONTEXT.digest(state) != before
