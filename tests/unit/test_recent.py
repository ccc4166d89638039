"""What was used most lately stays in memory."""

from hypothesis import given as for_all
from hypothesis import strategies as st

from serve.recent import Recent


def test_the_one_unused_for_longest_is_forgotten_first():
    kept = Recent[int](10)
    kept.put("a", 1, 5)
    kept.put("b", 2, 5)
    assert kept.get("a") == 1
    kept.put("c", 3, 5)
    assert [kept.get(key) for key in "abc"] == [1, None, 3]


def test_the_newest_stays_however_large_it_is():
    kept = Recent[int](10)
    kept.put("a", 1, 5)
    kept.put("b", 2, 50)
    assert (kept.get("a"), kept.get("b")) == (None, 2)


@for_all(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 6))))
def test_no_more_is_kept_than_there_is_room_for(puts):
    kept, sizes = Recent[int](10), {}
    for key, size in puts:
        kept.put(key, size, size)
        sizes[key] = size
    assert sum(sizes[key] for key in sizes if kept.get(key) is not None) <= 10
    if puts:
        assert kept.get(puts[-1][0]) == puts[-1][1]
