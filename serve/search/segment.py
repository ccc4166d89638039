"""An immutable run of sightings, sorted by camera and time, and the scans over it.

Everything that an index holds is a `Segment`: the small ones that appends make, which are merged into larger ones, and
the sealed ones of about 65,536 rows, whose arrays lie in memory-mapped files. Camera first: then a camera filter
is a few runs instead of scattered rows.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from serve.search.quantise import Bytes, Encoded, Floats
from serve.search.segment_rows import Rows, hashes

SEALED_ROWS = 65_536
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def codes_index(dimension: int) -> Any:
    """An empty faiss index for int8 codes."""
    index = faiss.IndexScalarQuantizer(
        dimension, faiss.ScalarQuantizer.QT_8bit_direct_signed, faiss.METRIC_INNER_PRODUCT
    )
    index.is_trained = True
    return index


def mapped(index: Any, vector: Any, width: int) -> Bytes:
    """The codes inside a faiss index as an array, not copied: valid as long as the index lives."""
    if not index.ntotal:
        return np.empty((0, width), np.uint8)
    return np.asarray(faiss.rev_swig_ptr(vector.data(), index.ntotal * width)).reshape(-1, width)


@dataclass(frozen=True, eq=False)
class Segment:
    """Rows sorted by camera and time, with the indexes that scan their codes.

    `rows.vectors.codes` and `.bits` are views of what `by_code` and `by_bit` hold. `name` is its folder's, if any.
    """

    rows: Rows
    by_code: Any
    by_bit: Any
    name: str = ""

    @staticmethod
    def of(rows: Rows, name: str = "") -> "Segment":
        """Build it from rows that are in order, as those of `Rows.join`."""
        half, codes, bits, error = rows.vectors
        by_code, by_bit = codes_index(codes.shape[1]), faiss.IndexBinaryFlat(bits.shape[1] * 8)
        by_code.add_sa_codes(np.ascontiguousarray(codes))
        by_bit.add(np.ascontiguousarray(bits))
        return Segment.over(rows, half, by_code, by_bit, error, name)

    @staticmethod
    def over(
        rows: Rows, half: npt.NDArray[np.float16], by_code: Any, by_bit: Any, error: float, name: str
    ) -> "Segment":
        """Of indexes that are there already; `rows.vectors` is replaced by views into them."""
        by_bit.use_heap = False  # counting: faster for the hundreds of neighbours that are asked for
        codes, bits = mapped(by_code, by_code.codes, by_code.d), mapped(by_bit, by_bit.xb, by_bit.d // 8)
        vectors = Encoded(half, codes, bits, error)
        return Segment(
            Rows(rows.ids, rows.camera, rows.time, rows.quality, rows.attributes, vectors), by_code, by_bit, name
        )

    def __len__(self) -> int:
        return self._count

    @cached_property
    def _count(self) -> int:
        return len(self.rows)  # of a mapped array it takes microseconds, and every search asks every segment

    @cached_property
    def first(self) -> int:
        """Earliest time."""
        return int(self.rows.time.min())

    @cached_property
    def last(self) -> int:
        """Latest time."""
        return int(self.rows.time.max())

    @cached_property
    def lowest_quality(self) -> float:
        """Lowest quality."""
        return float(self.rows.quality.min())

    @cached_property
    def starts(self) -> Ints:
        """Where the run of each camera begins, and the number of rows at the end."""
        return np.concatenate([[0], np.flatnonzero(np.diff(self.rows.camera)) + 1, [len(self)]]).astype(np.int64)

    @cached_property
    def run_lengths(self) -> Ints:
        """The rows of each run."""
        return np.diff(self.starts)

    @cached_property
    def run_cameras(self) -> npt.NDArray[np.int32]:
        """The camera of each run."""
        return self.rows.camera[self.starts[:-1]]

    @cached_property
    def run_firsts(self) -> Ints:
        """The earliest time of each run."""
        return self.rows.time[self.starts[:-1]]

    @cached_property
    def run_lasts(self) -> Ints:
        """The latest time of each run."""
        return self.rows.time[self.starts[1:] - 1]

    @cached_property
    def _by_hash(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.intp]]:
        keys = hashes(self.rows.ids)
        order = np.argsort(keys, kind="stable")
        return keys[order], order

    def rows_of(self, ids: pa.Array, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.intp]:
        """For each id (with its hash) the row that holds it, or -1."""
        known, order = self._by_hash
        at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        found = np.full(len(keys), -1, np.intp)
        hits = np.flatnonzero(known[at] == keys)
        if len(hits):
            rows = order[at[hits]]
            same = np.asarray(pa.compute.equal(ids.take(pa.array(hits)), self.rows.ids.take(pa.array(rows))))
            found[hits[same]] = rows[same]
        return found

    def near_bits(self, bits: Bytes, k: int) -> tuple[npt.NDArray[np.int32], Ints]:
        """The k rows with the fewest differing bits, nearest first: distances and rows [n, ≤ k]."""
        distances, rows = self.by_bit.search(bits, min(k, len(self)))
        return distances, rows

    def near_codes(self, whole: Floats, k: int, mask: Mask | None) -> tuple[Floats, Ints]:
        """The k permitted rows with the largest inner products of int8 codes and queries of whole numbers.

        -1 for want of rows.
        """
        scores, rows = self.by_code.search(whole, min(k, len(self)), params=_selector(mask))
        return scores, rows

    def code_scores(self, rotated: Floats, rows: Any) -> Floats:
        """Inner products of queries [n, d] with the codes of some rows, a slice or numbers: [n, rows]."""
        codes = self.rows.vectors.codes[rows].astype(np.float32)
        scores: Floats = rotated @ codes.T
        scores -= 128 * rotated.sum(axis=1, keepdims=True)
        return scores


def _selector(mask: Mask | None) -> Any:
    if mask is None:
        return None
    # The stubs name the C++ constructors, not the ones that faiss puts over them.
    bitmap = faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))  # type: ignore[call-arg, arg-type]
    return faiss.SearchParameters(sel=bitmap)  # type: ignore[call-arg]
