"""Stories about datasets by Hypothesis, and how they are told."""

from datetime import date, datetime, timedelta

from hypothesis import strategies as st

from schemas.catalogue import EVENTS
from schemas.dataset import FromFile, Points, Range
from tests.unit.catalogue.context.scenario import (
    CITY,
    CONTEXT,
    HTTP,
    NOON,
    SHELTERS,
    STOPS,
    A,
    B,
    C,
    failed,
    given,
    refresh,
    register,
    retire,
    seed,
    thin,
    unchanged,
)
from tests.unit.catalogue.entries import LAT, LON, NAME

LAST = NOON + timedelta(days=30)
NUMBER = "1" * 64
minutes = st.one_of(st.integers(0, 300), st.integers(0, 5 * 24 * 60))
names = st.sampled_from([STOPS, SHELTERS])
days = st.none() | st.integers(0, 5).map(lambda number: date(2026, 1, 14) + timedelta(days=number))
declared = st.fixed_dictionaries(
    {
        "interval_s": st.sampled_from([None, 30, 3_600, 86_400]),
        "connector": st.sampled_from([None, HTTP, CITY, FromFile(format="csv", file="stops.csv")]),
        "columns": st.just((NAME, LON, LAT)),
        "geometry": st.sampled_from([None, Points(x="lon", y="lat")]),
        "rules": st.sampled_from([(), (Range(column="lon", low=127.0),)]),
        "synthetic": st.booleans(),
        "mode": st.sampled_from(["replace", "upsert"]),
        "key": st.just(("name",)),
    }
)
opening = st.tuples(days, days).map(
    lambda two: {"staff_from": two[0], "citizens_from": max(two) if None not in two else two[1]}
)
findings = st.sampled_from([(), ({"kind": "outside", "column": None, "action": "kept", "rows": 3},)])
commands = st.one_of(
    st.builds(
        lambda say, when, name, some, open_: say(when, name, **some, **open_),
        st.sampled_from([register, register, seed]),
        minutes,
        names,
        declared,
        opening,
    ),
    st.builds(
        refresh,
        minutes,
        st.sampled_from([A, B]),
        names,
        token=st.sampled_from(["01234567", "89abcdef"]),
        based_on=st.sampled_from([None, None, A, B]),
        listing=st.sampled_from([None, C]),
        findings=findings,
        header=st.sampled_from([("name",), ("name", "경도")]),
        schema_digest=st.sampled_from(["0" * 64, NUMBER]),
        completeness=st.floats(0, 1),
        uploaded=st.booleans(),
        took_s=st.floats(0, 1e6),
    ),
    st.builds(unchanged, minutes, names),
    st.builds(failed, minutes, st.sampled_from(["404", "503"]), names),
    st.builds(thin, st.integers(0, 20 * 24 * 60), st.sampled_from([1, 2, 90]), names),
    st.builds(retire, minutes, names, st.sampled_from([None, STOPS, SHELTERS])),
)
moments = minutes.map(lambda when: NOON + timedelta(minutes=when))
steps = st.one_of(commands, moments)
known_at_first = st.builds(
    lambda some, open_: [seed(0, STOPS, **some, **open_), register(0, SHELTERS)], declared, opening
)
stories = st.one_of(st.lists(steps, max_size=25), st.builds(list.__add__, known_at_first, st.lists(steps, max_size=25)))
"""In any order of their times: the clocks of those who command are not one clock."""


def time_of(step):
    return step if isinstance(step, datetime) else step.at


in_time = stories.map(lambda story: sorted(story, key=time_of))


def do(city, step):
    """The events of one step; a moment is a look at the timers."""
    return city.when_it_is(step).events if isinstance(step, datetime) else city.when(step).events


def run(story):
    city, told = given(), []
    for step in story:
        told += do(city, step)
    return city, told


def as_stored(event):
    read = {cls.type: cls for cls in EVENTS}
    return read[event.type].model_validate_json(event.to_json())


def same(one, other):
    assert CONTEXT.digest(one.state) == CONTEXT.digest(other.state)
    assert CONTEXT.tables(one.state) == CONTEXT.tables(other.state)
    assert one.state.datasets == other.state.datasets
