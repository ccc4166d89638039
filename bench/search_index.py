"""The index against flat scans, graphs and inverted lists: one query, one core, windows and camera masks."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from bench.report import Report
from bench.search_data import CASES, Case, Crowd, crowd, likeness, recall, truth
from bench.search_peers import Flat, FlatByNumbers, Graph, Inverted, NumPy, Ours, Peer, Rabit
from bench.search_rows import fill
from serve.search.index import Index
from serve.search.quantise import Model

ROUNDS = 3


@contextmanager
def one_core() -> Iterator[None]:
    """One core and one thread for every library: a second thread of BLAS would only spin on that core."""
    whole = os.sched_getaffinity(0)
    _hold({max(whole)})
    try:
        with threadpool_limits(1):
            yield
    finally:
        _hold(whole)


def _hold(cores: set[int]) -> None:
    for thread in Path("/proc/self/task").iterdir():  # those that come later inherit it
        with suppress(ProcessLookupError):  # it has just ended
            os.sched_setaffinity(int(thread.name), cores)


def timed(made: Crowd, case: Case, peers: Mapping[str, Peer]) -> tuple[dict[str, float], dict[str, list[Any]]]:
    """Seconds of the core that a query takes each peer, each query's best of the rounds; and what each found.

    The peers take turns by rounds over all queries: each meets the caches as it leaves them itself. The core's own
    time, because other work on the machine would be measured otherwise; all of them are one thread.
    """
    finders = {name: peer.ready(made, case) for name, peer in peers.items()}
    found = {name: [peers[name].rows(find(query)) for query in made.queries] for name, find in finders.items()}
    best = {name: [float("inf")] * len(made.queries) for name in peers}
    for _ in range(ROUNDS):
        for name, find in finders.items():
            for number, query in enumerate(made.queries):
                began = time.process_time()
                find(query)
                best[name][number] = min(best[name][number], time.process_time() - began)
    return {name: float(np.mean(times)) for name, times in best.items()}, found


def mean_recall(made: Crowd, found: list[Any], best: Any) -> float:
    """Over all queries."""
    return float(np.mean([recall(made, rows, number, best) for number, rows in enumerate(found)]))


def scan_share(made: Crowd) -> float:
    """Bytes a second of the int8 scan of faiss, as the index uses it, over those of reading an array."""
    dimension = made.vectors.shape[1]
    codes = faiss.IndexScalarQuantizer(
        dimension, faiss.ScalarQuantizer.QT_8bit_direct_signed, faiss.METRIC_INNER_PRODUCT
    )
    codes.add(np.rint(made.vectors * 127))
    query, plain = np.rint(made.queries[:1] * 127), made.vectors.reshape(-1)
    scan = read = float("inf")
    for _ in range(3 * ROUNDS):
        began = time.process_time()
        codes.search(query, 10)
        between = time.process_time()
        plain.max()
        scan, read = min(scan, between - began), min(read, time.process_time() - between)
    return (made.vectors.size / scan) / (plain.nbytes / read)


def at_recall(made: Crowd, case: Case, peer: Any, best: Any) -> tuple[float, float, int]:
    """Seconds and recall of a peer at the least effort that reaches .99, or at the most; and that effort."""
    for effort in peer.efforts:
        peer.effort = effort
        took, found = timed(made, case, {"peer": peer})
        reached = mean_recall(made, found["peer"], best)
        if reached >= 0.99 or took["peer"] > 0.5:
            break
    return took["peer"], reached, effort


@dataclass(frozen=True)
class Compared:
    """One case at one size: how often ours is faster than `IndexFlatIP` with a selector, and with row numbers."""

    name: str
    case: Case
    recall: float
    over_flat: float
    over_numbers: float


def compare(report: Report, rows: int, dimension: int, queries: int, cases: list[Case]) -> tuple[list[Compared], float]:
    """All cases at one size; and the share of the memory bandwidth that the int8 scan reaches."""
    made = crowd(rows, dimension, queries)
    index, size = Index(Model("bench", dimension)), f"{dimension}d"
    report.add(f"append_{size}_rows_per_s", fill(index, made), "rows/s")
    index.seal()
    flat = Flat(made)
    by_numbers = FlatByNumbers.__new__(FlatByNumbers)
    by_numbers.index = flat.index
    ours, exact, inverted = Ours(index), Ours(index, exact=True), Inverted(made)
    compared, rough = [], likeness(made)
    for case in cases:
        name, best = f"{size}_{case.name}", truth(made, rough, case)
        peers: dict[str, Peer] = {"ours": ours, "exact": exact, "flat": flat, "numpy": NumPy(made)}
        if case.masked:
            peers["flat_by_numbers"] = by_numbers
        took, found = timed(made, case, peers)
        for peer, seconds in took.items():
            report.add(f"{name}_{peer}_ms", seconds * 1e3, "ms")
        reached = mean_recall(made, found["ours"], best)
        report.add(f"{name}_recall", reached, f"{len(made.queries)} queries")
        report.notes.append(f"{name}: {dict(ours.last.coverage.plans)}")
        worst = min(reached, mean_recall(made, found["exact"], best))
        numbered = took.get("flat_by_numbers", float("inf"))
        compared.append(Compared(name, case, worst, took["flat"] / took["ours"], numbered / took["ours"]))
        if case.share in {1.0, 0.1}:
            seconds, there, effort = at_recall(made, case, inverted, best)
            report.add(f"{name}_ivf_ms", seconds * 1e3, f"recall {there:.3f} at {effort} lists")
        if case.share == case.window == 1:
            seconds, there, effort = at_recall(made, case, Rabit(made), best)
            report.add(f"{name}_rabitq_ms", seconds * 1e3, f"recall {there:.3f} with {effort} of each segment")
    report.add(f"{size}_batch_of_16_per_s", _batch_rate(index, made), "queries/s")
    return compared, scan_share(made)


def conclude(report: Report, compared: Sequence[Compared], bandwidth: float) -> None:
    """The ratios of the comparison, with the case that each comes from."""
    kinds = {
        "over_flat_full": [one for one in compared if not one.case.masked and one.case.window == 1],
        "over_flat_masked": [one for one in compared if one.case.share == 0.5],
        "over_flat_any_mask": [one for one in compared if one.case.masked],
    }
    report.ratio("worst_recall", min(one.recall for one in compared))
    for name, every in kinds.items():
        worst = min(every, key=lambda one: one.over_flat)
        report.ratio(name, worst.over_flat)
        report.notes.append(f"{name}: the worst of {len(every)} cases, {worst.name}")
    report.ratio("of_bandwidth", bandwidth)
    beaten = [one.name for one in compared if one.over_numbers < 1]
    report.notes.append(
        "flat_by_numbers, which is given the permitted rows' numbers, gathered before the clock starts, "
        f"is faster than ours in {', '.join(beaten) or 'no case'}: it is not what over_flat_masked compares with"
    )


def against_graph(report: Report, rows: int, dimension: int, queries: int) -> list[float]:
    """What hnswlib takes at the recall of our index, its filter's Python taken off, over our time: in windows ≤ 10 %.

    Wider windows, where a graph is at its best, are told as figures.
    """
    made, ratios = crowd(rows, dimension, queries), []
    began = time.perf_counter()
    graph = Graph(made)
    report.add(f"{dimension}d_hnsw_build_s", time.perf_counter() - began, f"s, {rows:,} rows, all cores")
    index = Index(Model("bench", dimension))
    fill(index, made)
    index.seal()
    rough = likeness(made)
    with one_core():
        for case in (one for one in CASES if one.share in {1.0, 0.1}):
            name, best = f"graph_{dimension}d_{case.name}", truth(made, rough, case)
            ours, _ = timed(made, case, {"ours": Ours(index)})
            seconds, there, effort = at_recall(made, case, graph, best)
            spent = float(np.mean([graph.seconds_in_filter(made, case, query) for query in made.queries]))
            report.add(f"{name}_ours_ms", ours["ours"] * 1e3, "ms")
            report.add(f"{name}_hnsw_ms", seconds * 1e3, f"recall {there:.3f} at ef {effort}")
            report.add(f"{name}_hnsw_bare_ms", (seconds - spent) * 1e3, "without its filter's Python")
            if case.window <= 0.1:
                ratios.append((seconds - spent) / ours["ours"])
    return ratios


def _batch_rate(index: Index, made: Crowd) -> float:
    batch = np.resize(made.queries, (16, made.queries.shape[1]))
    best = float("inf")
    for _ in range(2 * ROUNDS):
        began = time.process_time()
        index.search(batch)
        best = min(best, time.process_time() - began)
    return 16 / best
