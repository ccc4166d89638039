"""The sightings of one model, searchable as soon as they are appended. See the package's docstring for its use."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from serve.search import soft as evidence
from serve.search.index_search import Answer, Candidate, Effort, candidate, coverage, plan, search
from serve.search.plan import EVER, Filters, bind, floors_of
from serve.search.quantise import Model, encode_queries
from serve.search.recall import Asked, Gauge, Recall, adapted
from serve.search.segment import SEALED_ROWS, Mask, Segment
from serve.search.segment_digest import digest
from serve.search.segment_rows import Refused, Rows, Vocabularies, check, hashes
from serve.search.soft import Description
from serve.search.store import Rewritten, Store

EVERYTHING = Filters()
MERGED_ROWS = 16_384
"""Loose segments are not made larger than this: it would save their searches little, and sealing copies them again."""


class Appended(NamedTuple):
    """What became of a batch: rows added, rows whose sighting_id was there already, rows refused."""

    added: int
    repeated: int
    refused: tuple[Refused, ...]


class Erased(NamedTuple):
    """Rows gone, and the segments that held them."""

    rows: int
    segments: tuple[Rewritten, ...]


class Found(NamedTuple):
    """A stored sighting and its vector, for "more like this"."""

    sighting: Candidate
    vector: npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class State:
    """All that can be found, swapped as a whole. `loose` segments are small, in memory only, newest last.

    `receipts` say what erasures did, by their names, until they are forgotten.
    """

    sealed: tuple[Segment, ...] = ()
    loose: tuple[Segment, ...] = ()
    receipts: Mapping[str, tuple[Rewritten, ...]] = field(default_factory=dict)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Sealed and loose."""
        return self.sealed + self.loose


class Index:
    """Sightings of one model over immutable segments. Writers take a lock; searches take the state as it is."""

    def __init__(self, model: Model, store: Store | None = None) -> None:
        self.model, self.store, self.texts, self.effort = model, store, Vocabularies(), Effort()
        self.recall: Recall | None = None
        self._gauge = Gauge()
        self._lock, self._state = Lock(), State()
        if store:
            kept = store.open(self.texts)
            self._state = State(kept.segments, (), kept.receipts)

    @staticmethod
    def open(model: Model, folder: Path) -> "Index":
        """With sealed segments in `folder`, those that are there mapped. Raises `DamagedStoreError`.

        Loose rows of an earlier process are gone: append again what came since the last `seal`.
        """
        return Index(model, Store(folder, model))

    @property
    def state(self) -> State:
        """What is there now."""
        return self._state

    def __len__(self) -> int:
        return sum(len(segment) for segment in self._state.segments)

    def append(self, table: pa.Table | pa.RecordBatch) -> Appended:
        """Add the good rows of `sightings(model)` that are new; they can be found when this returns. Safe to repeat.

        Raises `pa.ArrowInvalid` or `KeyError` for a table that cannot be read at all. It takes longer each
        time that 65,536 rows are full, by the writing of a segment.
        """
        with self._lock:
            rows, refused = check(table, self.model, self.texts)
            new = np.flatnonzero(_first_of_each(rows.ids) & ~_known(rows.ids, self._state.segments))
            for at in range(0, len(new), SEALED_ROWS):
                chosen = new[at : at + SEALED_ROWS]
                self._add(rows.take(chosen[np.lexsort((rows.time[chosen], rows.camera[chosen]))]))
        return Appended(len(new), len(rows) - len(new), refused)

    def _add(self, rows: Rows) -> None:
        """Put them behind the loose ones, of which four of a size become one. Seal when there are enough rows."""
        loose = [*self._state.loose, Segment.of(rows)]
        while len(last := loose[-4:]) == 4 and _tier(last[0]) <= _tier(last[3]) and sum(map(len, last)) <= MERGED_ROWS:
            loose[-4:] = [_merged(last)]
        self._state = replace(self._state, loose=tuple(loose))
        if sum(map(len, loose)) >= SEALED_ROWS:
            self._seal()

    def seal(self) -> None:
        """Seal what is loose, whatever its size, and with it the newest sealed segments that are not much larger.

        So of the small ones each is more than twice as large as the next, or both together are a full one: they stay
        few, and a row is written a few times at most.
        """
        with self._lock:
            self._seal()

    def _seal(self) -> None:
        state = self._state
        if not state.loose:
            return
        kept, parts, rows = list(state.sealed), list(state.loose), sum(map(len, state.loose))
        while kept and len(kept[-1]) <= 2 * rows and len(kept[-1]) + rows <= SEALED_ROWS:
            rows += len(kept[-1])
            parts.insert(0, kept.pop())
        whole = _merged(parts)
        stored = self.store.write(whole, self.texts) if self.store else whole
        self._become(replace(state, sealed=(*kept, stored), loose=()))

    def _become(self, state: State) -> None:
        if self.store:
            self.store.commit(state.sealed, state.receipts)
        self._state = state

    def search(
        self,
        queries: npt.ArrayLike,
        k: int = 10,
        filters: Filters = EVERYTHING,
        soft: Description | None = None,
        exact: bool = False,
    ) -> Answer:
        """The k best of every query `[n, d]` among all permitted rows. Raises `BadQueryError`.

        With `exact`, and always with `soft`, the answer is proved to be the one of a brute force over the half floats.
        """
        answer = self._search(queries, k, filters, soft, None if exact else self.effort)
        # Where bits are not trusted what they would have found is measured all the same, or they never were again.
        if not answer.coverage.exact or not (exact or soft or self.effort.trusted):
            self._gauge.saw(Asked(np.atleast_2d(np.asarray(queries, np.float32))[0], k, filters))
        return answer

    def _search(
        self, queries: npt.ArrayLike, k: int, filters: Filters, soft: Description | None, effort: Effort | None
    ) -> Answer:
        state = self._state  # before the texts: whatever these segments name is among them
        given = encode_queries(queries, self.model)
        bonus = evidence.bind(soft, self.texts)
        exact = effort is None or bool(bonus.tables)
        parts = plan(state.segments, bind(filters, self.texts), exact, effort or Effort())
        found = search(parts, given, k, bonus, self.texts, (effort or Effort()).width)
        return Answer(found, coverage(parts, None if self.recall is None else self.recall.mean))

    def measure(self) -> Recall | None:
        """Ask some of the latest quantised searches again, exactly too, and adapt `effort` to the recall.

        None where none was kept. Takes two searches each, of at most 32: call it now and then, off the event loop.
        """
        bits = Effort(self.effort.width)  # trusted or not: how well they do is the question
        recall = self._gauge.measure(lambda asked, effort: self._search(*asked, None, effort), bits)
        if recall is not None:
            self.recall, self.effort = recall, adapted(self.effort, recall)
        return recall

    def find(self, sighting_id: str) -> Found | None:
        """A sighting by its id, with its vector; None where it is not there."""
        ids = pa.array([sighting_id])
        keys = hashes(ids)
        for segment in self._state.segments:
            row = int(segment.rows_of(ids, keys)[0])
            if row >= 0:
                return Found(candidate(segment, row, 1.0, 1.0, self.texts), segment.rows.vectors.half[row].copy())
        return None

    def erase(
        self,
        ids: Iterable[str] | None = None,
        cameras: Iterable[str] | None = None,
        start: int = -EVER,
        end: int = EVER,
        receipt: str = "",
    ) -> Erased:
        """Rewrite every segment that holds one of these ids, or a row of these cameras with `start` ≤ time < `end`.

        On return no file of the store holds them; a search that began before may still read the old segments. Repeating
        it erases nothing. An id that was erased can be appended again: whoever replays the log leaves it out.
        With the name of a `receipt` what was done is kept under it, on disk by the very step that rows are gone with.
        """
        with self._lock:
            named = pa.array(sorted(set(ids or ())), pa.string())
            keys = hashes(named)
            chosen = self.texts.camera.chosen(cameras or ())

            def doomed(segment: Segment) -> Mask:
                rows = segment.rows
                flags = chosen[rows.camera] & (rows.time >= start) & (rows.time < end)
                found = segment.rows_of(named, keys)
                flags[found[found >= 0]] = True
                return flags

            return self._rewrite(doomed, receipt)

    def receipt(self, name: str) -> tuple[Rewritten, ...]:
        """What erasures of this name did, also in an earlier process; empty where they found nothing."""
        return self._state.receipts.get(name, ())

    def forget(self, name: str) -> None:
        """Throw a receipt away."""
        with self._lock:
            receipts = {one: done for one, done in self._state.receipts.items() if one != name}
            if len(receipts) < len(self._state.receipts):
                self._become(replace(self._state, receipts=receipts))

    def drop(self, before: Mapping[str, int]) -> Erased:
        """Remove the rows of cameras that are older than a moment of their own, in one pass over all segments."""
        with self._lock:
            floors = floors_of(before, self.texts)
            return self._rewrite(lambda segment: segment.rows.time < floors[segment.rows.camera], "")

    def _rewrite(self, doomed: Callable[[Segment], Mask], receipt: str) -> Erased:
        state, done = self._state, list[Rewritten]()
        kept: dict[bool, list[Segment]] = {True: [], False: []}
        for segment, sealed in [*((one, True) for one in state.sealed), *((one, False) for one in state.loose)]:
            flags = doomed(segment)
            lost = int(np.count_nonzero(flags))
            if not lost:
                kept[sealed].append(segment)
                continue
            before, after = digest(segment, self.texts), ""
            if lost < len(segment):
                rest = Segment.of(segment.rows.take(np.flatnonzero(~flags)))
                after = digest(rest, self.texts)
                kept[sealed].append(self.store.write(rest, self.texts) if sealed and self.store else rest)
            done.append(Rewritten(before, after, lost))
        if done:
            receipts = {**state.receipts, receipt: (*self.receipt(receipt), *done)} if receipt else state.receipts
            self._become(State(tuple(kept[True]), tuple(kept[False]), receipts))
        return Erased(sum(one.rows for one in done), tuple(done))

    def digest(self) -> str:
        """Of the content of all segments, in their order. Changes with sealing and merging too."""
        every = [digest(segment, self.texts) for segment in self._state.segments]
        return hashlib.sha256("\n".join(every).encode()).hexdigest()

    def verify(self) -> None:
        """Read everything on disk, codes included, and compare it with the digests of what was written.

        Raises `DamagedStoreError`. Takes seconds per million rows; searches and writers may go on.
        """
        if self.store:
            self.store.verify(self._state.sealed)


def _merged(segments: Sequence[Segment]) -> Segment:
    return segments[0] if len(segments) == 1 else Segment.of(Rows.join([segment.rows for segment in segments]))


def _tier(segment: Segment) -> int:
    return len(segment).bit_length() // 2


def _known(ids: pa.Array, segments: Sequence[Segment]) -> Mask:
    known, keys = np.zeros(len(ids), np.bool_), hashes(ids)
    if not len(ids):
        return known
    order = np.argsort(keys)  # neighbours in memory are found faster
    ids, keys = ids.take(pa.array(order)), keys[order]
    for segment in segments:
        known[order[segment.rows_of(ids, keys) >= 0]] = True
    return known


def _first_of_each(ids: pa.Array) -> Mask:
    coded = ids.dictionary_encode()
    first = np.zeros(len(ids), np.bool_)
    first[np.unique(coded.indices.to_numpy(), return_index=True)[1]] = True
    return first
