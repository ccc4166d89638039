"""Adds the golden files that are missing: `python -m tests.golden.record`. Changes none that is there."""

import asyncio
from pathlib import Path

import orjson

from actors.commit import Asked
from actors.host import CONTEXTS
from actors.shard import Shard
from schemas.base import Command, micros
from streams.blobs import MemoryBlobs
from streams.ingest import Observed
from streams.memory import MemoryIngest, MemoryStore
from streams.snapshots import Snapshots
from tests.golden import files
from tests.golden.clock import START, Step
from tests.golden.story import LATER, STORIES
from tests.unit.shard.harness import Sinks, settle


async def record(name: str, steps: list[Step], stem: Path) -> None:
    """Tell the story to a real shard, with a takeover in the middle, and write down what it stored."""
    now = micros(START)
    messages: list[Observed] = []
    store, blobs = MemoryStore(f"LOG_{name.upper()}_0", lambda: now), MemoryBlobs()
    snapshots, sinks = Snapshots(blobs, name, 0), Sinks()

    async def owner() -> Shard[object]:
        shard: Shard[object] = Shard(
            CONTEXTS[name](), 0, store, MemoryIngest(messages), snapshots, sinks, lambda: now, snapshot_every=10**15
        )
        await shard.start()
        return shard

    shard = await owner()
    for number, (seconds, what) in enumerate(steps):
        now = micros(START) + int(seconds * 1e6)
        if number == len(steps) // 2:
            await shard.saving.save(shard.state)
            shard = await owner()
        if isinstance(what, Command):
            asked = Asked(what, f"key-{number}#0", f"digest-{number}", micros(what.at))
            shard.submit(asked)
            await settle(shard)
            asked.done.result()
        else:
            messages += [what] if what is not None else []
            await settle(shard)
    if sinks.rejected:
        raise SystemExit(f"input was refused: {sinks.rejected}")
    (info,) = await snapshots.index()
    stem.with_suffix(".log.jsonl").write_bytes(files.log_lines(store.records))
    # What is erased once it is committed is not there when the log is read again.
    kept = [] if CONTEXTS[name]().observed else messages
    stem.with_suffix(".ingest.jsonl").write_bytes(files.ingest_lines(kept))
    stem.with_suffix(".index.json").write_bytes(orjson.dumps(info, option=orjson.OPT_APPEND_NEWLINE))
    stem.with_suffix(".snapshot.arrow").write_bytes(await blobs.get(f"{name}/0/{info.sequence}.arrow") or b"")


def main() -> None:
    """Record what has no file yet."""
    stems = {f"{name}-{CONTEXTS[name]().fold_version}": (name, story) for name, story in STORIES.items()}
    for stem, (name, story) in (stems | LATER).items():
        if not (files.HERE / f"{stem}.log.jsonl").exists():
            asyncio.run(record(name, story(), files.HERE / stem))
    known = {**files.shapes(), **files.read_shapes()}
    (files.HERE / "shapes.json").write_bytes(files.shapes_text(known))


if __name__ == "__main__":
    main()
