"""Sources: registered, their days told and told anew, retired."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from schemas.errors import ConflictError, InvalidError, NotFoundError
from schemas.population import MEANINGS, DayFacts, SourceFacts
from schemas.road import MeasureSnow
from tests.unit.population.scenario import CONTEXT, FILE, MONDAY, NOON, A, B, given, record, register, retire


def test_a_source_says_what_it_counts_and_from_when_on_it_hides():
    city = given()
    city.when(register()).then("source-registered")
    (row,) = city.table("sources")
    assert (row["measure"], row["suppress_below"], row["hours"], row["synthetic"]) == ("boardings", 5, [7, 8, 9], True)


def test_registering_the_same_again_changes_nothing_and_other_facts_correct_it():
    city = given(register())
    city.when(register(5)).then_nothing()
    city.when(register(6, suppress_below=10)).then("source-registered")
    assert city.table("sources")[0]["suppress_below"] == 10


def test_a_source_with_days_never_changes_what_it_counts():
    given(register()).when(register(1, measure="alightings")).then("source-registered")
    city = given(register(), record())
    city.when(register(5, measure="people-present")).then_raises(ConflictError, "register another source")


def test_a_day_is_one_event_with_the_digest_of_its_block():
    (event,) = given(register()).when(record()).then("day-recorded")
    assert (event.facts.block, event.replaces, event.by, event.source) == (A, None, "desk", "fare-card")


def test_the_same_day_again_changes_nothing():
    given(register(), record()).when(record(90)).then_nothing()


def test_other_counts_of_a_day_replace_it_and_name_what_they_replace():
    city = given(register(), record())
    (event,) = city.when(record(5, block=B, total=13.0)).then("day-recorded")
    assert event.replaces == A
    (row,) = city.table("days")
    assert (row["block"], row["total"], row["earlier"]) == (B, 13.0, [A])


def test_a_day_of_a_source_that_is_not_known_is_refused():
    given().when(record()).then_raises(NotFoundError, "fare-card")


def test_a_day_counts_from_midnight_in_seoul_on():
    tomorrow = NOON.date() + timedelta(days=1)
    given(register()).when(record(0, tomorrow)).then_raises(InvalidError, "not begun in Seoul")
    given(register()).when(record(11 * 60 + 59, tomorrow)).then_raises(InvalidError, "not begun")
    given(register()).when(record(12 * 60, tomorrow)).then("day-recorded")


def test_a_day_without_an_hour_of_the_source_is_not_whole():
    given(register()).when(record(hours=(7, 8))).then_raises(InvalidError, "lacks the hours [9]")
    city = given(register())
    city.when(record(hours=(7, 8), whole=False)).then("day-recorded")
    assert city.table("sources")[0] | {"days": 1, "whole_days": 0} == city.table("sources")[0]


def test_a_retired_source_keeps_its_days_and_takes_no_more():
    city = given(register(), record(), retire())
    city.when(retire(3)).then_nothing()
    city.when(record(4)).then_nothing()
    city.when(record(4, block=B)).then_raises(ConflictError, "no new ones are taken")
    city.when(register(5, suppress_below=3)).then_raises(ConflictError, "retired")
    assert len(city.table("days")) == 1


def test_retiring_says_who_did_it_and_why_and_the_reason_is_published():
    city = given(register())
    (event,) = city.when(retire(2)).then("source-retired")
    assert (event.by, event.reason) == ("desk", "계약 종료 · contract ended")
    (row,) = city.table("sources")
    assert (row["retired_at"], row["retired_why"]) == (event.at, event.reason)


def test_a_source_that_is_not_known_cannot_be_retired():
    given().when(retire()).then_raises(NotFoundError, "fare-card")


def test_what_was_retired_under_the_first_rules_keeps_its_digest_and_has_no_reason():
    old = CONTEXT.initial_state()
    CONTEXT.follow(old, 1)
    for event in (*given().when(register()).events, *given(register()).when(retire()).events):
        CONTEXT.evolve(old, event)
    CONTEXT.follow(old, 2)
    again = CONTEXT.load(CONTEXT.dump(old))
    assert CONTEXT.digest(again) == CONTEXT.digest(old)
    assert CONTEXT.tables(again)["sources"]["retired_why"].to_pylist() == [None]


def test_a_command_of_another_context_is_refused():
    given().when(MeasureSnow(at=NOON, by="desk", road="r", snow="s", depth_cm=1)).then_raises(
        InvalidError, "no command"
    )


def test_what_is_told_by_the_month_has_no_hours():
    known = {"title_ko": "주민", "title_en": "residents", "provider": "춘천시", "licence": "-"}
    with pytest.raises(ValidationError, match="not told by the hour"):
        SourceFacts(**known, measure="residents")
    assert SourceFacts(**known, measure="residents", hours=(0,)).hours == (0,)


@pytest.mark.parametrize("below", [0, 2])
def test_a_threshold_that_would_tell_what_it_hides_is_refused(below):
    with pytest.raises(ValidationError):
        SourceFacts(title_ko="a", title_en="a", provider="a", licence="a", measure="boardings", suppress_below=below)


@pytest.mark.parametrize("hours", [(8, 7), (7, 7), (24,), (-1,)])
def test_hours_are_named_once_in_order_within_a_day(hours):
    with pytest.raises(ValidationError):
        DayFacts(day=MONDAY, block=A, rows=0, total=0, hours=hours, whole=False, input=FILE)


def test_the_two_meanings_of_staying_population_each_say_that_they_are_not_the_other():
    present, living = MEANINGS["people-present"], MEANINGS["living-population"]
    assert "법정 체류인구" in present.not_ko
    assert "법정 체류인구" in living.ko
    assert "특정 시간" in living.not_ko
    assert all("체류인구가 아님" in MEANINGS[measure].not_ko for measure in ("boardings", "alightings"))
