"""No sequence of commands reaches anything outside an authorised open case; folds and snapshots agree."""

from copy import deepcopy
from datetime import timedelta

from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from schemas.base import micros
from schemas.errors import BomnaeError
from schemas.person import RecordView, ViewRecorded
from schemas.tables import PUBLISHED
from tests.unit.person.scenario import (
    CONTEXT,
    NOON,
    A,
    B,
    authorise,
    close,
    confirm,
    dismiss,
    end,
    erased,
    given,
    hits,
    opened,
    search,
    seen,
    view,
    watch,
)

SEARCHING = {"search-recorded", "watch-started", "watch-hit", "candidate-confirmed", "candidate-dismissed"}
minutes = st.integers(0, 150)
sightings = st.sampled_from(["s-1", "s-2", "s-3"])
watches = st.sampled_from(["w-1", "w-2"])
found = st.builds(seen, sightings, st.floats(0, 1), probability=st.sampled_from([None, 0.2, 0.9]))
commands = st.one_of(
    st.builds(opened, minutes, st.sampled_from(["officer-kim", "inspector-lee"]), hours=st.sampled_from([1, 2])),
    st.builds(authorise, minutes, st.sampled_from(["officer-kim", "inspector-lee"]), st.booleans()),
    st.builds(
        lambda when, name, some: search(when, name, *some),
        minutes,
        st.sampled_from(["q-1", "q-2"]),
        st.lists(found, min_size=1, max_size=3),
    ),
    st.builds(view, st.sampled_from(["case", "candidates", "route", "ledger"]), minutes),
    st.builds(lambda when, sighting: view("picture", when, f"cam-1.{sighting}"), minutes, sightings),
    st.builds(confirm, sightings.map("cam-1.{}".format), minutes),
    st.builds(dismiss, sightings.map("cam-1.{}".format), minutes),
    st.builds(watch, watches, minutes),
    st.builds(
        lambda some, name, when: hits(*some, watch_id=name, minutes=when),
        st.lists(found, min_size=1, max_size=4),
        watches,
        minutes,
    ),
    st.builds(end, watches, minutes),
    st.builds(close, minutes),
    st.builds(lambda when: erased(A, B, minutes=when), minutes),
    st.builds(lambda when: NOON + timedelta(minutes=when), minutes),
)
stories = st.lists(commands, max_size=30)


def run(story):
    """The city after a story, with (state of the case before, event) pairs; a moment is a look at the timers."""
    city, told = given(), []
    for step in story:
        before = state_of(city)
        if isinstance(step, type(NOON)):
            events = CONTEXT.tick(city.state, micros(step))
        else:
            try:
                events = CONTEXT.decide(city.state, step)
            except BomnaeError:
                continue
            for event in events:
                CONTEXT.evolve(city.state, event)
        told += [(before, step, event) for event in events]
    return city, told


def state_of(city):
    case = city.state.cases.get("case-1")
    return case.state if case else None


@for_all(stories)
@settings(max_examples=300)
def test_nothing_is_searched_watched_decided_or_viewed_outside_an_authorised_case_in_its_time(story):
    city, told = run(story)
    for before, step, event in told:
        looks = isinstance(event, ViewRecorded) and event.what in {"candidates", "route", "picture"}
        if event.name in SEARCHING or looks:
            assert before == "authorised"
            assert step.at < city.state.cases["case-1"].facts.expires_at
    ends = [number for number, (*_, event) in enumerate(told) if event.name in {"case-closed", "case-expired"}]
    assert len(ends) <= 1
    for *_, event in told[ends[0] + 1 :] if ends else []:
        assert event.name in {"view-recorded", "case-erased"}


@for_all(stories)
@settings(max_examples=200)
def test_after_its_end_no_watch_of_a_case_is_active_and_each_hit_counted_once(story):
    city, told = run(story)
    case = city.state.cases.get("case-1")
    if case is not None and case.state in {"closed", "expired"}:
        assert case.active == []
    counted = [(event.watch, event.candidate.id) for *_, event in told if event.name == "watch-hit"]
    assert len(counted) == len(set(counted))
    started = {event.watch for *_, event in told if event.name == "watch-started"}
    ended = [event.watch for *_, event in told if event.name == "watch-ended"]
    assert len(ended) == len(set(ended))
    assert set(ended) <= started
    authors = {event.by for *_, event in told if event.name == "case-authorised" and not event.sole}
    assert case is None or case.opened_by not in authors


@for_all(stories, commands)
@settings(max_examples=200)
def test_deciding_changes_nothing_and_deciding_again_gives_nothing_but_looks(story, command):
    city, _ = run(story)
    if isinstance(command, type(NOON)):
        assert CONTEXT.tick(city.state, micros(command)) is not None
        assert CONTEXT.tick(city.state, micros(command)) == []
        return
    before = deepcopy(city.state.cases)
    try:
        events = CONTEXT.decide(city.state, command)
    except BomnaeError:
        events = []
    assert city.state.cases == before
    for event in events:
        CONTEXT.evolve(city.state, event)
    if events and not isinstance(command, RecordView):
        assert CONTEXT.decide(city.state, command) == []


@for_all(stories, stories)
@settings(max_examples=100)
def test_a_snapshot_in_between_changes_nothing(first, second):
    city, _ = run(first)
    digest = CONTEXT.digest(city.state)
    tables = CONTEXT.tables(city.state)
    again = given()
    again.state = CONTEXT.load(CONTEXT.dump(city.state))
    assert CONTEXT.digest(again.state) == digest
    assert {name: table.schema for name, table in tables.items()} == PUBLISHED["person"]
    assert CONTEXT.tables(again.state) == tables
    for one in (city, again):
        for step in second:
            if isinstance(step, type(NOON)):
                CONTEXT.tick(one.state, micros(step))
            else:
                one.when(step)
    assert CONTEXT.digest(again.state) == CONTEXT.digest(city.state)
    assert again.state.open == city.state.open
    assert CONTEXT.tables(again.state) == CONTEXT.tables(city.state)


@for_all(stories)
@settings(max_examples=100)
def test_the_events_alone_lead_to_the_same_state(story):
    city, told = run(story)
    again = given()
    for *_, event in told:
        CONTEXT.evolve(again.state, event)
    assert CONTEXT.digest(again.state) == CONTEXT.digest(city.state)
