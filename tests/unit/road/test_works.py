"""Works: permitted, started, extended, finished, cancelled, and what that does to the road."""

from datetime import timedelta

import pytest

from actors.road.state import STAGES, Work
from actors.road.status import status_of
from schemas.base import micros
from schemas.errors import ConflictError, NotFoundError
from schemas.road import CancelWork, ExtendWork, FinishWork, RoadFacts, SegmentFacts, StartWork, WorkPermitted
from tests.unit.road.scenario import NOON, WINDOW, at, clear, given, permit, road


def start(minutes=0, work="gas-1"):
    return StartWork(**at(minutes), road="jungang-ro", work=work)


def finish(minutes=60, work="gas-1"):
    return FinishWork(**at(minutes), road="jungang-ro", work=work)


def extend(hours, minutes=30):
    return ExtendWork(
        **at(minutes), road="jungang-ro", work="gas-1", until=WINDOW.end + timedelta(hours=hours), reason="rock"
    )


def cancel(minutes=0):
    return CancelWork(**at(minutes), road="jungang-ro", work="gas-1", reason="no crew")


def test_registering_the_same_road_again_changes_nothing():
    given(road()).when(road()).then_nothing()


def test_registering_a_road_with_fewer_segments_keeps_the_others():
    city = given(road(segments=3))
    city.when(road(segments=1)).then_nothing()
    assert len(city.table("segments")) == 3


def test_new_facts_of_a_road_and_its_segments_are_registered_with_all_that_stays():
    city = given(road())
    facts = RoadFacts(
        name_ko="중앙대로",
        name_en="Jungang-daero",
        rank="103",
        segments=(SegmentFacts(segment="jungang-ro-2", length_m=9),),
    )
    (event,) = city.when(road().model_copy(update={"facts": facts})).then("road-registered")
    assert [segment.length_m for segment in event.facts.segments] == [200, 9]
    assert [(row["rank"], row["length_m"]) for row in city.table("segments")] == [("103", 200), ("103", 9)]
    assert city.table("roads")[0]["name_ko"] == "중앙대로"


def test_a_segment_of_another_road_cannot_be_registered():
    other = road("soyang-ro").facts
    given(road("soyang-ro")).when(road().model_copy(update={"facts": other})).then_raises(ConflictError, "soyang-ro")


def test_a_permit_given_twice_changes_nothing():
    given(road(), permit()).when(permit()).then_nothing()


def test_a_permit_repeated_after_an_extension_changes_nothing():
    given(road(), permit(), start(), extend(2)).when(permit()).then_nothing()


def test_a_permit_with_other_facts_under_the_same_id_is_a_conflict():
    given(road(), permit()).when(permit(operator="KEPCO")).then_raises(ConflictError, "other facts")


def test_a_permit_on_an_unknown_segment_names_it():
    given(road()).when(permit(segments=("soyang-ro-9",))).then_raises(NotFoundError, "soyang-ro-9")


def test_a_permit_on_an_unknown_road_names_it():
    given().when(permit()).then_raises(NotFoundError, "no road 'jungang-ro'")


def test_a_permit_alone_leaves_the_road_open():
    city = given(road(), permit())
    assert {row["status"] for row in city.table("segments")} == {"open"}


def test_starting_an_unknown_work_names_it():
    given(road()).when(start()).then_raises(NotFoundError, "gas-1")


def test_starting_closes_the_segments_of_the_work_and_says_why():
    city = given(road(), permit())
    _, closed = city.when(start(5)).then("work-started", "segment-status-changed")
    assert (closed.segment, closed.status, closed.was) == ("jungang-ro-1", "closed", "open")
    assert closed.reasons == ("전면 통제: 가스관 교체 (강원도시가스) · all lanes closed: Gas main (강원도시가스)",)
    first, second = city.table("segments")
    assert (first["status"], first["status_since"], first["reasons"]) == ("closed", closed.at, list(closed.reasons))
    assert (second["status"], second["reasons"]) == ("open", [])


def test_starting_twice_changes_nothing():
    given(road(), permit(), start()).when(start(1)).then_nothing()


@pytest.mark.parametrize(("minutes", "early_s"), [(-10, 600.0), (0, 0.0), (15, -900.0)])
def test_a_start_says_how_early_it_is(minutes, early_s):
    city = given(road(), permit())
    assert city.when(start(minutes)).events[0].early_s == early_s
    assert city.table("works")[0]["early_s"] == early_s


def test_a_work_without_impact_leaves_the_road_open():
    given(road(), permit(impact="none")).when(start()).then("work-started")


def test_an_extension_moves_the_end_and_keeps_the_permitted_one():
    city = given(road(), permit(), start())
    city.when(extend(2)).then("work-extended")
    (work,) = city.table("works")
    assert work["window_end"] == WINDOW.end + timedelta(hours=2)
    assert (work["permitted_end"], work["extensions"]) == (WINDOW.end, 1)


def test_extending_to_the_same_end_changes_nothing():
    given(road(), permit(), extend(2)).when(extend(2)).then_nothing()


def test_extending_to_an_earlier_end_is_a_conflict():
    given(road(), permit(), extend(2)).when(extend(1)).then_raises(ConflictError, "ends later")


def test_finishing_opens_the_road_and_says_how_late_it_is_against_the_extended_end():
    city = given(road(), permit(), start(), extend(2))
    finished, opened = city.when(finish(10 * 60 + 1)).then("work-finished", "segment-status-changed")
    assert finished.late_s == 60.0
    assert (opened.status, opened.was, opened.reasons) == ("open", "closed", ())


def test_finishing_twice_changes_nothing():
    given(road(), permit(), start(), finish()).when(finish(61)).then_nothing()


def test_a_road_stays_closed_until_its_last_closing_work_is_done():
    city = given(road(), permit("a"), permit("b"), start(0, "a"))
    city.when(start(1, "b")).then("work-started")
    city.when(finish(2, "a")).then("work-finished")
    city.when(finish(3, "b")).then("work-finished", "segment-status-changed")


def test_a_closing_work_that_ends_beside_a_smaller_one_leaves_works():
    city = given(road(), permit("a"), permit("b", "alternating-one-way"), start(0, "a"), start(1, "b"))
    _, changed = city.when(finish(2, "a")).then("work-finished", "segment-status-changed")
    assert (changed.status, changed.was) == ("works", "closed")


@pytest.mark.parametrize(
    ("before", "command", "match"),
    [
        ([], finish(), "permitted: only a started work"),
        ([start(), finish()], start(70), "finished and cannot start"),
        ([cancel()], start(), "cancelled and cannot start"),
        ([cancel()], finish(), "cancelled"),
        ([start()], cancel(), "not begun"),
        ([start(), finish()], cancel(), "not begun"),
        ([start(), finish()], extend(1), "finished"),
        ([cancel()], extend(1), "cancelled"),
    ],
)
def test_a_work_goes_forward_only(before, command, match):
    given(road(), permit(), *before).when(command).then_raises(ConflictError, match)


def test_cancelling_before_the_start_is_possible_and_twice_changes_nothing():
    city = given(road(), permit())
    city.when(cancel()).then("work-cancelled")
    city.when(cancel(1)).then_nothing()
    assert city.table("works")[0]["state"] == "cancelled"


def test_a_finished_work_on_a_snowed_segment_leaves_it_snowed():
    city = given(road(), permit(), start(), clear("snowed", 1))
    assert city.table("segments")[0]["reasons"][1] == "눈이 쌓임 · snow, not cleared yet"
    _, changed = city.when(finish()).then("work-finished", "segment-status-changed")
    assert (changed.status, changed.was) == ("snowed", "closed")


@pytest.mark.parametrize("clearing", STAGES)
def test_closed_comes_before_works_before_snowed_before_open(clearing):
    def work(impact):
        facts = permit(impact=impact).model_dump(exclude={"by"})
        return Work(WorkPermitted(**facts), micros(NOON))

    closing, smaller = work("all-lanes-closed"), work("some-lanes-closed")
    assert status_of(clearing, [smaller, closing]) == "closed"
    assert status_of(clearing, [smaller]) == "works"
    assert status_of(clearing, []) == ("snowed" if clearing in {"snowed", "planned", "under-way"} else "open")
