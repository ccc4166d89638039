"""Idempotency keys and how long they are remembered."""

import pytest

from actors.journal import KEPT, Entry, Journal
from schemas.errors import IdempotencyConflictError

AT = 1_800_000_000_000_000


def test_a_key_is_known_for_24_hours_and_not_longer() -> None:
    journal = Journal()
    journal.keep("k", Entry("d", AT))
    assert journal.find("k", "d", AT + KEPT) == Entry("d", AT)
    assert journal.find("k", "other", AT + KEPT + 1) is None


def test_what_is_a_day_older_than_the_newest_is_forgotten() -> None:
    journal = Journal()
    for number in range(3):
        journal.keep(f"k{number}", Entry("d", AT + number))
    journal.keep("new", Entry("d", AT + KEPT + 2))
    assert journal.dump()["key"].to_pylist() == ["k2", "new"]


def test_the_refusal_names_the_key_that_the_client_sent() -> None:
    journal = Journal()
    journal.keep("someone:seen-1#0", Entry("d", AT))
    with pytest.raises(IdempotencyConflictError, match="seen-1"):
        journal.find("someone:seen-1#0", "e", AT)


def test_no_key_is_never_known() -> None:
    assert Journal().find("", "d", AT) is None


def test_a_journal_comes_back_from_a_snapshot() -> None:
    journal = Journal()
    journal.keep("k", Entry("d", AT, 7, "[]"))
    assert Journal.load(journal.dump()).find("k", "d", AT) == Entry("d", AT, 7, "[]")
