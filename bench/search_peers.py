"""Who does the same search: each peer finds the ten best row numbers for one query under one filter."""

import contextlib
import time
from collections.abc import Callable
from typing import Any, Protocol

import faiss
import hnswlib
import numpy as np
import numpy.typing as npt

from bench.search_data import Case, Crowd, camera_name
from serve.search.index import Index
from serve.search.plan import EVER, Filters
from serve.search.segment import SEALED_ROWS

K = 10
Rows = npt.NDArray[np.int64]
Find = Callable[[npt.NDArray[np.float32]], Any]


class Peer(Protocol):
    """`ready` does what can be done before the query comes: selectors for the others, nothing for our own index."""

    def ready(self, made: Crowd, case: Case) -> Find:
        """How to search under this filter."""
        ...

    def rows(self, told: Any) -> Rows:
        """The row numbers of what a search told; no part of the search."""
        rows: Rows = told
        return rows


class Ours(Peer):
    """The index of the project. Its row numbers stand in the ids."""

    def __init__(self, index: Index, exact: bool = False) -> None:
        self.index, self.exact = index, exact
        self.last: Any = None

    def ready(self, made: Crowd, case: Case) -> Find:
        """Filters as a caller gives them; looking them up is part of the search."""
        cameras = frozenset(map(camera_name, case.cameras)) if case.masked else None
        filters = Filters(start=case.start if case.window < 1 else -EVER, cameras=cameras)

        def find(query: npt.NDArray[np.float32]) -> Any:
            self.last = self.index.search(query, K, filters, exact=self.exact)
            return self.last

        return find

    def rows(self, told: Any) -> Rows:
        """See `Peer`."""
        return np.array([int(one.sighting_id.rpartition("-")[2]) for one in told.found[0]])


def selector(made: Crowd, case: Case) -> Any:
    """The filter as faiss takes it, or None."""
    if case.masked:
        # The stubs name the C++ constructors, here and below, not the ones that faiss puts over them.
        bitmap = np.packbits(case.flags(made), bitorder="little")
        return faiss.IDSelectorBitmap(bitmap)  # type: ignore[call-arg, arg-type]
    return faiss.IDSelectorRange(case.first(made), len(made.vectors)) if case.window < 1 else None


class Flat(Peer):
    """faiss `IndexFlatIP`: exact, float32."""

    def __init__(self, made: Crowd) -> None:
        self.index = faiss.IndexFlatIP(made.vectors.shape[1])
        self.index.add(made.vectors)

    def ready(self, made: Crowd, case: Case) -> Find:
        """With the selector."""
        chosen = selector(made, case)
        params = faiss.SearchParameters(sel=chosen) if chosen else None  # type: ignore[call-arg]
        return lambda query: self.index.search(query[None], K, params=params)[1][0]


class FlatByNumbers(Flat):
    """The same with the permitted row numbers as a list, which faiss visits alone: the best for few rows once known."""

    def ready(self, made: Crowd, case: Case) -> Find:
        """With the list."""
        permitted: Any = np.flatnonzero(case.flags(made))
        params = faiss.SearchParameters(sel=faiss.IDSelectorArray(permitted))  # type: ignore[call-arg]
        return lambda query: self.index.search(query[None], K, params=params)[1][0]


class NumPy(Peer):
    """One matrix product over the window, then what the mask leaves."""

    def __init__(self, made: Crowd) -> None:
        self.vectors = made.vectors

    def ready(self, made: Crowd, case: Case) -> Find:
        """Few rows are gathered before the product."""
        first = case.first(made)
        kept = np.flatnonzero(case.flags(made)) if case.masked else None

        def find(query: npt.NDArray[np.float32]) -> Rows:
            if kept is not None and case.share < 0.2:
                return kept[_best(self.vectors[kept] @ query)]
            scores = self.vectors[first:] @ query
            if kept is None:
                return first + _best(scores)
            return kept[_best(scores[kept - first])]

        return find


def _best(scores: npt.NDArray[np.float32]) -> Rows:
    chosen = np.argpartition(-scores, K - 1)[:K] if len(scores) > K else np.arange(len(scores))
    return chosen[np.argsort(-scores[chosen])]


class Inverted(Peer):
    """faiss IVF over float32, 1,024 lists; `effort` lists are looked at."""

    efforts = (8, 32, 128, 1024)

    def __init__(self, made: Crowd) -> None:
        dimension, lists = made.vectors.shape[1], max(1, min(1024, len(made.vectors) // 200))
        self.coarse = faiss.IndexFlatIP(dimension)
        self.index = faiss.IndexIVFFlat(self.coarse, dimension, lists, faiss.METRIC_INNER_PRODUCT)
        self.index.cp.niter = 5
        self.index.train(made.vectors[:: max(1, len(made.vectors) // (40 * lists))])
        self.index.add(made.vectors)
        self.effort = self.efforts[0]

    def ready(self, made: Crowd, case: Case) -> Find:
        """With the selector."""
        options: dict[str, Any] = {"sel": selector(made, case), "nprobe": min(self.effort, self.index.nlist)}
        params = faiss.SearchParametersIVF(**options)
        return lambda query: self.index.search(query[None], K, params=params)[1][0]


class Rabit(Peer):
    """faiss `IndexRaBitQFastScan` over segments, `effort` candidates of each ranked again by float32; no filter."""

    efforts = (50, 200)

    def __init__(self, made: Crowd) -> None:
        self.vectors, self.effort, self.parts = made.vectors, self.efforts[0], list[Any]()
        for at in range(0, len(made.vectors), SEALED_ROWS):
            part = faiss.IndexRaBitQFastScan(made.vectors.shape[1], faiss.METRIC_INNER_PRODUCT)
            part.train(made.vectors[at : at + SEALED_ROWS])
            part.add(made.vectors[at : at + SEALED_ROWS])
            self.parts.append(part)

    def ready(self, made: Crowd, case: Case) -> Find:
        """Raises `ValueError` for a filter: it takes none."""
        if case.masked or case.window < 1:
            raise ValueError("RaBitQ's fast scan takes no selector")

        def find(query: npt.NDArray[np.float32]) -> Rows:
            near = [part.search(query[None], self.effort)[1][0] for part in self.parts]
            rows = np.concatenate([at * SEALED_ROWS + one[one >= 0] for at, one in enumerate(near)])
            return rows[_best(self.vectors[rows] @ query)]

        return find


class Graph(Peer):
    """hnswlib, M 16, built with ef 100; its filter is a Python function that it calls for each row it meets."""

    efforts = (16, 64, 256, 1024)

    def __init__(self, made: Crowd) -> None:
        self.index = hnswlib.Index(space="ip", dim=made.vectors.shape[1])
        self.index.init_index(max_elements=len(made.vectors), M=16, ef_construction=100)
        self.index.add_items(made.vectors, num_threads=2)
        self.index.set_num_threads(1)
        self.effort, self.calls = self.efforts[0], 0

    def ready(self, made: Crowd, case: Case) -> Find:
        """With the function, which is as quick as Python has it: the look-up in a list."""
        self.index.set_ef(self.effort)
        permitted = case.flags(made).tolist().__getitem__

        def find(query: npt.NDArray[np.float32]) -> Rows:
            try:
                return np.asarray(self.index.knn_query(query[None], K, filter=permitted)[0][0], np.int64)
            except RuntimeError:  # it found fewer than ten
                return np.empty(0, np.int64)

        return find

    def seconds_in_filter(self, made: Crowd, case: Case, query: npt.NDArray[np.float32]) -> float:
        """How much of a search is Python's function, to be taken off: a filter in C++ would cost next to nothing."""
        flags: list[bool] = case.flags(made).tolist()
        met = list[int]()

        def noting(row: int) -> bool:
            met.append(row)
            return flags[row]

        self.index.set_ef(self.effort)
        with contextlib.suppress(RuntimeError):
            self.index.knn_query(query[None], K, filter=noting)
        look, best = flags.__getitem__, float("inf")
        for _ in range(3):  # the core's time and the best, as what it is taken off
            began = time.process_time()
            for row in met:
                look(row)
            best = min(best, time.process_time() - began)
        return best
