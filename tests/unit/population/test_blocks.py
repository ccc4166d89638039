"""Blocks: counts as bytes by their digest."""

import hashlib

import polars as pl
import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from actors.population.blocks import COUNTS, name_of, packed, unpacked
from schemas.errors import InvalidError
from tests.unit.population.scenario import CELLS

rows = st.lists(
    st.tuples(st.sampled_from(CELLS), st.integers(0, 23), st.floats(0.001, 1e9)), unique_by=lambda row: row[:2]
)


def frame(some) -> pl.DataFrame:
    return pl.DataFrame(some, COUNTS, orient="row")


@for_all(rows, st.randoms())
def test_the_same_counts_in_any_order_are_the_same_bytes_and_come_back(some, chance):
    block, data = packed(frame(some))
    assert hashlib.sha256(data).hexdigest() == block
    assert unpacked(block, data).equals(frame(some).sort("cell", "hour"))
    chance.shuffle(some)
    assert packed(frame(some)) == (block, data)


def test_other_bytes_than_the_digest_says_are_refused():
    block, data = packed(frame([(CELLS[0], 7, 12.0)]))
    with pytest.raises(InvalidError, match="other bytes"):
        unpacked(block, data[:-1] + b"x")


@pytest.mark.parametrize(
    ("some", "why"),
    [
        ([(CELLS[0], 7, 1.0), (CELLS[0], 7, 2.0)], "once"),
        ([(CELLS[0], 7, 0.0)], "above nought"),
        ([(CELLS[0], 7, -1.0)], "above nought"),
        ([(CELLS[0], 7, float("nan"))], "above nought"),
        ([(CELLS[0], 24, 1.0)], "hours 0 to 23"),
        ([(None, 7, 1.0)], "named cell"),
        ([(CELLS[0], 7, None)], "above nought"),
    ],
)
def test_what_is_no_count_is_not_packed(some, why):
    with pytest.raises(InvalidError, match=why):
        packed(frame(some))


def test_a_block_has_its_columns_and_no_others():
    with pytest.raises(InvalidError, match="cell, hour, count"):
        packed(frame([]).with_columns(name=pl.lit("x")))


def test_blocks_lie_in_folders_by_the_beginning_of_their_digest():
    assert name_of("ab" + "0" * 62) == "population/ab/ab" + "0" * 62 + ".arrow"
