"""When the shards of an older layout are ended, and which of them begin again with a machine."""

from pathlib import Path

from serve.search.hosting import Lasting, kept
from serve.search.layouts import GRACE_S, LOOK_S
from serve.search.place import Place
from serve.search.router import CALL_S


def test_an_old_layout_outlives_the_new_ones_start_by_more_than_a_look_of_every_replica() -> None:
    complete = Lasting(GRACE_S)
    assert not complete.told(True, 100)
    assert not complete.told(True, 100 + LOOK_S + CALL_S)
    assert complete.told(True, 100 + GRACE_S)


def test_a_new_layout_that_loses_a_shard_is_waited_for_again() -> None:
    complete = Lasting(20)
    assert not complete.told(True, 0)
    assert not complete.told(False, 19)
    assert not complete.told(True, 20)
    assert not complete.told(True, 39)
    assert complete.told(True, 40)


def test_a_machine_resumes_the_whole_layouts_of_its_disk_and_no_others(tmp_path: Path) -> None:
    for name in ("search-1-0-0", "search-2-0-0", "search-2-1-1", "search-2-1-0", "search-4-0-0", "search-3", "x"):
        (tmp_path / name).mkdir()
    assert kept(tmp_path, 1) == [Place(2, 0), Place(2, 1)]
    assert kept(tmp_path, 2) == [Place(1)]
    assert kept(tmp_path / "nothing", 1) == []
