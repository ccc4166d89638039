"""Snow: events on a road, and the clearing state of its segments."""

from itertools import permutations

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from actors.road.state import STAGES
from schemas.base import micros
from schemas.errors import ConflictError, InvalidError, NotFoundError
from schemas.road import EndSnow, MeasureSnow
from tests.unit.road.scenario import CONTEXT, NOON, WINDOW, at, clear, given, road, snow


def measure(depth_cm, minutes=30):
    return MeasureSnow(**at(minutes), road="jungang-ro", snow="snow-1", depth_cm=depth_cm)


def end(minutes=60):
    return EndSnow(**at(minutes), road="jungang-ro", snow="snow-1")


def test_snow_marks_every_segment():
    city = given(road())
    events = city.when(snow()).then("snow-began", "segment-status-changed", "segment-status-changed")
    assert [event.segment for event in events[1:]] == ["jungang-ro-1", "jungang-ro-2"]
    assert {(row["clearing"], row["status"], row["clearing_since"]) for row in city.table("segments")} == {
        ("snowed", "snowed", NOON)
    }


def test_the_same_snow_again_changes_nothing_also_after_a_measurement():
    given(road(), snow(), measure(7)).when(snow(5)).then_nothing()


def test_snow_that_began_with_another_depth_is_a_conflict():
    given(road(), snow()).when(snow(depth_cm=9)).then_raises(ConflictError, "measure it")


def test_snow_on_an_unknown_road_names_it():
    given().when(snow()).then_raises(NotFoundError, "jungang-ro")


def test_a_second_snow_event_snows_cleared_segments_again():
    city = given(road(), snow(), clear("cleared", 10))
    city.when(snow(20, "snow-2")).then("snow-began", "segment-status-changed")
    assert city.table("segments")[0]["last_cleared_at"] == clear("cleared", 10).changed_at


def test_a_depth_is_measured_once():
    city = given(road(), snow())
    city.when(measure(7)).then("snow-measured")
    city.when(measure(7, 31)).then_nothing()
    assert city.table("snow")[0]["depth_cm"] == 7


def test_measuring_unknown_or_ended_snow_is_refused():
    given(road()).when(measure(7)).then_raises(NotFoundError, "snow-1")
    given(road(), snow(), end()).when(measure(7)).then_raises(ConflictError, "has ended")


def test_the_end_of_snow_leaves_uncleared_segments_uncleared():
    city = given(road(), snow())
    city.when(end()).then("snow-ended")
    city.when(end(61)).then_nothing()
    assert {row["status"] for row in city.table("segments")} == {"snowed"}
    assert city.table("snow")[0]["ended_at"] == end().at


def test_a_cleared_segment_is_open_and_says_when_it_was_cleared():
    city = given(road(), snow())
    changed, opened = city.when(clear("cleared", 10)).then("clearing-changed", "segment-status-changed")
    assert (changed.was, opened.status) == ("snowed", "open")
    city.and_(clear("snowed", 20))
    assert city.table("segments")[0]["last_cleared_at"] == changed.changed_at


def test_a_step_of_clearing_within_snow_changes_no_status():
    city = given(road(), snow())
    city.when(clear("planned", 10, window=WINDOW, source="feed", source_state="2")).then("clearing-changed")
    row = city.table("segments")[0]
    assert (row["status"], row["window_start"], row["window_end"]) == ("snowed", WINDOW.start, WINDOW.end)
    assert (row["source"], row["source_state"]) == ("feed", "2")


def uncleared_since(city):
    return city.table("segments")[0]["uncleared_since"]


def test_a_segment_waits_since_its_first_snow_however_far_the_work_has_come():
    city = given(road(), snow(), clear("planned", 30), clear("under-way", 60))
    assert uncleared_since(city) == NOON
    assert uncleared_since(city.and_(snow(90, "snow-2"))) == NOON
    assert uncleared_since(city.and_(clear("cleared", 120))) is None
    assert uncleared_since(city.and_(clear("planned", 150))) == clear("planned", 150).changed_at


def test_an_older_change_changes_nothing():
    given(road(), clear("cleared", 10)).when(clear("snowed", 9)).then_nothing()


def test_the_same_change_again_changes_nothing():
    given(road(), clear("planned", 10, window=WINDOW)).when(clear("planned", 10, window=WINDOW)).then_nothing()


def test_a_newer_report_of_the_same_state_counts_so_that_one_in_between_does_not():
    city = given(road(), clear("cleared", 10), clear("cleared", 30))
    city.when(clear("snowed", 20)).then_nothing()
    assert city.table("segments")[0]["last_cleared_at"] == clear("cleared", 30).changed_at


def test_of_two_changes_at_one_moment_the_further_stage_counts_in_any_order():
    for reports in permutations(clear(state, 10) for state in STAGES):
        assert given(road(), *reports).table("segments")[0]["clearing"] == "cleared"


@for_all(
    st.lists(
        st.builds(
            clear,
            st.sampled_from(STAGES),
            minutes=st.integers(0, 3),
            window=st.sampled_from([None, WINDOW]),
            source_state=st.sampled_from(["", "2", "3"]),
        ),
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
def test_reports_in_any_order_and_number_lead_to_the_same_clearing_state(reports, random):
    shuffled = [*reports, *random.sample(reports, len(reports) // 2)]
    random.shuffle(shuffled)
    one, other = given(road(), *reports), given(road(), *shuffled)
    assert one.state.segments["jungang-ro-1"].clearing == other.state.segments["jungang-ro-1"].clearing


@pytest.mark.parametrize(("minutes", "possible"), [(5, True), (5.1, False)])
def test_a_change_may_lie_five_minutes_ahead_and_no_more(minutes, possible):
    answer = given(road()).when(clear("snowed", minutes, told=0))
    assert (answer.error is None) == possible
    assert possible or isinstance(answer.error, InvalidError)


def test_a_report_from_a_clock_ahead_does_not_undo_the_snow_that_follows():
    ahead = clear("cleared", 4, told=0)
    city = given(road(), ahead, snow(1))
    city.when(ahead).then_nothing()
    assert city.table("segments")[0]["clearing"] == "snowed"


def test_clearing_a_segment_of_another_road_names_it():
    given(road(), road("soyang-ro")).when(clear("cleared", segment="soyang-ro-1")).then_raises(
        NotFoundError, "soyang-ro-1"
    )


def test_on_a_long_road_the_changes_that_do_not_fit_a_commit_follow_with_the_clock():
    city = given(road(segments=1200))
    assert len(city.when(snow()).events) == 500
    clock = micros(NOON)
    assert len(CONTEXT.tick(city.state, clock)) == 499
    city.state = CONTEXT.load(CONTEXT.dump(city.state))
    last = CONTEXT.tick(city.state, clock)
    assert len(last) == 202
    assert CONTEXT.tick(city.state, clock) == []
    assert {row["status"] for row in city.table("segments")} == {"snowed"}
