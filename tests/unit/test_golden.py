"""Logs and snapshots of every version are read, and no stored shape changes under its name."""

import hashlib
from pathlib import Path
from typing import Any, ClassVar

import orjson
import pytest

from actors.host import CONTEXTS
from actors.shard import Shard
from actors.verify import verify_shard
from schemas import registry
from schemas.base import Event
from schemas.errors import DivergenceError, InvalidError, UnknownEventError
from schemas.person import SearchRecorded
from schemas.registry import EVENTS, command_from_dict, command_to_json, read_event, upcaster
from serve.search.cases import Searched, read_entry
from streams.blobs import MemoryBlobs
from streams.codec import headers_of, log_head_of, record_of
from streams.log import SHARD_ENTITY, Commit, Record
from streams.memory import MemoryIngest, MemoryStore
from streams.snapshots import SCHEMA_VERSION, SnapshotInfo, Snapshots, unpack
from tests.golden import files
from tests.unit.shard.harness import Sinks

LOGS = sorted(files.HERE.glob("*.log.jsonl"))
RECORDS = [record for path in LOGS for record in files.read_log(path)]
COMMITS = [record for record in RECORDS if f".{SHARD_ENTITY}." in record.subject]
HAPPENED = [record for record in RECORDS if f".{SHARD_ENTITY}." not in record.subject]
LEDGER = [record for record in HAPPENED if record.type.startswith("city.person.")]
COMMITTED = [entry["command"] for record in COMMITS for entry in orjson.loads(record.data)["commands"]]


def of_file(path: Path) -> tuple[Any, Path]:
    """The context of a log, whichever version of its fold wrote it, and what its files are called."""
    stem = path.name.removesuffix(".log.jsonl")
    return CONTEXTS[stem.split("-")[0]](), path.with_name(stem)


async def stored_snapshots(stem: Path) -> tuple[Snapshots, SnapshotInfo]:
    context = stem.name.split("-")[0]
    info = SnapshotInfo(**orjson.loads(stem.with_suffix(".index.json").read_bytes()))
    blobs = MemoryBlobs()
    await blobs.put(f"{context}/0/{info.sequence}.arrow", stem.with_suffix(".snapshot.arrow").read_bytes())
    await blobs.put(f"{context}/0/index.json", orjson.dumps([info]))
    return Snapshots(blobs, context, 0), info


@pytest.mark.parametrize("record", HAPPENED, ids=lambda record: record.id)
def test_every_stored_event_reads_as_it_was_written(record: Record) -> None:
    event = read_event(record.type, record.data)
    if record.type in EVENTS:
        assert event.model_dump_json().encode() == record.data
    assert event.entity == record.subject.split(".")[4]


@pytest.mark.parametrize("fields", COMMITTED, ids=lambda fields: fields["command"])
def test_every_stored_command_reads_as_it_was_written(fields: dict[str, Any]) -> None:
    now = orjson.loads(command_to_json(command_from_dict(fields)))
    assert {name: now[name] for name in fields} == fields


@pytest.mark.parametrize("record", LEDGER, ids=lambda record: record.id)
def test_a_search_shard_reads_of_a_ledger_what_it_says(record: Record) -> None:
    event, entry = read_event(record.type, record.data), read_entry(record.type, record.data)
    if isinstance(event, SearchRecorded):
        assert isinstance(entry, Searched)
        assert (entry.case, entry.query) == (event.case, event.query)
    else:
        assert entry == event


@pytest.mark.parametrize("record", COMMITS, ids=lambda record: record.id)
def test_every_claim_and_commit_reads_as_it_was_written(record: Record) -> None:
    assert Commit.from_json(record.data).to_json() == record.data


def test_the_golden_logs_hold_every_event_and_every_command() -> None:
    assert set(files.events()) <= {record.type for record in HAPPENED}
    assert set(files.commands()) <= {fields["command"] for fields in COMMITTED}
    assert {record.type for record in COMMITS} == {"city.shard.claimed.v1", "city.shard.committed.v1"}


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)
async def test_a_golden_log_and_its_snapshot_replay_to_the_same_events_and_digests(path: Path) -> None:
    context, stem = of_file(path)
    store = MemoryStore()
    store.records = files.read_log(path)
    ingest = MemoryIngest(files.read_ingest(stem.with_suffix(".ingest.jsonl")))
    snapshots, _ = await stored_snapshots(stem)
    verified = await verify_shard(context, store, ingest, snapshots)
    assert verified.sequence == store.records[-1].sequence
    assert (verified.snapshots, verified.passed_over) == (1, 0)


async def test_a_golden_log_with_one_altered_event_is_refused() -> None:
    path = next(path for path in LOGS if path.name.startswith("road"))
    context, stem = of_file(path)
    store = MemoryStore()
    store.records = [
        Record(**{**fields, "data": fields["data"].replace(b'"depth_cm":4.5', b'"depth_cm":4.6')})
        for fields in ({name: getattr(record, name) for name in Record.__slots__} for record in files.read_log(path))
    ]
    ingest = MemoryIngest(files.read_ingest(stem.with_suffix(".ingest.jsonl")))
    snapshots, _ = await stored_snapshots(stem)
    with pytest.raises(DivergenceError):
        await verify_shard(context, store, ingest, snapshots)


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)
async def test_a_snapshot_keeps_its_columns_while_its_versions_stay(path: Path) -> None:
    context, stem = of_file(path)
    snapshots, info = await stored_snapshots(stem)
    data = stem.with_suffix(".snapshot.arrow").read_bytes()
    assert hashlib.sha256(data).hexdigest() == info.sha256
    assert info.schema_version == SCHEMA_VERSION
    found = await snapshots.newest()
    assert found is not None
    generic = {"_shard", "_journal"}
    domain = {name: table for name, table in unpack(data).items() if name not in generic}
    again = context.dump(context.load(domain))
    newest = stem.name.split("-")[1] == str(context.fold_version)
    for name, table in domain.items():
        assert set(table.schema) <= set(again[name].schema), name
        assert again[name].schema == table.schema or not newest, name
    assert generic <= set(found.tables)


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)
async def test_an_owner_of_today_goes_on_with_a_log_of_any_version(path: Path) -> None:
    def clock() -> int:
        return max(record.stored_at for record in RECORDS) + 10**9

    context, stem = of_file(path)
    store = MemoryStore(clock=clock)
    store.records = files.read_log(path)
    ingest = MemoryIngest(files.read_ingest(stem.with_suffix(".ingest.jsonl")))
    snapshots, _ = await stored_snapshots(stem)
    before = store.records[-1].sequence
    owner: Shard[Any] = Shard(context, 0, store, ingest, snapshots, Sinks(), clock)
    await owner.start()
    while await owner.step():
        pass
    await owner.saving.save(owner.state)
    claim = Commit.from_json(store.records[before].data)
    assert claim.fold_version == context.fold_version
    assert (await verify_shard(CONTEXTS[context.name](), store, ingest, snapshots)).snapshots == 2


@pytest.mark.parametrize("name", sorted(files.shapes()))
def test_no_stored_type_changes_its_shape_under_its_name(name: str) -> None:
    recorded, now = files.read_shapes(), files.shapes()
    assert name in recorded, f"{name} is new: run python -m tests.golden.record"
    assert now[name] == recorded[name], (
        f"{name} is stored in another shape: an event needs a new version and an upcaster, a command another name "
        "(or a field with a default); see tests/golden/__init__.py"
    )


def test_no_stored_type_is_forgotten() -> None:
    readable = {*files.events(), *files.commands(), *registry._upcasters}
    assert set(files.read_shapes()) <= readable, "a stored type can no longer be read: keep it, or register an upcaster"


def test_a_message_of_the_log_carries_all_of_its_record_in_headers() -> None:
    record = next(one for one in HAPPENED if one.id == "facility-0-2-0")
    headers = headers_of(log_head_of(record))
    assert headers == {
        "ce-specversion": "1.0",
        "ce-id": "facility-0-2-0",
        "ce-type": "city.facility.facility-registered.v1",
        "ce-source": "/bomnae/facility/0",
        "ce-subject": "bridge-1",
        "ce-time": "2026-01-15T09:00:00Z",
        "content-type": "application/json",
        "Bomnae-Batch": record.batch,
    }
    assert record_of(record.subject, record.data, headers, record.sequence, record.stored_at) == record


class LightMeasured(Event):
    """What a third version of an event may look like."""

    type: ClassVar[str] = "city.facility.light-measured.v3"
    context: ClassVar[str] = "facility"
    entity_field: ClassVar[str] = "facility"
    facility: str
    lux: float
    source: str


@pytest.fixture
def third_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.EVENTS, LightMeasured.type, LightMeasured)
    monkeypatch.setattr(registry, "_upcasters", {})

    @upcaster("city.facility.light-measured.v1", "city.facility.light-measured.v2")
    def in_lux(fields: dict[str, Any]) -> dict[str, Any]:
        return {**{k: v for k, v in fields.items() if k != "kilolux"}, "lux": 1000 * fields["kilolux"]}

    @upcaster("city.facility.light-measured.v2", "city.facility.light-measured.v3")
    def with_source(fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, "source": "unknown"}


V1 = b'{"at":"2026-01-15T09:00:00Z","facility":"booth-1","kilolux":1.5}'
V2 = b'{"at":"2026-01-15T09:00:00Z","facility":"booth-1","lux":1500.0}'


@pytest.mark.usefixtures("third_version")
@pytest.mark.parametrize(("version", "data"), [(1, V1), (2, V2)])
def test_an_old_version_becomes_the_newest_through_all_upcasters_between(version: int, data: bytes) -> None:
    event = read_event(f"city.facility.light-measured.v{version}", data)
    assert event == LightMeasured(at="2026-01-15T09:00:00Z", facility="booth-1", lux=1500.0, source="unknown")


@pytest.mark.usefixtures("third_version")
def test_a_type_that_nothing_reads_is_an_error_with_its_name() -> None:
    with pytest.raises(UnknownEventError, match=r"light-measured\.v4"):
        read_event("city.facility.light-measured.v4", V2)


def test_a_command_that_no_class_reads_is_an_error_with_its_name() -> None:
    with pytest.raises(InvalidError, match="PaintBridge"):
        command_from_dict({"command": "PaintBridge"})
