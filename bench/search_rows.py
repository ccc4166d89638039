"""Rows into the index: appended, taken by a shard as events and blocks, and opened again by a new process."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from actors.sighting.blocks import name_of, packed
from actors.sighting.fold import keys_text
from bench.report import Report, percentile
from bench.search_data import SPAN, Crowd, crowd, table
from schemas import facility
from schemas.base import Event, from_micros
from schemas.road import Window
from schemas.sighting import SIGHTINGS, CameraFacts, CameraRegistered, SightingsObserved
from serve.search.asking import Question, Reply
from serve.search.index import Index
from serve.search.place import Place
from serve.search.protocol import Filters
from serve.search.quantise import Model
from serve.search.shard import SearchShard
from streams.blobs import MemoryBlobs
from streams.log import COMMITTED, Batch, Commit, Position, Record
from streams.subjects import log_subject

BATCH, CAMERAS = 5_000, 4
EVERYTHING = Filters(Window(start=from_micros(0), end=from_micros(SPAN + 1)))


def fill(index: Index, made: Crowd, prefix: str = "sighting") -> float:
    """Append everything in batches; rows a second of the core in the best fifth, sealing included, tables not."""
    rows, rates = len(made.vectors), []
    for start in range(0, rows, max(BATCH, rows // 5)):
        end = min(rows, start + max(BATCH, rows // 5))
        tables = [table(made, at, min(end, at + BATCH), prefix) for at in range(start, end, BATCH)]
        began = time.process_time()
        for one in tables:
            index.append(one)
        rates.append((end - start) / (time.process_time() - began))
    return max(rates)


def _batch(event: Event, number: int) -> Batch:
    """One event as its shard commits it."""
    record = Record(
        subject=log_subject(event.context, 0, event.entity, event.name),
        type=event.type,
        data=event.model_dump_json().encode(),
        id=f"event-{number}",
        batch=f"batch-{number}",
        time=number,
        sequence=2 * number + 1,
        stored_at=number,
    )
    commit = Commit(COMMITTED, event.context, 0, 1, number, Position(), Position(), 0, 1, "", 1, 0)
    return Batch((record,), commit, record.batch, 2 * number + 2, number)


def _seen(made: Crowd, start: int, end: int, camera: str, blobs: MemoryBlobs) -> SightingsObserved:
    """Rows as one block of a camera, kept, and its event."""
    count, rows = end - start, table(made, start, end)
    columns = {
        "sighting_id": rows["sighting_id"],
        "camera": pa.repeat(camera, count),
        "time": rows["time"],
        "model": pa.repeat("bench", count),
        "embedding": rows["embedding"].cast(SIGHTINGS.field("embedding").type),
        "quality": rows["quality"],
        "attributes": rows["attributes"].cast(SIGHTINGS.field("attributes").type),
    }
    whole = [columns.get(one.name, pa.nulls(count, one.type)) for one in SIGHTINGS]
    name, data = packed(pa.Table.from_arrays(whole, schema=SIGHTINGS))
    blobs.blobs[name_of(name)] = data
    times = [int(one) for one in made.times[[start, end - 1]]]
    return SightingsObserved(
        at=from_micros(times[1]),
        camera=camera,
        block=name,
        model="bench",
        dimensions=made.vectors.shape[1],
        rows=count,
        keys=keys_text(np.arange(start, end, dtype=np.uint64)),
        first=from_micros(times[0]),
        last=from_micros(times[1]),
    )


async def _taken(made: Crowd, batches: list[Batch], blobs: MemoryBlobs) -> tuple[float, list[float]]:
    """Core seconds of a new shard for all batches, and from each one's arrival until its rows can be found."""
    with tempfile.TemporaryDirectory(prefix="bomnae-bench-") as folder:
        shard = SearchShard(Path(folder), Place(), blobs, lambda: SPAN)
        await shard.open()
        shard.ready = True
        waits, spent = [], 0.0
        for number, batch in enumerate(batches):
            arrived, began = time.perf_counter(), time.process_time()
            await shard.take("sighting", 0, batch)
            spent += time.process_time() - began
            waits.append(time.perf_counter() - arrived)
            if number >= CAMERAS:
                await _find(shard, made, (number - CAMERAS) * BATCH)
        shard.close()
    return spent, waits[CAMERAS:]


async def _find(shard: SearchShard, made: Crowd, row: int) -> None:
    """Raises where the newest rows are not found."""
    (reply,) = await shard.search([Question("bench", made.vectors[row : row + 1], EVERYTHING, {}, 1)])
    if not isinstance(reply, Reply) or not reply.found[0].sighting_id.endswith(f"{row:09}"):
        raise RuntimeError(f"row {row} is not found at once")


async def ingest(report: Report, rows: int, dimension: int, rounds: int) -> None:
    """Through a search shard: fetched and checked blocks, events, catalogue, codes, segments sealed to disk.

    Rows a second of the core over all of them, in the best round, and the waits of all rounds. Objects lie in memory.
    """
    made, blobs = crowd(rows, dimension, 1), MemoryBlobs()
    names = [f"camera-{number}" for number in range(CAMERAS)]
    where = facility.Position(lat=37.88, lon=127.73)
    facts = [CameraFacts(name_ko=name, name_en=name, position=where) for name in names]
    events: list[Event] = [
        CameraRegistered(at=from_micros(0), camera=name, facts=one) for name, one in zip(names, facts, strict=True)
    ]
    for number, start in enumerate(range(0, rows, BATCH)):
        events.append(_seen(made, start, min(rows, start + BATCH), names[number % CAMERAS], blobs))
    batches = [_batch(event, number) for number, event in enumerate(events)]
    told = [await _taken(made, batches, blobs) for _ in range(rounds)]
    waits = [wait for _, one in told for wait in one]
    report.key("ingest_rows_per_s", rows / min(spent for spent, _ in told), "rows/s of a core")
    report.add("searchable_after_p50_s", percentile(waits, 0.5), f"s, {BATCH:,} rows")
    report.add("searchable_after_worst_s", max(waits), "s, with the sealing of a segment")


FIRST_ANSWER = """
import sys, time
began = time.perf_counter()
import numpy as np
from pathlib import Path
from serve.search.index import Index
from serve.search.quantise import Model
index = Index.open(Model("bench", int(sys.argv[2])), Path(sys.argv[1]))
answer = index.search(np.load(sys.argv[3]), 10)
print(time.perf_counter() - began, answer.coverage.rows, len(answer.found[0]))
"""


def restart(report: Report, rows: int, dimension: int) -> None:
    """From the start of a process, imports included, to its first answer; the files not in the page cache."""
    part = min(rows, 500_000)
    made = crowd(part, dimension, 1)
    with tempfile.TemporaryDirectory() as folder:
        home, query = Path(folder, "index"), Path(folder, "query.npy")
        np.save(query, made.queries)
        index = Index.open(Model("bench", dimension), home)
        for number in range(rows // part):
            fill(index, made, f"part-{number}")
        index.seal()
        del index
        report.add("disk_bytes_per_row", sum(one.stat().st_size for one in home.rglob("*.*")) / rows, "bytes")
        for name, cold in (("restart_s", True), ("restart_warm_s", False)):
            if cold:
                _forget(home)
            tell = report.key if cold else report.add
            command = [sys.executable, "-c", FIRST_ANSWER, str(home), str(dimension), str(query)]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            if told[1:] != [str(rows), "10"]:
                raise RuntimeError(f"the first answer covers {told[1]} of {rows} rows")
            tell(name, float(told[0]), f"s, {rows:,} rows")


def _forget(folder: Path) -> None:
    """Ask the system to drop the files from its cache."""
    for path in folder.rglob("*.*"):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)
