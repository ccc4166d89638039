"""Montréal's polls: the dirt that such files can hold, and the six real ones where they are present."""

import os
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import orjson
import polars as pl
import pytest

from actors.road.context import RoadContext
from schemas.base import micros
from schemas.errors import InvalidError
from schemas.road import ClearingRow
from streams.connectors.montreal import messages, read_polls, register_commands
from streams.ingest import Observed
from streams.log import Position

FOLDER = Path(os.environ.get("BOMNAE_SHARED", "../shared")) / "data" / "snow"
FILES = sorted(FOLDER.glob("montreal_planif_neige_*.csv"))
real = pytest.mark.skipif(len(FILES) != 6, reason=f"the six polls are not in {FOLDER}")

CONTEXT = RoadContext()
HEADER = (
    "snapshot_utc,mun_id,cote_rue_id,etat_deneig,"
    "date_deb_planif,date_fin_planif,date_deb_replanif,date_fin_replanif,date_maj"
)


@pytest.fixture
def poll_of(tmp_path):
    def write(*lines, taken="2026-01-05T20:00:00.5", name="poll.csv"):
        path = tmp_path / name
        path.write_text("\n".join([HEADER, *(f"{taken},{line}" for line in lines)]))
        return path

    return write


def rows_of(poll, previous=None):
    return [row for _, payload in messages(poll, previous) for row in orjson.loads(payload)]


def fold(state, polls, previous=None):
    """The events of each poll, folded as the feed would bring them."""
    sequence, events = 0, []
    for poll in polls:
        sent = [
            Observed(sequence + number, road, "clearing", micros(poll.taken_at), {}, payload)
            for number, (road, payload) in enumerate(messages(poll, previous), start=1)
        ]
        outcome = CONTEXT.observe(state, sent, Position(sequence), 10**9)
        assert outcome.rejections == []
        sequence += len(sent)
        events.append(outcome.events)
        previous = poll if previous is not None else None
    return events


def registered(polls):
    state = CONTEXT.initial_state()
    for command in register_commands(polls, polls[0].taken_at, "montreal"):
        for event in CONTEXT.decide(state, command):
            CONTEXT.evolve(state, event)
    return state


@pytest.mark.parametrize(
    ("code", "state", "window"),
    [
        (0, "snowed", False),
        (1, "cleared", False),
        (2, "planned", True),
        (3, "planned", True),
        (4, "planned", False),
        (5, "under-way", False),
        (10, "cleared", False),
    ],
)
def test_each_code_of_the_city_has_a_state_of_ours_and_keeps_its_name(poll_of, code, state, window):
    planned = "2026-01-06T07:00:00,2026-01-06T19:00:00" if code == 2 else ","
    replanned = "2026-01-06T07:00:00,2026-01-06T19:00:00" if code == 3 else ","
    (poll,), _ = read_polls([poll_of(f"66023,13811111,{code},{planned},{replanned},2026-01-05T14:00:00")])
    (row,) = rows_of(poll)
    known = ClearingRow.model_validate(row)
    assert (known.segment, known.state, known.source) == ("montreal-13811111", state, "montreal-planif-neige")
    assert known.source_state.startswith(f"{code} ")
    assert (known.window is not None) == window
    assert known.window is None or known.window.start == datetime(2026, 1, 6, 12, tzinfo=UTC)


def test_local_times_become_utc_by_the_rules_of_the_day(poll_of):
    path = poll_of("66023,13811111,0,,,,,2026-01-05T14:00:00", "66023,13811112,0,,,,,2026-07-05T14:00:00")
    (poll,), _ = read_polls([path])
    assert [ClearingRow.model_validate(row).changed_at.hour for row in rows_of(poll)] == [19, 18]


def test_of_the_hour_that_the_clocks_repeat_the_first_is_taken(poll_of):
    (poll,), _ = read_polls([poll_of("66023,13811111,0,,,,,2026-11-01T01:30:00")])
    (row,) = rows_of(poll)
    assert ClearingRow.model_validate(row).changed_at == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)


def test_rows_that_say_nothing_are_left_out_and_counted(poll_of):
    path = poll_of(
        "66023,13811111,0,,,,,",
        "66023,13811112,0,,,,,2026-03-08T02:30:00",  # skipped by the clocks
        "66023,13811113,7,,,,,2026-01-05T14:00:00",
        "66023,13811114,?,,,,,2026-01-05T14:00:00",
        "66023,1381 1115,0,,,,,2026-01-05T14:00:00",
        "66023,13811116,2,2026-01-06T19:00:00,2026-01-06T07:00:00,,,2026-01-05T14:00:00",
        "66023,13811117,2,2026-01-06T19:00:00,,,,2026-01-05T14:00:00",
    )
    (poll,), findings = read_polls([path])
    assert [(row["segment"], row["window"]) for row in rows_of(poll)] == [
        ("montreal-13811116", None),
        ("montreal-13811117", None),
    ]
    assert (findings.without_time, findings.unknown_state, findings.without_id, findings.without_window) == (2, 2, 1, 2)


@pytest.mark.parametrize("newest_first", [True, False])
def test_of_a_side_named_twice_the_later_row_counts_wherever_it_stands(poll_of, newest_first):
    lines = ["66023,13811111,0,,,,,2026-01-05T14:00:09", "66023,13811111,1,,,,,2026-01-05T14:00:00"]
    polls, findings = read_polls([poll_of(*(lines if newest_first else reversed(lines)))])
    assert (findings.repeated, findings.conflicting, findings.sides) == (1, 1, 1)
    state = registered(polls)
    fold(state, polls)
    assert CONTEXT.tables(state)["segments"]["clearing"].to_pylist() == ["snowed"]


def test_files_are_read_in_the_order_of_their_snapshots(poll_of):
    late = poll_of("66023,13811111,1,,,,,2026-01-05T15:00:00", taken="2026-01-05T21:00:00", name="a.csv")
    early = poll_of("66023,13811111,0,,,,,2026-01-05T14:00:00", taken="2026-01-05T20:00:00", name="b.csv")
    polls, _ = read_polls([late, early])
    assert [poll.taken_at.hour for poll in polls] == [20, 21]


def test_all_times_can_move_so_that_the_last_poll_is_now(poll_of):
    path = poll_of("66023,13811111,2,2026-01-06T07:00:00,2026-01-06T19:00:00,,,2026-01-05T14:00:00")
    (poll,), _ = read_polls([path])
    now = datetime(2026, 11, 22, 9, tzinfo=UTC)
    (moved,), _ = read_polls([path], last_at=now)
    assert moved.taken_at == now
    (before,), (after,) = rows_of(poll), rows_of(moved)
    one, other = ClearingRow.model_validate(before), ClearingRow.model_validate(after)
    assert other.changed_at - one.changed_at == other.window.end - one.window.end == now - poll.taken_at


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", HEADER, f"{HEADER}\nyesterday,66023,1,0,,,,,"])
def test_a_file_that_is_no_poll_is_named(tmp_path, content):
    path = tmp_path / "lamps.csv"
    path.write_text(content)
    with pytest.raises(InvalidError, match=r"lamps\.csv"):
        read_polls([path])


def test_no_files_at_all_is_an_error():
    with pytest.raises(InvalidError, match="at least one"):
        read_polls([])


@pytest.fixture(scope="module")
def polls():
    return read_polls(FILES)[0]


@real
def test_the_six_polls_name_their_street_sides_and_their_oddities():
    polls, findings = read_polls(FILES)
    assert [poll.rows.height for poll in polls] == [2665] * 4 + [11_365] * 2
    assert (findings.sides, findings.repeated, findings.conflicting) == (11_323, 2 * 42, 2 * 1)
    assert (findings.without_id, findings.without_time, findings.unknown_state, findings.without_window) == (0, 0, 0, 0)


@real
def test_the_street_sides_make_twenty_roads_and_registering_them_again_changes_nothing(polls):
    state = registered(polls)
    assert (len(state.roads), len(state.segments)) == (20, 11_323)
    for command in register_commands(polls, polls[0].taken_at, "montreal"):
        assert CONTEXT.decide(state, command) == []


@real
def test_between_the_last_two_polls_eighty_sides_go_from_snowed_to_planned(polls):
    *_, last = fold(registered(polls), polls)
    assert {event.name for event in last} == {"clearing-changed"}
    assert [(event.was, event.state, event.source_state[:2]) for event in last] == [("snowed", "planned", "2 ")] * 80
    assert all(event.window.end - event.window.start == timedelta(hours=12) for event in last)


@real
def test_a_second_pass_over_the_same_files_changes_nothing(polls):
    state = registered(polls)
    fold(state, polls)
    digest = CONTEXT.digest(state)
    assert fold(state, polls) == [[]] * 6
    assert CONTEXT.digest(state) == digest


@real
def test_the_folded_states_are_those_of_the_last_poll_by_its_latest_rows(polls):
    state = registered(polls)
    fold(state, polls)
    folded = pl.from_arrow(CONTEXT.tables(state)["segments"]).select("segment", "clearing", "status").sort("segment")
    latest = polls[-1].rows.sort("changed_at").unique("segment", keep="last", maintain_order=True).sort("segment")
    assert folded["segment"].to_list() == latest["segment"].to_list()
    assert folded["clearing"].to_list() == latest["state"].to_list()
    assert set(folded["status"]) == {"snowed"}


@real
def test_sending_only_what_changed_since_the_poll_before_leads_to_the_same_state(polls):
    whole, changed = registered(polls), registered(polls)
    events = fold(whole, polls)
    assert sum(len(rows_of(poll, before)) for before, poll in pairwise(polls)) < 9_000
    first = fold(changed, polls[:1])
    assert [*first, *fold(changed, polls[1:], polls[0])] == events
    assert CONTEXT.digest(changed) == CONTEXT.digest(whole)
