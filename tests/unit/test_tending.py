"""What a supervisor does about nats-server: a plain function of what it saw and when."""

from dataclasses import replace

from streams.tending import FULL_BYTES, ROOM_BYTES, Past, Seen, Step, decide

LONG_WELL = Past(started=0.0, was_well=True)
PLENTY = 10 * ROOM_BYTES
WELL = Seen(runs=True, answers=True, trouble="", free=PLENTY)
UNWELL = replace(WELL, trouble="write error: no space left on device")
SILENT = replace(UNWELL, answers=False)
GONE = Seen(runs=False, answers=False, trouble="it does not run", free=PLENTY)
FULL = replace(UNWELL, free=FULL_BYTES - 1)
LITTLE = replace(UNWELL, free=ROOM_BYTES - 1)


def steps(*looks: tuple[float, Seen], past: Past = LONG_WELL) -> list[Step]:
    found = []
    for now, seen in looks:
        step, past = decide(past, seen, now)
        found.append(step)
    return found


def test_a_server_that_is_well_is_left_alone() -> None:
    assert steps((100, WELL), (200, WELL)) == [Step.NONE, Step.NONE]


def test_one_that_ended_is_started_at_once_but_not_twice_within_a_second() -> None:
    assert steps((100, GONE), (100.2, GONE), (101, GONE)) == [Step.START, Step.NONE, Step.START]


def test_one_that_says_it_is_not_well_is_started_anew_after_some_seconds() -> None:
    assert steps((100, UNWELL), (104, UNWELL), (105, UNWELL)) == [Step.NONE, Step.NONE, Step.START]


def test_being_well_in_between_begins_the_patience_anew() -> None:
    assert steps((100, UNWELL), (104, WELL), (105, UNWELL), (109, UNWELL)) == [Step.NONE] * 4


def test_one_that_does_not_answer_is_given_longer() -> None:
    assert steps((100, SILENT), (129, SILENT), (130, SILENT)) == [Step.NONE, Step.NONE, Step.START]


def test_one_that_recovers_is_never_started_anew_but_told_of() -> None:
    recovering = Past(started=100)
    assert steps((101, UNWELL), (200, UNWELL), (900, UNWELL), past=recovering) == [Step.NONE, Step.TELL, Step.TELL]
    assert steps((101, SILENT), (200, SILENT), past=recovering) == [Step.NONE, Step.TELL]


def test_on_a_full_disk_nothing_is_started_until_there_is_room_and_then_at_once() -> None:
    assert steps((100, FULL), (901, LITTLE), (902, UNWELL)) == [Step.WAIT, Step.WAIT, Step.START]
    gone = replace(GONE, free=FULL.free)
    assert steps((100, gone), (900, gone), (901, GONE)) == [Step.WAIT, Step.WAIT, Step.START]


def test_a_disk_that_filled_while_the_server_recovered_is_a_reason_to_start_it_anew() -> None:
    assert steps((101, FULL), (150, UNWELL), past=Past(started=100)) == [Step.WAIT, Step.START]


def test_a_full_disk_is_told_before_the_server_has_noticed_and_room_made_in_time_changes_nothing() -> None:
    assert steps((100, replace(WELL, free=FULL.free)), (101, WELL)) == [Step.WAIT, Step.NONE]


def test_a_disk_with_little_room_that_was_not_full_is_no_reason_to_wait() -> None:
    assert steps((100, replace(GONE, free=FULL_BYTES))) == [Step.START]
