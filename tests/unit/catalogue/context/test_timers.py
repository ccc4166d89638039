"""What time alone does: datasets become late, and open on their days."""

from datetime import UTC, date, datetime, timedelta

import pytest

from streams.log import MAX_BATCH
from tests.unit.catalogue.context.scenario import (
    CITY,
    HTTP,
    MIDNIGHT,
    NOON,
    SHELTERS,
    TICK,
    B,
    connected,
    failed,
    given,
    refresh,
    register,
    retire,
    unchanged,
)

FAR = NOON + timedelta(days=4_000)
DAY = date(2026, 1, 16)


def after(minutes):
    return NOON + timedelta(minutes=minutes)


def is_late_from(city, moment):
    """Not a microsecond earlier, and then once."""
    city.when_it_is(moment - TICK).then_nothing()
    (event,) = city.when_it_is(moment).then("dataset-late")
    assert event.due == moment
    assert city.row()["late_since"] == moment
    city.when_it_is(FAR).then_nothing()


@pytest.mark.parametrize(("interval_s", "due_s"), [(3_600, 5_400), (86_400, 129_600), (120, 180), (60, 120), (1, 61)])
def test_a_dataset_is_late_an_interval_and_half_of_it_and_a_minute_at_least_after_its_refresh(interval_s, due_s):
    city = given(connected(interval_s=interval_s), refresh(1))
    is_late_from(city, after(1) + timedelta(seconds=due_s))


def test_an_event_of_lateness_has_the_time_of_the_look_and_the_moment_that_was_missed():
    (event,) = given(connected(), refresh(1)).when_it_is(after(600)).then("dataset-late")
    assert (event.at, event.due) == (after(600), after(91))


@pytest.mark.parametrize("answer", [refresh(200), refresh(200, B), unchanged(200)], ids=["same", "new", "unchanged"])
def test_an_answer_ends_lateness_and_the_next_is_awaited_from_then_on(answer):
    city = given(connected(), refresh(1))
    city.when_it_is(after(100)).then("dataset-late")
    city.and_(answer)
    assert city.row()["late_since"] is None
    is_late_from(city, after(290))


def test_a_failure_is_no_answer():
    city = given(connected(), refresh(1), failed(80))
    is_late_from(city, after(91))
    city.and_(failed(95, "404"))
    assert city.row()["late_since"] == after(91)


def test_a_source_that_never_answered_is_late_after_it_was_connected():
    is_late_from(given(connected(3)), after(93))


def test_a_dataset_is_not_late_the_moment_a_connector_is_attached():
    city = given(register(0, interval_s=3_600))
    city.when_it_is(after(10_000)).then_nothing()
    city.and_(connected(10_000))
    is_late_from(city, after(10_090))


def test_rows_that_were_uploaded_once_are_expected_again_though_nothing_is_connected():
    is_late_from(given(register(0, interval_s=3_600), refresh(1)), after(91))


@pytest.mark.parametrize(
    "story",
    [
        [connected(0, connector=CITY)],
        [connected(0, connector=CITY), refresh(1)],
        [connected(0), retire(2)],
        [connected(0), refresh(1), retire(2)],
        [register(0, interval_s=3_600)],
        [register(0, connector=HTTP), refresh(1)],
    ],
    ids=["city", "city-refreshed", "retired", "retired-refreshed", "never-connected", "by-hand"],
)
def test_what_nobody_expects_is_never_late(story):
    given(*story).when_it_is(FAR).then_nothing()


@pytest.mark.parametrize(
    "end",
    [connected(200, connector=CITY), register(200, connector=HTTP), retire(200)],
    ids=["city", "by-hand", "retired"],
)
def test_what_nobody_expects_any_more_is_not_late_any_more(end):
    city = given(connected(), refresh(1))
    city.when_it_is(after(100)).then("dataset-late")
    city.and_(end)
    assert city.row()["late_since"] is None
    city.when_it_is(FAR).then_nothing()


def test_another_interval_is_another_moment_to_be_late_at():
    city = given(connected(), refresh(1))
    city.when_it_is(after(100)).then("dataset-late")
    city.and_(connected(200, interval_s=7_200))
    assert city.row()["late_since"] is None
    (event,) = city.when_it_is(after(201)).then("dataset-late")
    assert event.due == after(181)
    city.and_(connected(202, interval_s=86_400))
    is_late_from(city, after(1) + timedelta(hours=36))


def test_another_title_leaves_a_dataset_late_and_says_nothing_anew():
    city = given(connected(), refresh(1))
    city.when_it_is(after(100)).then("dataset-late")
    city.and_(connected(200, en="All bus stops"))
    assert city.row()["late_since"] == after(91)
    city.when_it_is(FAR).then_nothing()


@pytest.mark.parametrize(("field", "audience"), [("staff_from", "staff"), ("citizens_from", "citizen")])
def test_a_dataset_opens_by_itself_at_midnight_of_seoul(field, audience):
    assert datetime(2026, 1, 15, 15, tzinfo=UTC) == MIDNIGHT
    city = given(register(0, **{field: DAY}))
    city.when_it_is(MIDNIGHT - TICK).then_nothing()
    assert city.row()["opened"] == []
    (event,) = city.when_it_is(MIDNIGHT).then("dataset-opened")
    assert (event.audience, event.day, event.at) == (audience, DAY, MIDNIGHT)
    assert city.row()["opened"] == [audience]
    city.when_it_is(FAR).then_nothing()


def test_a_dataset_opens_to_staff_first_and_on_its_own_day_to_citizens():
    city = given(register(0, staff_from=DAY, citizens_from=DAY + timedelta(days=1)))
    (event,) = city.when_it_is(MIDNIGHT).then("dataset-opened")
    assert event.audience == "staff"
    city.when_it_is(MIDNIGHT + timedelta(hours=24) - TICK).then_nothing()
    (event,) = city.when_it_is(MIDNIGHT + timedelta(hours=24)).then("dataset-opened")
    assert event.audience == "citizen"
    assert city.row()["opened"] == ["staff", "citizen"]


def test_days_that_passed_while_nobody_looked_open_it_at_once():
    opened = given(register(0, staff_from=date(2024, 1, 1), citizens_from=DAY)).when_it_is(FAR).events
    assert [(event.name, event.audience) for event in opened] == [
        ("dataset-opened", "staff"),
        ("dataset-opened", "citizen"),
    ]


def test_a_dataset_without_a_day_never_opens():
    given(register()).when_it_is(FAR).then_nothing()


def test_a_day_moved_ahead_closes_it_at_once_and_opens_it_again_then():
    city = given(register(0, citizens_from=DAY))
    city.when_it_is(MIDNIGHT).then("dataset-opened")
    _, closed = city.when(register(800, citizens_from=DAY + timedelta(days=1))).then(
        "dataset-registered", "dataset-closed"
    )
    assert closed.audience == "citizen"
    assert city.row()["opened"] == []
    city.when_it_is(MIDNIGHT + timedelta(hours=24) - TICK).then_nothing()
    city.when_it_is(MIDNIGHT + timedelta(hours=24)).then("dataset-opened")


def test_a_day_taken_away_closes_it_to_those_alone():
    city = given(register(0, staff_from=DAY, citizens_from=DAY))
    city.when_it_is(MIDNIGHT).then("dataset-opened", "dataset-opened")
    city.when(register(800, staff_from=DAY)).then("dataset-registered", "dataset-closed")
    assert city.row()["opened"] == ["staff"]


def test_a_day_moved_within_the_past_or_while_it_is_ahead_closes_nothing():
    city = given(register(0, citizens_from=DAY + timedelta(days=3)))
    city.when(register(1, citizens_from=DAY)).then("dataset-registered")
    city.when_it_is(MIDNIGHT).then("dataset-opened")
    city.when(register(800, citizens_from=date(2025, 1, 1))).then("dataset-registered")
    city.when_it_is(FAR).then_nothing()


def test_staff_let_in_after_citizens_stand_where_they_always_do():
    city = given(register(0, citizens_from=DAY))
    city.when_it_is(MIDNIGHT).then("dataset-opened")
    city.and_(register(800, staff_from=DAY, citizens_from=DAY))
    city.when_it_is(MIDNIGHT + timedelta(hours=24)).then("dataset-opened")
    assert city.row()["opened"] == ["staff", "citizen"]


def test_a_retired_dataset_opens_on_its_day_all_the_same():
    given(register(0, citizens_from=DAY), retire(2)).when_it_is(MIDNIGHT).then("dataset-opened")


def test_a_look_takes_no_more_than_half_a_commit_and_the_next_looks_take_the_rest():
    names = [f"dataset-{number}" for number in range(MAX_BATCH // 2)]
    opening = {"staff_from": DAY, "citizens_from": DAY}
    city = given(*(connected(0, name, **opening) for name in names), connected(0, SHELTERS))
    told = []
    while events := city.when_it_is(FAR).events:
        assert len(events) <= MAX_BATCH // 2
        told += [(event.dataset, event.name, getattr(event, "audience", None)) for event in events]
    late, opened = "dataset-late", "dataset-opened"
    each = [(opened, "staff"), (opened, "citizen"), (late, None)]
    assert told == [*((name, *one) for name in names for one in each), (SHELTERS, late, None)]
