"""Datasets: registered, refreshed and confirmed, their source down and back, versions dropped, retired."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from schemas.catalogue import RecordFailure, RecordRefresh, RegisterDataset, RetireDataset
from schemas.dataset import Column, Dataset
from schemas.errors import ConflictError, InvalidError, NotFoundError
from schemas.road import MeasureSnow
from tests.unit.catalogue.context.scenario import (
    HTTP,
    NOON,
    SHELTERS,
    STOPS,
    A,
    B,
    C,
    D,
    at,
    brought,
    connected,
    failed,
    given,
    refresh,
    register,
    retire,
    seed,
    thin,
    unchanged,
)


def test_a_dataset_is_registered_with_who_did_it_and_is_seen_as_declared():
    city = given()
    (event,) = city.when(register(connector=HTTP)).then("dataset-registered")
    assert (event.by, event.facts.connector) == ("operator", HTTP)
    row = city.row()
    assert Dataset.model_validate_json(row["facts"]) == event.facts
    assert (row["registered_at"], row["seen_at"], row["opened"]) == (NOON, None, [])
    assert city.table("versions") == []


def test_registering_the_same_again_changes_nothing_whoever_asks():
    given(register()).when(register(5, by="somebody")).then_nothing()


def test_what_a_pack_says_makes_a_dataset_known_and_changes_what_a_pack_said():
    city = given()
    (event,) = city.when(seed()).then("dataset-registered")
    assert (event.by, event.seed, city.row()["seeded"]) == ("pack", True, True)
    city.when(seed(1)).then_nothing()
    city.when(seed(2, en="All bus stops")).then("dataset-registered")
    assert city.known().facts.title_en == "All bus stops"


def test_a_pack_undoes_nothing_that_anybody_else_has_said_and_wakes_nothing_that_is_retired():
    city = given(seed(), register(1, en="Our stops"))
    city.when(seed(2, en="All bus stops")).then_nothing()
    assert (city.known().facts.title_en, city.row()["seeded"]) == ("Our stops", False)
    given(seed(), retire(1)).when(seed(2, en="All bus stops")).then_nothing()


def test_registering_other_facts_corrects_it_and_leaves_its_rows_and_its_beginning():
    city = given(register(), refresh(1))
    city.when(register(5, en="All bus stops")).then("dataset-registered")
    row = city.row()
    assert (row["registered_at"], row["modified_at"]) == (NOON, NOON + timedelta(minutes=5))
    assert city.known().facts.title_en == "All bus stops"
    assert [row["version"] for row in city.table("versions")] == [A]


@pytest.mark.parametrize(
    "command", [refresh(), unchanged(), failed(), thin(5), retire()], ids=lambda c: type(c).__name__
)
def test_a_command_to_a_dataset_that_is_not_known_is_refused(command):
    given(register(dataset=SHELTERS)).when(command).then_raises(NotFoundError, STOPS)


def test_a_command_of_another_context_is_refused():
    command = MeasureSnow(at=NOON, by="desk", road="r", snow="s", depth_cm=1)
    given().when(command).then_raises(InvalidError, "no command to a dataset")


def test_a_refresh_tells_all_that_it_brought():
    city = given(register())
    found = [
        {"kind": "range", "column": "name", "action": "kept", "rows": 4},
        {"kind": "repeated", "column": None, "action": "dropped", "rows": 3},
    ]
    (event,) = city.when(refresh(1, findings=found, listing=D)).then("dataset-refreshed")
    assert event.refresh == brought(findings=found, listing=D)
    (row,) = city.table("versions")
    figures = {name: row[name] for name in ("version", "rows", "received", "dropped", "completeness", "found")}
    assert figures == {"version": A, "rows": 2, "received": 3, "dropped": 1, "completeness": 0.75, "found": 7}
    assert (row["since"], city.row()["seen_at"]) == (event.at, event.at)
    assert city.row()["modified_at"] == event.at


def test_the_same_refresh_again_confirms_the_rows_and_keeps_one_version():
    city = given(register(), refresh(1))
    (event,) = city.when(refresh(7)).then("dataset-confirmed")
    assert len(city.table("versions")) == 1
    row = city.row()
    assert (row["seen_at"], row["modified_at"]) == (event.at, NOON + timedelta(minutes=1))


def test_how_long_a_refresh_took_does_not_make_it_another():
    given(register(), refresh(1)).when(refresh(7, took_s=99)).then("dataset-confirmed")


@pytest.mark.parametrize(
    "other",
    [
        {"version": B},
        {"mark": "etag-2"},
        {"source": "stops.csv"},
        {"received": 4, "dropped": 2},
        {"listing": D, "findings": [{"kind": "outside", "column": None, "action": "kept", "rows": 1}]},
        {"data_time": NOON},
        {"token": "89abcdef"},
        {"uploaded": True},
    ],
    ids=lambda other: next(iter(other)),
)
def test_whatever_else_a_refresh_tells_anew_is_a_refresh(other):
    city = given(register(), refresh(1))
    city.when(refresh(7, **other)).then("dataset-refreshed")
    assert len(city.table("versions")) == 2


def test_rows_that_were_there_before_the_last_ones_are_a_refresh_again():
    city = given(register(), refresh(1, A), refresh(2, B))
    city.when(refresh(3, A)).then("dataset-refreshed")
    assert [row["version"] for row in city.table("versions")] == [A, B, A]


def test_a_refresh_that_dropped_more_than_it_received_is_refused():
    given(register()).when(refresh(received=1, dropped=2)).then_raises(InvalidError, "more rows than it received")


@pytest.mark.parametrize("wrong", [{"took_s": float("inf")}, {"rows": 2**53}, {"completeness": 1.1}, {"rows": -1}])
def test_figures_that_no_table_can_hold_are_refused(wrong):
    with pytest.raises(ValidationError):
        brought(**wrong)


def test_other_columns_are_flagged_before_the_refresh_that_brings_them():
    city = given(register(), refresh(1, header=("name", "lon", "lat")))
    changed, _ = city.when(refresh(5, B, header=("name", "x", "lat"), schema_digest="1" * 64)).then(
        "columns-changed", "dataset-refreshed"
    )
    assert (changed.gone, changed.new) == (("lon",), ("x",))
    assert city.row()["columns_changed_at"] == changed.at


def test_columns_of_another_kind_are_flagged_though_none_is_gone_or_new():
    city = given(register(), refresh(1))
    changed, _ = city.when(refresh(5, schema_digest="1" * 64)).then("columns-changed", "dataset-refreshed")
    assert (changed.gone, changed.new) == ((), ())


def test_an_upload_flags_columns_that_are_gone_or_new_but_not_their_kinds():
    city = given(register(), refresh(1))
    city.when(refresh(2, B, schema_digest="1" * 64, uploaded=True)).then("dataset-refreshed")
    city.when(refresh(3, C, schema_digest="2" * 64)).then("dataset-refreshed")
    city.when(refresh(4, A, schema_digest="3" * 64, uploaded=True, header=("x",))).then(
        "columns-changed", "dataset-refreshed"
    )


def test_the_columns_of_the_first_refresh_and_those_that_stay_flag_nothing():
    city = given(register(columns=(Column(id="other", ko="다른", en="Other"),)))
    city.when(refresh(1)).then("dataset-refreshed")
    city.when(refresh(2, B)).then("dataset-refreshed")
    assert city.row()["columns_changed_at"] is None


def test_a_source_without_anything_new_confirms_each_time():
    city = given(register(), refresh(1))
    for minute in (5, 6):
        (event,) = city.when(unchanged(minute)).then("dataset-confirmed")
        assert city.row()["seen_at"] == event.at


def test_nothing_new_where_nothing_ever_came_is_a_conflict():
    given(connected()).when(unchanged()).then_raises(ConflictError, "refresh it")


def test_a_failure_is_told_once_per_reason_and_from_its_beginning():
    city = given(connected(), refresh(1))
    (event,) = city.when(failed(10, "503")).then("provider-failed")
    assert event.reason == "503"
    city.when(failed(11, "503")).then_nothing()
    city.when(failed(12, "404")).then("provider-failed")
    row = city.row()
    assert (row["down_since"], row["down_why"]) == (event.at, "404")
    assert row["seen_at"] == NOON + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (refresh(22.5, B), "dataset-refreshed"),
        (refresh(22.5), "dataset-confirmed"),
        (unchanged(22.5), "dataset-confirmed"),
    ],
    ids=["new", "same", "unchanged"],
)
def test_whichever_way_it_answers_again_the_provider_is_restored_after_so_many_seconds(answer, name):
    city = given(connected(), refresh(1), failed(10, "503"), failed(15, "404"))
    restored, _ = city.when(answer).then("provider-restored", name)
    assert restored.down_s == 12.5 * 60
    assert (city.row()["down_since"], city.row()["down_why"]) == (None, None)


def test_what_somebody_uploads_does_not_tell_that_the_provider_is_back():
    city = given(connected(), refresh(1), failed(10))
    city.when(refresh(11, B, uploaded=True)).then("dataset-refreshed")
    city.when(refresh(12, B, uploaded=True)).then("dataset-confirmed")
    assert city.row()["down_since"] == NOON + timedelta(minutes=10)
    city.when(refresh(13, A)).then("provider-restored", "dataset-refreshed")


def test_a_restoration_by_a_slower_clock_took_no_time_rather_than_less():
    restored, _ = (
        given(connected(), refresh(1), failed(10)).when(unchanged(9)).then("provider-restored", "dataset-confirmed")
    )
    assert restored.down_s == 0


def test_a_failure_after_a_restoration_is_told_again_though_for_the_same_reason():
    given(connected(), refresh(1), failed(2), unchanged(3)).when(failed(4)).then("provider-failed")


def test_rows_that_were_joined_to_others_than_those_of_now_are_refused():
    upsert = {"mode": "upsert", "key": ("name",)}
    city = given(register(**upsert))
    city.when(refresh(1, A, based_on=B)).then_raises(ConflictError, "join them again")
    city.when(refresh(1, A)).then("dataset-refreshed")
    city.when(refresh(2, B)).then_raises(ConflictError, "join them again")
    city.when(refresh(2, B, based_on=A)).then("dataset-refreshed")


def test_joined_rows_that_are_told_again_are_confirmed_though_they_are_those_of_now():
    city = given(register(mode="upsert", key=("name",)), refresh(1, A), refresh(2, B, based_on=A))
    city.when(refresh(2, B, based_on=A)).then("dataset-confirmed")
    city.when(refresh(3, B, based_on=B)).then("dataset-confirmed")


def test_a_dataset_that_is_replaced_does_not_ask_what_rows_were_joined_to():
    given(register(), refresh(1, A)).when(refresh(2, B, based_on=C)).then("dataset-refreshed")


def test_a_retired_dataset_keeps_its_rows_and_says_why_and_what_follows_it():
    city = given(register(), refresh(1), register(dataset=SHELTERS))
    (event,) = city.when(retire(superseded_by=SHELTERS)).then("dataset-retired")
    assert (event.by, event.superseded_by) == ("operator", SHELTERS)
    row = city.row()
    assert (row["retired_at"], row["retired_why"], row["superseded_by"]) == (event.at, event.reason, SHELTERS)
    assert len(city.table("versions")) == 1
    assert city.row(SHELTERS)["retired_at"] is None


def test_retiring_again_changes_nothing():
    given(register(), retire()).when(retire(20, superseded_by=SHELTERS)).then_nothing()


def test_a_dataset_is_not_superseded_by_itself():
    given(register()).when(retire(superseded_by=STOPS)).then_raises(InvalidError, "itself")


def test_a_retired_dataset_takes_no_rows_no_confirmation_and_no_other_facts():
    city = given(connected(), refresh(1), retire(9))
    city.when(refresh(10, B)).then_raises(ConflictError, "retired")
    city.when(unchanged(10)).then_raises(ConflictError, "retired")
    city.when(connected(10, interval_s=60)).then_raises(ConflictError, "register another")
    city.when(connected(10)).then_nothing()
    city.when(failed(10)).then_nothing()


def test_a_pack_changes_what_a_pack_said_and_nothing_that_somebody_else_has_said() -> None:
    def seed(minutes: float, title: str) -> RegisterDataset:
        return register(minutes, by="city-pack", title_ko=title).model_copy(update={"seed": True})

    city = given(seed(0, "하나"))
    city.when(seed(1, "둘")).then("dataset-registered")
    city.when(register(2, title_ko="셋")).then("dataset-registered")
    city.when(seed(3, "둘")).then()
    assert city.state.datasets[STOPS].facts.title_ko == "셋"


def test_a_pack_leaves_a_retired_dataset_alone() -> None:
    city = given(register(0).model_copy(update={"seed": True}), RetireDataset(**at(1), reason="끝"))
    city.when(register(2, title_ko="다른 이름").model_copy(update={"seed": True})).then()


def test_an_upload_is_no_sign_of_life_of_the_source() -> None:
    city = given(connected(), RecordFailure(**at(1), reason="503"))
    city.when(RecordRefresh(**at(2), refresh=brought(uploaded=True))).then("dataset-refreshed")
    assert city.state.datasets[STOPS].down_since is not None
    city.when(RecordRefresh(**at(3), refresh=brought(B))).then("provider-restored", "dataset-refreshed")


def test_uploads_in_another_format_flag_no_columns_but_other_columns_do() -> None:
    city = given(register(), RecordRefresh(**at(1), refresh=brought(uploaded=True)))
    city.when(RecordRefresh(**at(2), refresh=brought(B, uploaded=True, schema_digest="1" * 64))).then(
        "dataset-refreshed"
    )
    other = brought(C, uploaded=True, schema_digest="2" * 64, header=("title",))
    city.when(RecordRefresh(**at(3), refresh=other)).then("columns-changed", "dataset-refreshed")


def test_a_version_says_until_when_its_rows_were_those_of_the_dataset() -> None:
    city = given(register(), RecordRefresh(**at(1), refresh=brought()), RecordRefresh(**at(5), refresh=brought(B)))
    first, last = city.state.datasets[STOPS].versions
    assert (first.until, last.until) == (last.since, None)
