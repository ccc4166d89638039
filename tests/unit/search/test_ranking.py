"""The order of candidates of several models."""

from hypothesis import given
from hypothesis import strategies as st

from serve.search.ranking import interleaved

Row = tuple[str | None, float]
rows = st.lists(st.tuples(st.sampled_from([None, "face-1", "face-2"]), st.floats(0, 1)), max_size=30)


def ordered(found: list[Row]) -> list[Row]:
    return interleaved(found, lambda one: one[0], lambda one: -one[1])


def test_the_first_of_each_line_comes_before_the_second_of_any() -> None:
    found: list[Row] = [(None, 0.9), (None, 0.8), (None, 0.7), ("face-2", 0.1), ("face-1", 0.3), ("face-1", 0.4)]
    assert ordered(found) == [
        (None, 0.9),
        ("face-1", 0.4),
        ("face-2", 0.1),
        (None, 0.8),
        ("face-1", 0.3),
        (None, 0.7),
    ]


@given(rows)
def test_nobody_is_lost_and_no_line_is_out_of_order(found: list[Row]) -> None:
    order = ordered(found)
    assert sorted(order, key=repr) == sorted(found, key=repr)
    for line in (None, "face-1", "face-2"):
        scores = [score for name, score in order if name == line]
        assert scores == sorted(scores, reverse=True)


@given(rows)
def test_the_best_of_every_line_is_among_as_many_as_there_are_lines(found: list[Row]) -> None:
    lines = {line for line, _ in found}
    assert {line for line, _ in ordered(found)[: len(lines)]} == lines
