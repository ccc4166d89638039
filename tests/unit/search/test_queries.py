"""The object behind a search or a watch."""

import numpy as np

from serve.search.protocol import Query
from serve.search.queries import Sought, digest_of, name_of


def test_what_was_sought_comes_back_bit_for_bit() -> None:
    vectors = np.random.default_rng(3).standard_normal((2, 8)).astype(np.float32)
    queries = tuple(Query("m-1", one) for one in vectors)
    sought = Sought(queries, {"upper": "red"}, (b"\xff\xd8jpeg",), {"m-1": 0.595})
    again = Sought.from_bytes(sought.to_bytes())
    assert [one.model for one in again.queries] == ["m-1", "m-1"]
    assert np.array_equal(np.stack([one.vector for one in again.queries]), vectors)
    assert (again.soft, again.photographs, again.least) == (sought.soft, sought.photographs, sought.least)


def test_a_query_that_was_kept_without_thresholds_is_read() -> None:
    assert Sought.from_bytes(b'{"queries":[],"soft":{},"photographs":[]}').least == {}


def test_equal_contents_have_one_digest_and_lie_with_their_case() -> None:
    one, other = Sought((), {"upper": "red", "hat": "hat"}), Sought((), {"hat": "hat", "upper": "red"})
    assert digest_of(one.to_bytes()) == digest_of(other.to_bytes())
    assert name_of("c-1", "ab") == "cases/c-1/ab.bin"
