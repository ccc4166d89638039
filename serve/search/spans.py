"""A scan over a few runs of rows, as those of a few cameras are, without a look at any other row."""

import threading
from typing import Any, Literal

import faiss
import numpy as np
import numpy.typing as npt

from serve.search.quantise import Bytes, Floats

SHORT = 32_768
"""Bytes of a run, on average, below which copying the runs together costs less than a call of faiss for each."""


Form = Literal["int8", "half"]
_FORMS: dict[Form, tuple[int, int]] = {
    "int8": (faiss.ScalarQuantizer.QT_8bit_direct_signed, 1),
    "half": (faiss.ScalarQuantizer.QT_fp16, 2),
}
"""How faiss names a form of a vector's components, and the bytes of one."""


class _Scanners(threading.local):
    """faiss's scanners by form and dimension, for one thread each: they hold the query that is asked."""

    def __init__(self) -> None:
        self._made: dict[tuple[Form, int], tuple[Any, Any]] = {}

    def of(self, form: Form, dimension: int) -> Any:
        """Made once and kept: faiss hands them out without an owner, and nobody frees them."""
        if (form, dimension) not in self._made:
            codes: Any = faiss.ScalarQuantizer(dimension, _FORMS[form][0])
            scanner = codes.select_InvertedListScanner(faiss.METRIC_INNER_PRODUCT, None, True, None)
            self._made[form, dimension] = codes, scanner
        return self._made[form, dimension][1]


_scanners = _Scanners()


def near_in_spans(
    codes: Bytes, queries: Floats, k: int, spans: npt.NDArray[np.int64], form: Form = "int8"
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The k rows of runs [start, end) with the largest inner products of codes and queries.

    `codes` are bytes: int8 ones with 128 added, for queries of whole numbers, or those of half floats.

    Scores and rows [n, ≤ k], in no order; fewer than k where the runs have fewer rows.
    """
    lengths = spans[:, 1] - spans[:, 0]
    count = int(lengths.sum())
    if len(spans) > 1 and count * codes.shape[1] < SHORT * len(spans):
        gathered = np.concatenate([codes[start:end] for start, end in spans.tolist()])
        scores, places = near_in_spans(gathered, queries, k, np.array([[0, count]]), form)
        return scores, places + np.repeat(spans[:, 0] - (np.cumsum(lengths) - lengths), lengths)[places]
    scanner = _scanners.of(form, codes.shape[1] // _FORMS[form][1])
    k = min(k, count)
    scores, places = np.full((len(queries), k), -np.inf, np.float32), np.zeros((len(queries), k), np.int64)
    runs = [(start, end - start, faiss.swig_ptr(codes[start:end])) for start, end in spans.tolist()]
    for query, best, where in zip(np.ascontiguousarray(queries, np.float32), scores, places, strict=True):
        scanner.set_query(faiss.swig_ptr(query))
        heap = faiss.swig_ptr(best), faiss.swig_ptr(where)
        for start, length, first in runs:
            scanner.set_list(start, 0.0)  # comes back in the upper half of each place
            scanner.scan_codes(length, first, None, *heap, k)
    return scores, (places >> 32) + (places & 0xFFFFFFFF)
