"""Which erasable objects must be there, and what is told of those that are not."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from actors import presence
from actors.host import CONTEXTS
from actors.presence import ERASABLE, Finding, check
from actors.replay import load
from schemas.errors import BomnaeError
from schemas.settings import CONTEXTS as NAMES
from streams.blobs import MemoryBlobs
from streams.memory import MemoryIngest, MemoryStore
from tests.golden import files
from tests.unit.catalogue.context import scenario as datasets
from tests.unit.population import scenario as counts
from tests.unit.population.scenario import MONDAY

ROWS, LISTING, OLD = b"rows", b"findings", b"rows of before"
LOGS = sorted(path for path in files.HERE.glob("*.log.jsonl") if path.name.split("-")[0] in ERASABLE)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def checked(context: str, state: Any, blobs: MemoryBlobs, log: MemoryStore | None = None) -> Any:
    return await check((context, 0), log or MemoryStore(), state, blobs)


async def filled(context: str, state: Any, **data: bytes) -> MemoryBlobs:
    """All that the state names, of these bytes."""
    blobs, by_digest = MemoryBlobs(), {sha(one): one for one in data.values()}
    for name, held in ERASABLE[context].expected(state).items():
        await blobs.put(name, by_digest[held.digest])
    return blobs


def dataset(**more: Any) -> datasets.Given:
    """One with a version of before, and a newest one with findings."""
    newest = {"listing": sha(LISTING), "token": "89abcdef", "based_on": sha(OLD)}
    brought = datasets.refresh(2, sha(ROWS), **newest)
    return datasets.given(datasets.register(**more), datasets.refresh(1, sha(OLD)), brought)


def source() -> counts.Given[Any]:
    """One whose Monday was told twice."""
    return counts.given(counts.register(), counts.record(1, block=sha(OLD)), counts.record(2, block=sha(ROWS)))


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)
async def test_what_must_be_there_are_objects_that_the_state_refers_to(path: Path) -> None:
    context = CONTEXTS[name := path.name.split("-")[0]]()
    store, ingest = MemoryStore(), path.with_name(path.name.replace(".log.", ".ingest."))
    store.records = files.read_log(path)
    state = (await load(context, store, MemoryIngest(files.read_ingest(ingest)), None)).domain
    expected = ERASABLE[name].expected(state)
    assert expected.keys() <= set(context.objects(state))
    assert all(one.startswith(f"{ERASABLE[name].folder}/") for one in expected)
    if not ERASABLE[name].private:
        assert expected.keys() == set(context.objects(state))


def test_contexts_without_objects_are_those_of_readings_and_roads() -> None:
    assert set(NAMES) - ERASABLE.keys() == {"facility", "road"}


async def test_objects_that_are_all_there_are_counted() -> None:
    for context, city in (("catalogue", dataset()), ("population", source())):
        blobs = await filled(context, city.state, rows=ROWS, listing=LISTING, old=OLD)
        assert await checked(context, city.state, blobs) == (len(blobs.blobs), [])


async def test_rows_of_a_dataset_that_are_missing_or_damaged_are_told_with_what_to_do() -> None:
    city = dataset()
    blobs = await filled("catalogue", city.state, rows=ROWS, listing=LISTING, old=OLD)
    older, rows = (
        f"datasets/bus-stops/{sha(OLD)}-01234567.parquet",
        f"datasets/bus-stops/{sha(ROWS)}-89abcdef.parquet",
    )
    del blobs.blobs[older]
    blobs.blobs[rows] = ROWS[:-1]
    count, (first, second) = await checked("catalogue", city.state, blobs)
    assert (count, first.context, first.shard, first.entity) == (1, "catalogue", 0, "bus-stops")
    assert (first.object, first.what, "as_of" in first.remedy) == (older, "missing", True)
    assert (second.object, second.what, "ask its source again" in second.remedy) == (rows, "damaged", True)


async def test_findings_that_are_missing_are_told_too() -> None:
    city = dataset()
    blobs = await filled("catalogue", city.state, rows=ROWS, listing=LISTING, old=OLD)
    name = f"datasets/bus-stops/{sha(LISTING)}-89abcdef.parquet"
    del blobs.blobs[name]
    count, (found,) = await checked("catalogue", city.state, blobs)
    assert (count, found.object, found.what) == (2, name, "missing")


@pytest.mark.parametrize("how", ["retired", "joined"])
async def test_rows_that_no_refresh_brings_again_come_from_a_backup(how: str) -> None:
    city = dataset(**({"mode": "upsert", "key": ["name"]} if how == "joined" else {}))
    city.and_(*([datasets.retire()] if how == "retired" else []))
    _, found = await checked("catalogue", city.state, MemoryBlobs())
    assert {one.remedy.partition(";")[0] for one in found} == {"bring it back from a backup"}


async def test_versions_that_the_log_has_dropped_since_may_be_missing() -> None:
    context, log = CONTEXTS["catalogue"](), MemoryStore()
    log.records = files.read_log(files.HERE / "catalogue-1.log.jsonl")
    drop = next(record for record in log.records if record.subject.endswith("versions-dropped"))
    before = (await load(context, log, MemoryIngest([]), None, upto=drop.sequence - 1)).domain
    now = (await load(context, log, MemoryIngest([]), None)).domain
    _, found = await checked("catalogue", before, MemoryBlobs(), log)
    assert {one.object for one in found} == set(context.objects(before)) & set(context.objects(now))
    assert len(found) < len(set(context.objects(before)))


async def test_counts_that_are_missing_are_told_with_the_day_to_send_again() -> None:
    city = source()
    now, before = await checked("population", city.state, MemoryBlobs())
    assert now == 0
    told = {one.object: one.remedy for one in before}
    newest, earlier = (f"population/{sha(data)[:2]}/{sha(data)}.arrow" for data in (ROWS, OLD))
    assert f"send the file of {MONDAY} again" in told[newest]
    assert "as_of" in told[earlier]
    assert {(one.context, one.shard, one.entity, one.what) for one in before} == {
        ("population", 0, "fare-card", "missing")
    }


async def test_counts_of_a_retired_source_come_from_a_backup() -> None:
    city = source().and_(counts.retire(3))
    _, found = await checked("population", city.state, MemoryBlobs())
    assert all("again" not in one.remedy and "backup" in one.remedy for one in found)


async def test_a_block_that_is_both_of_now_and_of_before_is_told_once_with_the_better_remedy() -> None:
    city = source().and_(counts.record(3, block=sha(OLD)))
    _, found = await checked("population", city.state, MemoryBlobs())
    (again,) = (one for one in found if sha(OLD) in one.object)
    assert "send the file" in again.remedy


async def ended_case() -> tuple[Any, MemoryStore]:
    log = MemoryStore()
    log.records = files.read_log(files.HERE / "person-1.log.jsonl")
    return (await load(CONTEXTS["person"](), log, MemoryIngest([]), None)).domain, log


async def test_what_an_ended_case_searched_for_must_be_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "_ERASING_S", 0.01)
    state, log = await ended_case()
    case, name = "case-5d1f0c2b9a7e4836", f"cases/case-5d1f0c2b9a7e4836/{'5d' * 32}.bin"
    blobs = MemoryBlobs()
    assert await checked("person", state, blobs, log) == (0, [])
    await blobs.put(name, b"a photograph")
    remedy = "delete it: the log says that it was erased, or has expired"
    assert await checked("person", state, blobs, log) == (
        0,
        [Finding("person", 0, case, name, "not erased", remedy)],
    )


async def test_what_an_open_case_searched_for_must_be_there() -> None:
    log = MemoryStore()
    log.records = files.read_log(files.HERE / "person-1-2.log.jsonl")
    state = (await load(CONTEXTS["person"](), log, MemoryIngest([]), None)).domain
    _, found = await checked("person", state, MemoryBlobs(), log)
    assert {(one.entity, one.what) for one in found} == {("case-a5ced00000000002", "missing")}


async def test_an_error_of_the_store_is_no_finding() -> None:
    class Away(MemoryBlobs):
        async def get(self, name: str) -> bytes | None:
            raise BomnaeError(name)

    with pytest.raises(BomnaeError):
        await checked("population", source().state, Away())
