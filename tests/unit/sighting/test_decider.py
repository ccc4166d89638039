"""Cameras, erasures and retention: what commands and time lead to."""

from datetime import timedelta
from typing import Any

import pytest

from actors.sighting import presence
from schemas.errors import ConflictError, InvalidError, NotFoundError
from schemas.sighting import (
    BlockErased,
    BlocksExpired,
    BlocksLost,
    CameraSilent,
    CompleteErasure,
    GiveUpBlocks,
    SegmentErased,
    SightingsErased,
)
from streams.ingest import Observed
from tests.unit.sighting.scenario import City, arrow, at, register, request, row

DAY = 86_400.0
A, B = "a" * 64, "b" * 64
WINDOW = {"start": at(0), "end": at(60)}


def complete(*blocks: BlockErased, erasure: str = "e-1", **more: Any) -> CompleteErasure:
    segments = (SegmentErased(shard="search-1-0-0", segment="7", before=A, after=B, rows=1),)
    known = {"erasure": erasure, "blocks": blocks, "segments": segments, **more}
    return CompleteErasure(at=at(200), by="search", camera="cam-1", **known)


def gone(before: str, rows: int, left: int = 0, after: str = "") -> BlockErased:
    return BlockErased(before=before, after=after, rows=rows, left=left)


def names(events: list[Any]) -> list[str]:
    return [event.name for event in events]


def test_a_camera_is_registered_once_and_again_when_its_facts_change() -> None:
    city = City()
    assert names(city.do(register())) == ["camera-registered"]
    assert city.do(register(seconds=5)) == []
    assert names(city.do(register(group="old-town"))) == ["camera-registered"]


def test_an_erasure_is_requested_once_and_another_needs_another_id() -> None:
    city = City(register())
    assert names(city.do(request(window=WINDOW))) == ["erasure-requested"]
    assert city.do(request(window=WINDOW, seconds=150)) == []
    with pytest.raises(ConflictError):
        city.do(request(sightings=("s-1",)))


def test_what_has_not_been_seen_yet_cannot_be_erased() -> None:
    city = City(register())
    with pytest.raises(InvalidError, match="future"):
        city.do(request(window={"start": at(0), "end": at(DAY)}))


@pytest.mark.parametrize("command", [request("e-1", "cam-9", sightings=("s-1",)), complete(gone(A, 1))])
def test_what_is_not_known_is_not_found(command: Any) -> None:
    with pytest.raises(NotFoundError):
        City(register()).do(command)


def observed() -> tuple[City, str, str]:
    """Two blocks: one wholly in the window, one partly."""
    city = City(register())
    city.hear(row("s-1"), row("s-2", seconds=30))
    city.hear(row("s-3", seconds=50), row("s-4", seconds=70), seconds=80)
    city.do(request(window=WINDOW))
    inside, partly = city.blocks()
    return city, inside, partly


def test_a_completed_erasure_gives_the_receipt_and_replaces_the_blocks() -> None:
    city, inside, partly = observed()
    (receipt,) = city.do(complete(gone(inside, 2), gone(partly, 1, 1, A)))
    assert isinstance(receipt, SightingsErased)
    assert (receipt.rows, receipt.last, len(receipt.segments)) == (3, True, 1)
    assert city.blocks() == [A]
    erasures = city.context.tables(city.state)["erasures"].to_pylist()
    assert [(one["erasure"], one["rows"], one["blocks"]) for one in erasures] == [("e-1", 3, 2)]
    assert erasures[0]["erased_at"] == at(200)
    assert city.do(complete(gone(inside, 2), gone(partly, 1, 1, A))) == []


def test_a_block_within_the_window_cannot_be_left_out() -> None:
    city, inside, partly = observed()
    with pytest.raises(ConflictError, match=inside):
        city.do(complete(gone(partly, 1, 1, A)))


def test_an_erasure_told_in_parts_ends_with_the_last() -> None:
    city, inside, partly = observed()
    (first,) = city.do(complete(gone(inside, 2), last=False))
    assert isinstance(first, SightingsErased)
    assert not first.last
    assert city.do(complete(gone(inside, 2), last=False)) == []
    assert city.context.tables(city.state)["erasures"].to_pylist()[0]["erased_at"] is None
    assert names(city.do(complete(gone(partly, 1, 1, A)))) == ["sightings-erased"]
    assert city.context.tables(city.state)["erasures"].to_pylist()[0]["rows"] == 3


def test_a_block_that_nobody_can_read_is_given_up_and_the_erasure_ends_without_it() -> None:
    city, inside, partly = observed()
    give_up = GiveUpBlocks(at=at(150), by="search", camera="cam-1", erasure="e-1", blocks=(inside, B))
    (lost,) = city.do(give_up)
    assert isinstance(lost, BlocksLost)
    assert (lost.erasure, lost.blocks, lost.rows) == ("e-1", (inside,), 2)
    assert city.do(give_up) == []
    assert city.blocks() == [partly]
    assert names(city.do(complete(gone(partly, 1, 1, A)))) == ["sightings-erased"]
    assert city.do(give_up.model_copy(update={"blocks": (A,)})) == []
    assert city.hear(row("s-1", seconds=70), seconds=300) == ["camera-heard"]
    loaded = city.context.load(city.context.dump(city.state))
    assert city.context.digest(loaded) == city.digest
    assert not presence.expected(city.state).keys() & set(presence.gone(lost))


def test_blocks_are_given_up_for_an_erasure_that_there_is() -> None:
    with pytest.raises(NotFoundError):
        City(register()).do(GiveUpBlocks(at=at(150), by="search", camera="cam-1", erasure="e-9", blocks=(A,)))


@pytest.mark.parametrize(
    "told",
    [
        lambda one: gone(one, 1),
        lambda one: gone(one, 1, 1),
        lambda one: gone(one, 2, 0, A),
        lambda one: gone(one, 1, 1, one),
    ],
)
def test_rows_that_do_not_add_up_are_refused(told: Any) -> None:
    city, inside, _ = observed()
    with pytest.raises(InvalidError):
        city.do(complete(told(inside)))


def test_a_block_that_is_not_there_is_a_conflict() -> None:
    city, _, _ = observed()
    with pytest.raises(ConflictError, match="look again"):
        city.do(complete(gone(B, 1)))


def test_an_erased_sighting_is_still_known_so_that_it_does_not_come_back() -> None:
    city = City(register())
    city.hear(row("s-1"))
    (block,) = city.blocks()
    city.do(request(sightings=("s-1",)))
    city.do(complete(gone(block, 1)))
    assert city.blocks() == []
    assert city.hear(row("s-1"), seconds=300) == []


def test_blocks_expire_by_whole_minutes_when_their_last_row_is_older_than_the_retention() -> None:
    city = City(register(retention_days=1, silent_after_s=86_400))
    city.hear(row("s-1", seconds=0), row("s-2", seconds=5))
    (block,) = city.blocks()
    assert city.tick(DAY + 5) == []
    (event,) = [one for one in city.tick(DAY + 70) if isinstance(one, BlocksExpired)]
    assert (event.blocks, event.rows) == ((block,), 2)
    assert city.blocks() == []
    assert len(city.state.cameras["cam-1"].seen) == 0


def test_an_old_row_leaves_within_a_day_of_its_time_whatever_came_with_it() -> None:
    city = City(register(silent_after_s=86_400))
    age = 29 * DAY
    city.hear(row("s-old", seconds=-age), row("s-new"))
    old, new = city.blocks()
    (event,) = [one for one in city.tick(2 * DAY + 120) if isinstance(one, BlocksExpired)]
    assert (event.blocks, event.rows) == ((old,), 1)
    assert city.blocks() == [new]


def test_a_shorter_retention_expires_what_is_there() -> None:
    city = City(register(silent_after_s=86_400))
    city.hear(row("s-1"))
    assert city.tick(2 * DAY)[1:] == []
    city.do(register(retention_days=1, silent_after_s=86_400))
    assert names(city.tick(2 * DAY)) == ["blocks-expired"]


def test_a_camera_falls_silent_once_and_is_restored_by_its_next_word() -> None:
    city = City(register(silent_after_s=60))
    city.hear(row("s-1"), seconds=10)
    assert city.tick(69) == []
    (silent,) = city.tick(75)
    assert isinstance(silent, CameraSilent)
    assert (silent.at, silent.since) == (at(70), at(10))
    assert city.tick(90) == []
    assert city.hear(row("s-2"), seconds=100) == ["camera-restored", "sightings-observed"]
    assert city.outcome.events[0].since == at(10)
    assert city.tick(159) == []


def test_a_camera_that_never_spoke_falls_silent_after_its_registration() -> None:
    city = City(register(silent_after_s=60))
    assert names(city.tick(61)) == ["camera-silent"]


def test_signs_of_life_keep_a_camera_from_falling_silent_and_are_told_rarely() -> None:
    city = City(register(silent_after_s=60))
    told = [city.observe(life(city, second)) for second in range(1, 120)]
    assert [name for names in told for name in names] == ["camera-heard"] * 5
    assert city.tick(150) == []
    assert names(city.tick(170)) == ["camera-silent"]
    assert city.observe(life(city, 180)) == ["camera-restored"]


def test_sightings_that_are_known_already_are_signs_of_life_too() -> None:
    city = City(register(silent_after_s=60))
    city.hear(row("s-1"), seconds=1)
    assert city.hear(row("s-1"), seconds=50) == ["camera-heard"]


def test_a_gateway_may_say_that_its_camera_lives_and_no_other() -> None:
    city = City(register(silent_after_s=60, gateway="north"))
    empty = arrow([])
    assert city.observe(city.say(empty, 50, kind="gw-south")) == []
    assert city.observe(city.say(empty, 50, kind="gw-north")) == ["camera-heard"]


def life(city: City, seconds: float) -> Observed:
    return city.say(arrow([]), seconds)


def test_blocks_of_a_camera_leave_a_thousand_at_a_time() -> None:
    city = City(register(retention_days=1, silent_after_s=86_400))
    city.observe(*(city.say(arrow([row(f"s-{n}")])) for n in range(1001)))
    later = timedelta(days=1, minutes=2).total_seconds()
    expired = [len(event.blocks) for _ in range(3) for event in city.tick(later) if isinstance(event, BlocksExpired)]
    assert expired == [1000, 1]
