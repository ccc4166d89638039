"""Datasets kept fresh from files: when one is read, what is told of it, what is forgotten."""

import os
from itertools import pairwise

import pytest
import shapely

from schemas.catalogue import RecordUnchanged, RegisterDataset, RetireDataset
from schemas.dataset import Column, FromCity, FromFile
from schemas.errors import ConflictError
from serve.catalogue import refreshing
from serve.catalogue.refreshing import Refresher, Sources
from serve.catalogue.rounds import Rounds
from streams.connectors.fetching import Fetched
from tests.unit.catalogue.entries import facts
from tests.unit.catalogue.service.declared import AREAS, CSV, ROWS, STOP, here, stops
from tests.unit.catalogue.service.kept import FILE, STOPS


async def test_a_file_is_read_once_and_again_when_it_has_changed(city):
    await city.declare()
    city.write()
    assert [await city.look(), await city.look()] == [1, 0]
    assert (city.one().status, city.one().newest.rows, city.one().newest.source) == ("fresh", 4, "stops.csv")
    city.backend.pass_time(24)
    assert await city.look() == 0
    city.write(ROWS + "A5,새,1,,,,,127.7,37.8\n")
    assert [await city.look(), await city.look()] == [1, 0]
    assert (len(city.one().versions), city.one().newest.rows) == (2, 5)
    assert await city.kinds() == ["dataset-registered", "dataset-refreshed", "dataset-refreshed"]


async def test_a_file_that_was_only_touched_changes_nothing(city):
    await city.declare()
    city.write()
    await city.look()
    os.utime(city.folder / "stops.csv", ns=(1, 1))
    assert await city.look() == 1
    assert await city.kinds() == ["dataset-registered", "dataset-refreshed"]


async def test_another_refresher_reads_an_unchanged_file_without_telling(city):
    await city.declare()
    city.write()
    await city.look()
    assert await Rounds(city.backend, city.sources).look(None) == 1
    assert await city.kinds() == ["dataset-registered", "dataset-refreshed"]


async def test_what_is_declared_otherwise_is_read_again(city):
    await city.declare()
    city.write()
    await city.look()
    await city.declare(declared=stops(connector=FILE, title_ko="정류소"))
    assert await city.look() == 0
    await city.declare(declared=stops(connector=FILE, rules=()))
    assert [await city.look(), await city.look()] == [1, 0]
    assert ("range", "lamps") not in {(one.kind, one.column) for one in city.one().newest.findings}


async def test_a_missing_file_is_told_once_and_its_return_too(city):
    await city.declare()
    assert await city.look() == 1
    assert city.one().row["down_why"] == "there is no file below the folder of datasets 'stops.csv'"
    assert await city.look() == 0
    city.write()
    assert await city.look() == 1
    assert await city.kinds() == ["dataset-registered", "provider-failed", "provider-restored", "dataset-refreshed"]


async def test_a_file_that_comes_back_as_it_was_is_no_longer_missing(city):
    await city.declare()
    city.write()
    await city.look()
    (city.folder / "stops.csv").rename(city.folder / "away")
    assert (await city.look(), city.one().status) == (1, "down")
    (city.folder / "away").rename(city.folder / "stops.csv")
    assert (await city.look(), city.one().status) == (1, "fresh")
    assert (await city.kinds())[-3:] == ["provider-failed", "provider-restored", "dataset-confirmed"]


async def test_a_file_that_could_not_be_taken_in_is_tried_again_though_it_is_the_same(city, monkeypatch):
    await city.declare()
    city.write()
    await city.look()
    city.write(ROWS.replace("A1", "B1"))

    async def full(_name, _data):
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(city.backend, "put_object", full)
        assert await city.look() == 1
    assert (city.one().status, city.one().row["down_why"]) == ("down", "this could not be taken in (OSError)")
    assert await city.look() == 0
    city.backend.pass_time(1)
    assert (await city.look(), city.one().status) == (1, "fresh")
    assert (await city.rows())["stop"].to_list()[0] == "B1"


async def test_a_source_that_fails_is_left_alone_for_a_growing_while(city):
    await city.declare(declared=stops(connector=FILE, interval_s=3_600))
    waits, hours = [], 0.0
    while len(waits) < 5:
        if await city.look():
            waits.append(round(hours, 2))
            hours = 0.0
        city.backend.pass_time(0.01)
        hours += 0.01
    assert waits[0] == 0
    ratios = [later / sooner for sooner, later in pairwise(waits[1:])]
    assert ratios == pytest.approx([2, 2, 2], rel=0.1)
    assert await city.kinds() == ["dataset-registered", "provider-failed"]


async def test_a_broken_file_leaves_the_rows_of_before(city):
    await city.declare()
    city.write()
    await city.look()
    before = city.one().newest
    city.write("a,b\n1,2\n")
    await city.look()
    assert (city.one().status, city.one().newest) == ("down", before)
    assert "none of the dataset's columns" in city.one().row["down_why"]


async def test_one_source_that_breaks_does_not_hold_up_the_others(city, monkeypatch):
    await city.declare("a", facts(connector=FromFile(format="csv", file="a\0b")))
    await city.declare("b", facts(connector=FromFile(format="csv", file="../b.csv")))
    await city.declare("c", facts(connector=FromFile(format="csv", file="c.csv")))
    await city.declare()
    city.write()
    city.write("name\n가\n", "c.csv")

    async def breaks(job):
        if job.source == "c.csv":
            raise RuntimeError("a defect that says 010-1234-5678")
        return await here(job)

    monkeypatch.setattr(refreshing, "taken", breaks)
    assert await city.look() == 4
    assert {name: city.one(name).status for name in ("a", "b", "c", "stops")} == {
        **dict.fromkeys("abc", "down"),
        "stops": "fresh",
    }
    assert city.one("c").row["down_why"] == "this could not be taken in (RuntimeError)"


async def test_nothing_is_asked_that_is_retired_unconnected_or_the_citys_own(city):
    city.write()
    await city.declare("gone", STOPS)
    command = RetireDataset(at=city.backend.now(), by="kim", dataset="gone", reason="old")
    await city.backend.submit([command], None, None)
    await city.declare("bare", facts())
    await city.declare("own", facts(connector=FromCity(table="road.roads")))
    assert await city.look() == 0


async def test_without_a_folder_files_wait_and_nobody_is_blamed(city):
    await city.declare()
    assert await Rounds(city.backend, Sources()).look(None) == 0
    assert (city.one().status, city.one().row["down_since"]) == ("waiting", None)


async def test_who_asks_for_a_file_without_a_folder_is_told_which_setting_names_it(city):
    await city.declare()
    assert await Refresher(city.backend, Sources()).refresh(None, city.one()) == "failed"
    assert "BOMNAE_DATASETS_FROM" in city.one().row["down_why"]


async def test_a_file_that_is_too_large_is_told(city):
    city.come_from(folder=city.folder, most=100)
    await city.declare()
    city.write()
    await city.look()
    assert "100 at most are read" in city.one().row["down_why"]


async def test_old_versions_are_forgotten_with_their_objects(city):
    await city.declare()
    for number in range(3):
        city.write(ROWS + f"B{number},새,11,,,,,127.7,37.8\n")
        await city.look()
    assert len(city.one().versions) == 3
    assert len(city.backend.objects) == 6
    city.backend.pass_time(24 * 89)
    await city.look()
    assert "B2" in (await city.rows())["stop"].to_list()
    city.backend.pass_time(24 * 2)
    await city.look()
    assert len(city.one().versions) == 1
    newest = city.one().newest
    assert set(city.backend.objects) == {
        refreshing.object_of("stops", newest),
        refreshing.listing_of("stops", newest),
    }
    assert "B2" in (await city.rows())["stop"].to_list()


SQUARE = shapely.box(127.69, 37.86, 127.735, 37.9)


async def test_the_areas_come_first_and_say_what_lies_outside(city):
    areas = AREAS.model_copy(update={"connector": FromFile(format="csv", file="areas.csv")})
    city.come_from(folder=city.folder, areas="zones", bounds=(0, 0, 180, 90))
    await city.declare()
    await city.declare("zones", areas)
    city.write()
    city.write(f'code,name,geometry\n1,동,"{SQUARE.wkt}"\n', "areas.csv")
    assert [await city.look(), await city.look()] == [1, 1]
    found = {(one.kind, one.action): one.rows for one in city.one().newest.findings}
    assert found[("outside", "kept")] == 1


async def test_without_areas_the_bounds_say_it(city):
    city.come_from(folder=city.folder, bounds=SQUARE.bounds)
    await city.declare()
    city.write()
    await city.look()
    assert {one.kind: one.rows for one in city.one().newest.findings}["outside"] == 1


async def test_rows_that_would_join_rows_that_are_lost_are_not_taken(city):
    await city.declare(declared=stops(connector=FILE, mode="upsert"))
    city.write()
    await city.look()
    city.backend.objects.clear()
    city.write("정류장 번호,lamps\nA9,1\n")
    await city.look()
    assert (city.one().status, city.one().newest.rows) == ("down", 4)
    assert "not in the store of objects" in city.one().row["down_why"]


async def test_two_uploads_at_once_lose_no_row(city):
    await city.declare(declared=stops(mode="upsert"))
    seen = city.one()
    take = Refresher(city.backend, city.sources).take
    await take(
        seen,
        Fetched((b"\xec\xa0\x95\xeb\xa5\x98\xec\x9e\xa5 \xeb\xb2\x88\xed\x98\xb8,lamps\nA1,1\n",), "1", "x"),
        CSV,
        "kim",
        0,
    )
    kept = dict(city.backend.objects)
    with pytest.raises(ConflictError, match="join them again"):
        await take(seen, Fetched(("정류장 번호,lamps\nA2,1\n".encode(),), "2", "x"), CSV, "lee", 0)
    assert city.backend.objects == kept


async def test_an_answer_without_rows_is_a_failure_where_nobody_said_that_it_may_be_one(city):
    declared = stops(connector=FromFile(format="json", file="stops.json"))
    await city.declare(declared=declared)
    city.write('[{"stop": "A1"}]', "stops.json")
    await city.look()
    header = city.one().newest.header
    city.write("[]", "stops.json")
    await city.look()
    assert (city.one().status, city.one().newest.rows) == ("down", 1)
    await city.declare(declared=declared.model_copy(update={"may_be_empty": True}))
    city.backend.pass_time(7)
    await city.look()
    assert (city.one().status, city.one().newest.rows, city.one().newest.header) == ("fresh", 0, header)
    assert "columns-changed" not in await city.kinds()


async def test_a_conflict_is_no_failure_of_the_source_and_is_tried_again_later(city, monkeypatch):
    await city.declare(declared=stops(connector=FILE, interval_s=60))
    city.write()
    submit = city.backend.submit

    async def conflicts(commands, *rest):
        if not isinstance(commands[0], RecordUnchanged | RegisterDataset):
            raise ConflictError("another came first")
        return await submit(commands, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(city.backend, "submit", conflicts)
        assert await city.look() == 1
    assert (city.one().status, city.backend.objects) == ("waiting", {})
    city.backend.pass_time(0.01)
    assert (await city.look(), city.one().status) == (1, "fresh")


async def test_a_personal_column_is_not_told_of_in_what_everybody_sees(city):
    born = Column(id="born", ko="생일", en="Born", kind="date", personal="mask")
    await city.declare(declared=facts(columns=(STOP, born), connector=FILE))
    city.write("정류장 번호,born\nA1,2001-02-03\n")
    await city.look()
    assert city.one().newest.data_time is None


@pytest.mark.parametrize("damaged", [False, True])
async def test_rows_that_were_lost_come_back_when_somebody_asks_for_them(city, damaged):
    await city.declare()
    city.write()
    await city.look()
    kept = dict(city.backend.objects)
    city.backend.objects.clear()
    city.backend.objects |= dict.fromkeys(kept, b"PAR1") if damaged else {}
    refresher = Refresher(city.backend, city.sources)
    assert await refresher.refresh(None, city.one()) == "unchanged"
    assert city.backend.objects != kept
    assert await refresher.refresh(None, city.one(), repair=True) == "refreshed"
    assert city.backend.objects == kept
    assert (len(city.one().versions), await refresher.refresh(None, city.one(), repair=True)) == (1, "unchanged")


async def test_it_thins_and_sweeps_once_an_hour(city, monkeypatch):
    done = []
    rounds = Rounds(city.backend, city.sources, sweep=lambda: noted("swept"))
    thin = rounds.thin

    async def noted(what):
        done.append(what)

    async def thinned(known):
        await thin(known)
        await noted("thinned")

    monkeypatch.setattr(rounds, "thin", thinned)
    await city.declare()
    for hours, times in ((0, 1), (0, 1), (1.1, 2)):
        city.backend.pass_time(hours)
        await rounds.look(None)
        assert done == ["thinned", "swept"] * times
