"""Folds, replays and snapshots of datasets agree, and so do looks at the clock, whatever is commanded and when."""

from copy import deepcopy
from datetime import datetime
from itertools import pairwise

from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from actors.catalogue.decider import due_at, open_to
from actors.catalogue.state import listing_of, object_of
from schemas.base import micros
from schemas.catalogue import RecordRefresh, RecordUnchanged
from schemas.dataset import Dataset, Points
from schemas.errors import BomnaeError
from schemas.tables import PUBLISHED
from streams.ingest import Observed
from streams.log import Position
from tests.unit.catalogue.context.scenario import CONTEXT, HTTP, SHELTERS, STOPS, given, refresh, register
from tests.unit.catalogue.context.stories import LAST, as_stored, commands, do, in_time, run, same, stories, time_of
from tests.unit.catalogue.entries import LAT, LON, NAME


@for_all(stories)
@settings(max_examples=100)
def test_the_stored_events_alone_lead_to_the_same_state(story):
    city, told = run(story)
    again = given()
    for event in told:
        CONTEXT.evolve(again.state, as_stored(event))
    same(again, city)


@for_all(stories, stories)
@settings(max_examples=60)
def test_a_snapshot_in_between_changes_nothing(first, second):
    city, _ = run(first)
    tables = CONTEXT.tables(city.state)
    assert {name: table.schema for name, table in tables.items()} == PUBLISHED["catalogue"]
    again = given()
    again.state = CONTEXT.load(CONTEXT.dump(city.state))
    same(again, city)
    for step in second:
        assert do(again, step) == do(city, step)
    same(again, city)


@for_all(stories, commands)
@settings(max_examples=100)
def test_deciding_changes_nothing_and_deciding_again_gives_nothing_but_a_confirmation(story, command):
    city, _ = run(story)
    before, digest = deepcopy(city.state.datasets), CONTEXT.digest(city.state)
    try:
        events = CONTEXT.decide(city.state, command)
    except BomnaeError:
        events = []
    assert city.state.datasets == before
    assert CONTEXT.digest(city.state) == digest
    for event in events:
        CONTEXT.evolve(city.state, event)
    if events:
        answers = isinstance(command, RecordRefresh | RecordUnchanged)
        again = [event.name for event in CONTEXT.decide(city.state, command)]
        assert again == (["dataset-confirmed"] if answers else [])


@for_all(stories, st.data())
@settings(max_examples=80)
def test_no_event_is_too_much_in_whatever_order_and_however_often(story, data):
    _, told = run(story)
    mixed = data.draw(st.lists(st.sampled_from(told), max_size=30)) if told else []
    city = given()
    for event in mixed:
        CONTEXT.evolve(city.state, event)
    registered = {event.dataset for event in mixed if event.name == "dataset-registered"}
    assert set(city.state.datasets) == registered
    again = given()
    again.state = CONTEXT.load(CONTEXT.dump(city.state))
    same(again, city)


@for_all(in_time)
@settings(max_examples=150)
def test_a_dataset_is_open_to_whom_its_dates_say_and_closed_to_all_others(story):
    city = given()
    for step in story:
        do(city, step)
        for known in city.state.datasets.values():
            allowed = open_to(known.facts, time_of(step))
            assert set(known.opened) <= set(allowed)
            if isinstance(step, datetime):
                assert known.opened == allowed


@for_all(in_time)
@settings(max_examples=150)
def test_a_dataset_is_late_just_while_an_answer_is_due(story):
    city = given()
    for step in story:
        do(city, step)
        for known in city.state.datasets.values():
            due = due_at(known)
            assert known.late_since in (None, due)
            if isinstance(step, datetime):
                assert (known.late_since is not None) == (due is not None and due <= micros(step))


@for_all(in_time)
@settings(max_examples=150)
def test_however_often_the_clock_is_looked_at_all_ends_the_same(story):
    often, _ = run([*story, LAST])
    once, _ = run([step for step in story if not isinstance(step, datetime)] + [LAST])
    same(often, once)
    assert often.when_it_is(LAST).events == []


@for_all(stories)
@settings(max_examples=100)
def test_the_objects_of_the_state_are_those_that_refreshes_named_but_for_those_dropped(story):
    city, told = run(story)
    named = set()
    for event in told:
        if event.name == "dataset-refreshed":
            objects = {object_of(event.dataset, event.refresh), listing_of(event.dataset, event.refresh)}
            named |= objects - {None}
        elif event.name == "versions-dropped":
            assert set(event.objects) <= named
            named -= set(event.objects)
    assert set(CONTEXT.objects(city.state)) == named


@for_all(stories)
@settings(max_examples=100)
def test_versions_are_those_that_were_not_dropped_each_from_a_moment_of_its_own_and_the_newest_stays(story):
    city, told = run(story)
    for name, known in city.state.datasets.items():
        since = [one.since for one in known.versions]
        assert since == sorted(set(since))
        assert [one.until is None for one in known.versions] == [
            *(False for _ in since[1:]),
            *(True for _ in since[:1]),
        ]
        assert all(one.until <= after.since for one, after in pairwise(known.versions))
        refreshed = [one.refresh for one in told if one.name == "dataset-refreshed" and one.dataset == name]
        dropped = [one.since for one in told if one.name == "versions-dropped" and one.dataset == name]
        assert len(refreshed) == len(since) + sum(map(len, dropped))
        assert known.newest == (refreshed[-1] if refreshed else None)


@for_all(in_time)
@settings(max_examples=100)
def test_a_provider_is_restored_once_after_it_failed_and_down_for_the_time_between(story):
    _, told = run(story)
    down = {}
    for event in told:
        if event.name == "provider-failed":
            down.setdefault(event.dataset, event.at)
        elif event.name == "provider-restored":
            assert event.down_s == (event.at - down.pop(event.dataset)).total_seconds()
        elif event.name == "dataset-refreshed":
            assert event.refresh.uploaded or event.dataset not in down


@for_all(stories)
@settings(max_examples=100)
def test_columns_are_flagged_just_when_a_refresh_has_others_than_the_one_before(story):
    _, told = run(story)
    columns, flagged = {}, {}
    for event in told:
        if event.name == "columns-changed":
            flagged[event.dataset] = event
        elif event.name == "dataset-refreshed":
            before, now = columns.get(event.dataset, event.refresh), event.refresh
            change = flagged.pop(event.dataset, None)
            uploaded = before.uploaded or now.uploaded
            other = before.header != now.header if uploaded else before.schema_digest != now.schema_digest
            assert (change is not None) == (other and before.schema_digest != now.schema_digest)
            if change is not None:
                assert set(before.header) - set(change.gone) | set(change.new) == set(now.header)
            columns[event.dataset] = now
    assert flagged == {}


@for_all(stories)
@settings(max_examples=60)
def test_nothing_comes_to_a_retired_dataset(story):
    _, told = run(story)
    retired = set()
    for event in told:
        if event.dataset in retired:
            assert event.name in {"dataset-opened", "versions-dropped"}
        if event.name == "dataset-retired":
            retired.add(event.dataset)


@for_all(stories)
@settings(max_examples=60)
def test_each_event_that_tells_something_new_changes_the_digest(story):
    _, told = run(story)
    city, digests = given(), [CONTEXT.digest(given().state)]
    for event in told:
        before = deepcopy(city.state.datasets)
        CONTEXT.evolve(city.state, event)
        digests.append(CONTEXT.digest(city.state))
        assert (digests[-1] == digests[-2]) == (city.state.datasets == before)


def test_input_changes_nothing():
    city = given(register(), refresh())
    digest = CONTEXT.digest(city.state)
    outcome = CONTEXT.observe(city.state, [Observed(7, STOPS, "rows", 0, {}, b"")], Position(3, 0), 10)
    assert (outcome.events, outcome.rejections, outcome.end) == ([], [], Position(7, 0))
    assert CONTEXT.observe(city.state, [], Position(3, 0), 10).end == Position(3, 0)
    assert CONTEXT.digest(city.state) == digest
    assert CONTEXT.counted(city.state) is None


def test_an_event_of_a_synthetic_dataset_is_synthetic():
    city = given(register(synthetic=True), register(dataset=SHELTERS))
    (made,) = city.when(refresh()).events
    (real,) = city.when(refresh(dataset=SHELTERS)).events
    assert CONTEXT.synthetic(city.state, made)
    assert not CONTEXT.synthetic(city.state, real)
    assert not CONTEXT.synthetic(given().state, made)


def test_what_readers_see_of_a_declaration_is_all_of_it():
    city = given(register(connector=HTTP, columns=(NAME, LON, LAT), geometry=Points(x="lon", y="lat")))
    assert Dataset.model_validate_json(city.row()["facts"]) == city.known().facts
