"""What a search shard holds, and what each event does to it. Called by one thread at a time, but for reading."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from schemas.base import Event, micros
from schemas.sighting import (
    BlocksExpired,
    BlocksLost,
    CameraFacts,
    CameraRegistered,
    CameraRestored,
    CameraSilent,
    ErasureRequested,
    SegmentErased,
    SightingsErased,
    SightingsObserved,
)
from serve.search.blocks import without
from serve.search.cameras import Camera, Silence, Span
from serve.search.catalogue import MISSING, OPEN, SEALED, Block, Catalogue
from serve.search.pools import Pool, Pools
from serve.search.store import DamagedStoreError, reading
from serve.search.watching import Watching

logger = logging.getLogger(__name__)

ERASE, DELETE, HITS = "erase", "delete", "hits"
"""Tasks: rewrite the blocks of an erasure and file its receipt; delete an expired block; tell a watch its hits."""

MOST_OPEN = 1024
"""Blocks whose rows are in memory alone, of all indexes together: a restart fetches them one by one."""
_NAME = 80
"""Longest name of a segment in a receipt: of two long names the end is cut off."""


class Holdings:
    """Rows, cameras, blocks, erasures. `dutiful` says of which log partitions the tasks are this shard's own."""

    def __init__(self, folder: Path, name: str, watching: Watching, dutiful: Callable[[str, int], bool]) -> None:
        """Open what is in the folder. Raises `DamagedStoreError`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.name, self._dutiful, self.watching = name, dutiful, watching
        self._waiting: dict[Pool, list[tuple[Block, pa.Table]]] = {}
        self.catalogue = Catalogue(folder / "catalogue.sqlite")
        try:
            with reading(folder):
                self.pools = Pools(folder / "rows")
                self._check(folder / "rows")
                self.cameras: Mapping[str, Camera] = self._known_cameras()
                self.missing: tuple[Block, ...] = tuple(self.catalogue.blocks("state = ?", MISSING))
        except BaseException:
            self.catalogue.close()
            raise

    def _check(self, folder: Path) -> None:
        known = self.catalogue.ask(
            "SELECT DISTINCT model, dimensions, camera_group FROM blocks WHERE state = ?", SEALED
        )
        if lost := {Pool(*pool) for pool in known} - self.pools.indexes.keys():
            raise DamagedStoreError(str(folder), f"{len(lost)} indexes are not there, one of {min(lost).model}")

    def _known_cameras(self) -> dict[str, Camera]:
        silences: dict[str, list[Silence]] = {}
        for camera, since, until in self.catalogue.ask("SELECT camera, since, until FROM silences ORDER BY since"):
            silences.setdefault(camera, []).append(Silence(since, until))
        erased: dict[str, list[Span]] = {}
        for camera, event in self.catalogue.ask("SELECT camera, event FROM erasures ORDER BY sequence"):
            erased.setdefault(camera, []).extend(_span(ErasureRequested.model_validate_json(event)))
        return {
            camera: Camera(
                CameraFacts.model_validate_json(facts),
                tuple(silences.get(camera, ())),
                since,
                tuple(erased.get(camera, ())),
            )
            for camera, facts, since in self.catalogue.ask("SELECT camera, facts, since FROM cameras")
        }

    def evolve(self, event: Event, shard: int, sequence: int, tables: Mapping[str, pa.Table]) -> None:
        """Do what a sighting event says; `tables` are the blocks that could be fetched. Safe to repeat."""
        if not isinstance(event, SightingsObserved):
            self.settle()
        match event:
            case CameraRegistered():
                known = self.cameras.get(event.camera, Camera(event.facts, since=micros(event.at)))
                self._know(event.camera, replace(known, facts=event.facts))
            case SightingsObserved():
                self._observed(event, shard, sequence, tables.get(event.block))
            case ErasureRequested():
                self._requested(event, shard, sequence)
            case SightingsErased():
                self._erased(event, shard)
            case BlocksLost():
                self._gone(event.blocks, shard)
            case BlocksExpired():
                self._expired(event, shard)
            case CameraSilent():
                self._silence(event.camera, self.cameras[event.camera].silent(micros(event.since)))
            case CameraRestored():
                self._silence(event.camera, self.cameras[event.camera].restored(micros(event.at)))

    def _know(self, camera: str, known: Camera) -> None:
        # Replaced, not changed: searches in other threads go over the one that they saw.
        self.cameras = {**self.cameras, camera: known}
        facts = known.facts.model_dump_json()
        self.catalogue.do("INSERT OR REPLACE INTO cameras VALUES (?, ?, ?)", camera, facts, known.since)

    def _silence(self, camera: str, known: Camera) -> None:
        self.catalogue.do("DELETE FROM silences WHERE camera = ?", camera)
        for one in known.silences:
            self.catalogue.do("INSERT INTO silences VALUES (?, ?, ?)", camera, one.since, one.until)
        self._know(camera, known)

    def _observed(self, event: SightingsObserved, shard: int, sequence: int, table: pa.Table | None) -> None:
        if self.catalogue.ask("SELECT 1 FROM blocks WHERE block = ? AND state <> ?", event.block, MISSING):
            return
        camera = self.cameras[event.camera]
        if micros(event.first) < camera.since:
            self._know(event.camera, replace(camera, since=micros(event.first)))
        group = camera.facts.group
        span = micros(event.first), micros(event.last), event.rows, micros(event.at)
        block = Block(event.block, event.camera, event.model, event.dimensions, group, shard, *span, sequence, MISSING)
        self.catalogue.put_block(block)
        if table is None:
            self.missing = (*(one for one in self.missing if one.block != block.block), block)
        else:
            self.add(block, table)

    def add(self, block: Block, table: pa.Table) -> None:
        """Take the rows of a block that no erasure is about; searchable after `settle`."""
        table = self.left_of(block, table)
        self.missing = tuple(one for one in self.missing if one.block != block.block)
        pool = Pool(block.model, block.dimensions, block.camera_group)
        self._waiting.setdefault(pool, []).append((block, table))

    def settle(self, matching: bool = True) -> None:
        """Have all rows that were added searchable: one append for each index, however many blocks there were."""
        waiting, self._waiting = self._waiting, {}
        for pool, parts in waiting.items():
            whole = pa.concat_tables([table for _, table in parts])
            told = self.pools.append(pool, whole)
            for refused in told.refused:
                logger.warning("%s: a row of a block is refused: %s", self.name, refused.reason)
            self.catalogue.mark(OPEN, [block.block for block, _ in parts])
            if self.pools.all_sealed(pool):
                self.catalogue.do(
                    "UPDATE blocks SET state = ? WHERE state = ? AND model = ? AND dimensions = ? AND camera_group = ?",
                    *(SEALED, OPEN, *pool),
                )
            for block, table in parts if matching else ():
                if not self._dutiful("sighting", block.shard):
                    continue
                for hit in self.watching.match(pool.model, pool.dimensions, table, block.observed):
                    self.catalogue.add_task(HITS, hit.key, hit.to_dict())
        if waiting:
            self._seal()

    def _seal(self) -> None:
        """Put on disk what is in memory alone, where a restart had to fetch too many blocks for it."""
        ((count,),) = self.catalogue.ask("SELECT count(*) FROM blocks WHERE state = ?", OPEN)
        if count > MOST_OPEN:
            for index in self.pools.indexes.values():
                index.seal()
            self.catalogue.do("UPDATE blocks SET state = ? WHERE state = ?", SEALED, OPEN)

    def left_of(self, block: Block, table: pa.Table) -> pa.Table:
        """A block without the rows that an erasure is about, completed or not.

        What comes late into the window of an erasure is erased with the rest, as long as that is not completed. A block
        that was not there while an erasure was done may come back as it was; none can hold what was erased before it.
        """
        found = self.catalogue.ask(
            "SELECT event FROM erasures WHERE camera = ? AND (NOT done OR sequence >= ?)", block.camera, block.sequence
        )
        for (event,) in found:
            table = without(table, ErasureRequested.model_validate_json(event))
        return table

    def pending(self, camera: str) -> list[ErasureRequested]:
        """The erasures of a camera that are asked for and not completed."""
        found = self.catalogue.ask("SELECT event FROM erasures WHERE camera = ? AND NOT done ORDER BY sequence", camera)
        return [ErasureRequested.model_validate_json(event) for (event,) in found]

    def pending_all(self) -> list[ErasureRequested]:
        """The erasures of all cameras that are not completed, in the order of their logs."""
        found = self.catalogue.ask("SELECT event FROM erasures WHERE NOT done ORDER BY shard, sequence")
        return [ErasureRequested.model_validate_json(event) for (event,) in found]

    def _requested(self, event: ErasureRequested, shard: int, sequence: int) -> None:
        self.catalogue.do(
            "INSERT OR REPLACE INTO erasures VALUES (?, ?, ?, ?, ?, 0)",
            *(event.camera, event.erasure, shard, sequence, event.model_dump_json()),
        )
        known = self.cameras[event.camera]
        self._know(event.camera, replace(known, erased=tuple(dict.fromkeys((*known.erased, *_span(event))))))
        self.pools.erase(event)
        if self._dutiful("sighting", shard):
            self.catalogue.add_task(ERASE, f"{event.camera}/{event.erasure}", {"shard": shard, "sequence": sequence})

    def receipts(self, camera: str, erasure: str) -> list[SegmentErased]:
        """What an erasure did to this shard's segments, until its receipt is in the log."""
        return [
            SegmentErased(shard=self.name, segment="/".join(map(str, pool))[:_NAME], **one._asdict())
            for pool, one in self.pools.receipts(camera, erasure)
        ]

    def _erased(self, event: SightingsErased, shard: int) -> None:
        # Once more, though whoever erased them has deleted them: a shard of another layout may have put one back.
        self._delete([one.before for one in event.blocks if one.before != one.after], shard)
        for one in event.blocks:
            for block in self.catalogue.blocks("block = ?", one.before):
                self.catalogue.forget_block(one.before)
                if one.after:
                    self.catalogue.put_block(replace(block, block=one.after, rows=one.left))
        self.missing = tuple(self.catalogue.blocks("state = ?", MISSING))
        if not event.last:
            return
        for asked in self.pending(event.camera):
            if asked.erasure == event.erasure:
                # Sightings of its window that came after it was asked for.
                self.pools.erase(asked)
        self.pools.forget(event.camera, event.erasure)
        self.catalogue.do("UPDATE erasures SET done = 1 WHERE camera = ? AND erasure = ?", event.camera, event.erasure)
        self.catalogue.done(ERASE, f"{event.camera}/{event.erasure}")

    def _expired(self, event: BlocksExpired, shard: int) -> None:
        self._gone(event.blocks, shard)
        before = micros(event.at) - self.cameras[event.camera].retention_us
        self.catalogue.do("INSERT OR REPLACE INTO cuts VALUES (?, ?)", event.camera, before)

    def _gone(self, blocks: Sequence[str], shard: int) -> None:
        for block in blocks:
            self.catalogue.forget_block(block)
        self.missing = tuple(self.catalogue.blocks("state = ?", MISSING))
        self._delete(blocks, shard)

    def _delete(self, blocks: Sequence[str], shard: int) -> None:
        for block in blocks if self._dutiful("sighting", shard) else ():
            self.catalogue.add_task(DELETE, block, {})

    def trim(self) -> int:
        """Remove from the segments what has expired since the last time; how many rows."""
        cuts = dict(self.catalogue.ask("SELECT camera, before FROM cuts"))
        if not cuts:
            return 0
        gone = self.pools.drop(cuts)
        for camera, before in cuts.items():
            self.catalogue.do("DELETE FROM cuts WHERE camera = ? AND before = ?", camera, before)
        return gone

    def close(self) -> None:
        """Close the files."""
        self.catalogue.close()


def _span(asked: ErasureRequested) -> list[Span]:
    return [] if asked.window is None else [(micros(asked.window.start), micros(asked.window.end))]
