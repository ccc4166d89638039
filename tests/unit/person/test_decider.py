"""Cases: opened, authorised by another, searched, decided upon, watched, closed or expired, and erased."""

from datetime import timedelta

import pytest

from actors.person.decider import MAX_WATCHES
from schemas.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from schemas.person import Lag
from schemas.sighting import RequestErasure
from tests.unit.person.scenario import (
    AUTHORISED,
    NOON,
    A,
    B,
    at,
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


def test_a_case_is_opened_with_what_it_rests_on():
    city = given()
    (event,) = city.when(opened()).then("case-opened")
    assert event.facts.authority == "춘천서-2026-0117"
    (row,) = city.table("cases")
    assert (row["state"], row["opened_by"], row["officer"]) == ("opened", "officer-kim", "officer-kim")


def test_opening_the_same_case_again_changes_nothing_also_after_its_end():
    given(opened()).when(opened(30)).then_nothing()
    given(opened(), close()).when(opened(90)).then_nothing()


@pytest.mark.parametrize("other", [opened(reason="다른 사유 · another"), opened(by="officer-park")])
def test_another_case_under_the_same_id_is_a_conflict(other):
    given(opened()).when(other).then_raises(ConflictError, "another id")


@pytest.mark.parametrize("hours", [0, -1, 30 * 24 + 0.1])
def test_a_case_expires_in_the_future_and_within_thirty_days(hours):
    given().when(opened(hours=hours)).then_raises(InvalidError, "30 days")


def test_thirty_days_are_allowed():
    given().when(opened(hours=30 * 24)).then("case-opened")


def test_another_than_who_opened_it_authorises_a_case():
    city = given(opened())
    (event,) = city.when(authorise()).then("case-authorised")
    assert (event.by, event.sole) == ("inspector-lee", False)
    assert city.table("cases")[0]["state"] == "authorised"


def test_who_opened_a_case_does_not_authorise_it():
    given(opened()).when(authorise(by="officer-kim")).then_raises(ForbiddenError, "another than who opened it")


def test_police_on_their_own_authority_may_and_the_ledger_says_so():
    (event,) = given(opened()).when(authorise(by="officer-kim", sole=True)).then("case-authorised")
    assert event.sole


def test_two_people_are_never_told_as_one():
    (event,) = given(opened()).when(authorise(sole=True)).then("case-authorised")
    assert not event.sole


def test_authorising_twice_changes_nothing():
    given(*AUTHORISED).when(authorise(9, "inspector-choi")).then_nothing()


@pytest.mark.parametrize(
    "command",
    [
        search(),
        view("candidates"),
        view("route"),
        view("picture", candidate="cam-1.s-1"),
        confirm(),
        dismiss(),
        watch(),
        hits(),
    ],
    ids=lambda command: f"{type(command).__name__}-{getattr(command, 'what', '')}",
)
@pytest.mark.parametrize(
    ("before", "why"),
    [
        ([opened()], "not authorised"),
        ([*AUTHORISED, search(), watch(), close(2.5)], "closed"),
        ([], "no case"),
    ],
    ids=["opened", "closed", "unknown"],
)
def test_only_an_authorised_open_case_searches_looks_decides_or_watches(before, why, command):
    error = NotFoundError if why == "no case" else ConflictError
    given(*before).when(command).then_raises(error, why)


@pytest.mark.parametrize(
    "command", [search(60.5), view(minutes=61), confirm(minutes=60.1), watch(minutes=60), hits(minutes=60)]
)
def test_after_its_time_nothing_slips_in_before_the_timer(command):
    case = [opened(hours=1), authorise(), search(), watch()]
    given(*case).when(command).then_raises(ConflictError, "expired")


@pytest.mark.parametrize("what", ["case", "ledger"])
def test_the_case_itself_and_its_ledger_can_be_looked_at_in_any_state(what):
    for before in ([opened()], list(AUTHORISED), [*AUTHORISED, close()]):
        given(*before).when(view(what, 70)).then("view-recorded")


def test_each_look_is_an_event():
    city = given(*AUTHORISED, search())
    for _ in range(2):
        (event,) = city.when(view("picture", candidate="cam-1.s-1")).then("view-recorded")
        assert (event.by, event.what, event.candidate) == ("officer-kim", "picture", "cam-1.s-1")


def test_a_picture_is_looked_at_only_where_the_case_found_it():
    given(*AUTHORISED, search()).when(view("picture", candidate="cam-1.s-9")).then_raises(NotFoundError, "s-9")


@pytest.mark.parametrize("look", [view("picture"), view("route", candidate="cam-1.s-1")])
def test_a_look_at_a_picture_and_no_other_names_a_sighting(look):
    given(*AUTHORISED, search()).when(look).then_raises(InvalidError, "picture")


def test_a_search_keeps_what_was_asked_and_found():
    city = given(*AUTHORISED)
    (event,) = city.when(search(2, "q-1", seen("s-1"), seen("s-2", camera="cam-2"))).then("search-recorded")
    assert [one.sighting for one in event.candidates] == ["s-1", "s-2"]
    assert [(row["sighting"], row["state"], row["found_by"]) for row in city.table("candidates")] == [
        ("s-1", "found", "q-1"),
        ("s-2", "found", "q-1"),
    ]
    assert city.context.objects(city.state) == {f"cases/case-1/{A}.bin"}


def test_a_search_of_shards_that_are_behind_says_so_in_the_ledger():
    city = given(*AUTHORISED)
    lag = Lag(shards=1, seconds=12.5, records=40, why="the objects are away")
    found, told = city.when(search().model_copy(update={"lag": lag})).then("search-recorded", "search-lagged")
    assert (told.search, told.lag, told.at) == (found.search, lag, found.at)


def test_recording_a_search_twice_changes_nothing_and_another_under_its_id_is_a_conflict():
    city = given(*AUTHORISED, search())
    city.when(search(3)).then_nothing()
    city.when(search(3, query=B)).then_raises(ConflictError, "another id")


def test_a_sighting_found_again_keeps_its_better_score_and_what_a_human_said():
    city = given(*AUTHORISED, search(), confirm(), search(5, "q-2", seen("s-1", 0.95, probability=0.99)))
    city.and_(search(6, "q-3", seen("s-1", 0.2, probability=0.1)))
    (row,) = city.table("candidates")
    assert (row["score"], row["probability"], row["state"], row["found_by"]) == (0.95, 0.99, "confirmed", "q-1")


def test_only_what_the_case_found_can_be_confirmed_or_dismissed():
    given(*AUTHORISED, search()).when(confirm("cam-1.s-9")).then_raises(NotFoundError, "s-9")
    given(*AUTHORISED, search()).when(dismiss("cam-1.s-9")).then_raises(NotFoundError, "s-9")


def test_what_a_watch_found_can_be_confirmed():
    given(*AUTHORISED, watch(), hits()).when(confirm("cam-1.s-2", 8)).then("candidate-confirmed")


@pytest.mark.parametrize(("decision", "name"), [(confirm, "candidate-confirmed"), (dismiss, "candidate-dismissed")])
def test_what_another_officer_says_or_for_another_reason_is_a_decision_of_its_own(decision, name):
    city = given(*AUTHORISED, search(), decision())
    city.when(decision(minutes=5)).then_nothing()
    (event,) = city.when(decision(minutes=6).model_copy(update={"by": "inspector-lee"})).then(name)
    assert event.by == "inspector-lee"
    (event,) = city.when(decision(minutes=7, reason="가방 · the bag")).then(name)
    assert (event.by, event.reason) == ("officer-kim", "가방 · the bag")


def test_a_second_word_that_an_older_program_kept_still_leads_to_nothing():
    older = confirm(minutes=6, reason="가방 · the bag").model_copy(update={"each": False})
    given(*AUTHORISED, search(), confirm()).when(older).then_nothing()


def test_a_dismissed_candidate_may_be_confirmed_later_and_the_reverse_each_with_its_reason():
    city = given(*AUTHORISED, search())
    city.when(dismiss()).then("candidate-dismissed")
    city.when(dismiss(minutes=5)).then_nothing()
    (event,) = city.when(confirm(minutes=6, reason="가방 · the bag")).then("candidate-confirmed")
    assert (event.reason, event.candidate) == ("가방 · the bag", seen())
    city.when(confirm(minutes=7, reason="가방 · the bag")).then_nothing()
    city.when(dismiss(minutes=8)).then("candidate-dismissed")
    assert city.table("candidates")[0]["state"] == "dismissed"


def test_a_watch_begins_once():
    city = given(*AUTHORISED)
    city.when(watch()).then("watch-started")
    city.when(watch(minutes=6)).then_nothing()
    city.when(watch(min_probability=0.2)).then_raises(ConflictError, "another id")
    assert city.context.objects(city.state) == {f"cases/case-1/{B}.bin"}


def test_a_case_has_a_bounded_number_of_watches_at_a_time():
    city = given(*AUTHORISED, *(watch(f"w-{number}") for number in range(MAX_WATCHES)))
    city.when(watch("w-more")).then_raises(ConflictError, "end one")
    city.and_(end("w-0")).when(watch("w-more", 9)).then("watch-started")


def test_a_sighting_hits_a_watch_once():
    city = given(*AUTHORISED, watch())
    found = city.when(hits(seen("s-2"), seen("s-3"), seen("s-2", 0.1))).then("watch-hit", "watch-hit")
    assert [(event.candidate.sighting, event.candidate.score) for event in found] == [("s-2", 0.8), ("s-3", 0.8)]
    city.when(hits(seen("s-3"), seen("s-4"))).then("watch-hit")
    city.when(hits(seen("s-4"))).then_nothing()
    assert city.table("watches")[0]["hits"] == 3


def test_sightings_of_two_cameras_under_one_id_are_two_candidates():
    city = given(*AUTHORISED, watch(), search(3, "q-1", seen("s-1"), seen("s-1", camera="cam-2")))
    city.when(hits(seen("s-1"), seen("s-1", camera="cam-2"))).then("watch-hit", "watch-hit")
    city.and_(confirm("cam-2.s-1", 8))
    assert {row["candidate"]: row["state"] for row in city.table("candidates")} == {
        "cam-1.s-1": "found",
        "cam-2.s-1": "confirmed",
    }


def test_a_sighting_hits_each_watch_for_itself():
    city = given(*AUTHORISED, watch(), watch("w-2"), hits())
    city.when(hits(watch_id="w-2")).then("watch-hit")


def test_an_ended_or_unknown_watch_matches_nothing():
    given(*AUTHORISED, watch(), end()).when(hits(minutes=8)).then_raises(ConflictError, "ended")
    given(*AUTHORISED).when(hits()).then_raises(NotFoundError, "w-1")


def test_ending_a_watch_twice_changes_nothing():
    city = given(*AUTHORISED, watch())
    city.when(end()).then("watch-ended")
    city.when(end(minutes=9)).then_nothing()
    city.when(end("w-9")).then_raises(NotFoundError, "w-9")


def test_closing_ends_every_watch_with_the_case():
    city = given(*AUTHORISED, watch(), watch("w-2"), end("w-2"))
    ended, closed = city.when(close()).then("watch-ended", "case-closed")
    assert (ended.watch, closed.outcome) == ("w-1", "found")
    assert all(row["ended_at"] for row in city.table("watches"))


def test_a_case_that_was_never_authorised_can_be_closed():
    given(opened()).when(close(outcome="withdrawn")).then("case-closed")


def test_closing_twice_changes_nothing():
    given(*AUTHORISED, close()).when(close(70, "unresolved")).then_nothing()


def test_a_closed_case_is_not_authorised_again():
    given(opened(), close()).when(authorise(70)).then_raises(ConflictError, "closed")


def test_a_case_expires_at_its_moment_and_its_watches_with_it():
    city = given(*AUTHORISED, watch())
    city.when_it_is(hours=23.99).then_nothing()
    ended, expired = city.when_it_is(hours=25).then("watch-ended", "case-expired")
    assert ended.at == expired.at == NOON + timedelta(hours=24)
    assert (expired.by, city.table("cases")[0]["state"]) == ("system", "expired")
    city.when_it_is(hours=26).then_nothing()
    city.when(close(26 * 60)).then_raises(ConflictError, "expired")


def test_a_case_that_was_never_authorised_expires_too_and_a_closed_one_does_not():
    given(opened()).when_it_is(hours=24).then("case-expired")
    given(opened(), close()).when_it_is(hours=25).then_nothing()


def test_many_cases_that_expire_at_once_fit_into_commits_in_turn():
    many = [opened().model_copy(update={"case": f"case-{number}"}) for number in range(700)]
    city = given(*many)
    ended = [len(city.when_it_is(hours=25).events) for _ in range(3)]
    assert ended == [499, 201, 0]


def test_erasure_is_told_only_of_a_case_that_has_ended_and_names_every_object():
    city = given(*AUTHORISED, search(), watch())
    city.when(erased(A, B)).then_raises(ConflictError, "authorised")
    city.and_(close())
    city.when(erased(A)).then_raises(ConflictError, B)
    (event,) = city.when(erased(A, B, "c" * 64)).then("case-erased")
    assert event.erasures == ("erase-1",)
    assert city.table("cases")[0]["erased_at"] is not None
    city.when(erased(A, B, minutes=70)).then_nothing()


def test_an_expired_case_is_erased_too():
    city = given(*AUTHORISED, search())
    city.when_it_is(hours=25)
    city.when(erased(A, minutes=26 * 60)).then("case-erased")


def test_a_command_of_another_context_is_refused():
    other = RequestErasure(
        **{name: value for name, value in at().items() if name != "case"},
        camera="cam-1",
        erasure="e-1",
        sightings=("s-1",),
        reason="요청 · asked",
    )
    given().when(other).then_raises(InvalidError, "no command to a case")
