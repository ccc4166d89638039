"""The search index against flat scans, graphs and inverted lists: one query on one core, windows and camera masks."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from bench.report import Report, arguments, run
from bench.search_data import CAMERAS, CASES, PER_PERSON, Case, Crowd, crowd, likeness, recall, table, truth
from bench.search_peers import Flat, FlatByNumbers, Graph, Inverted, NumPy, Ours, Peer
from serve.search.index import Index
from serve.search.quantise import Model

ROUNDS = 3
BATCH = 5_000
GOALS = {
    "worst_recall": "≥ 0.99",
    "over_flat_full": "≥ 6, aim 10",
    "over_flat_masked": "never < 1",
    "over_flat_half_mask": "≥ 1.8, aim 3",
    "over_hnsw_narrow": "> 1",
    "of_bandwidth": "≥ 0.6, aim 0.8",
    "ingest_rows_per_s": "≥ 100,000",
    "restart_s": "< 10",
}


def one_core() -> None:
    """Every library on one core, this one: threads of BLAS cannot be told afterwards, but can be held together."""
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[-1]})
    faiss.omp_set_num_threads(1)


def timed(made: Crowd, case: Case, peers: Mapping[str, Peer]) -> tuple[dict[str, float], dict[str, list[Any]]]:
    """Seconds of the core that a query takes each peer, in turns, each query's best of the rounds; and what each found.

    The core's own time, because other work on the machine would be measured otherwise; all of them are one thread.
    """
    finders = {name: peer.ready(made, case) for name, peer in peers.items()}
    found = {name: [find(query) for query in made.queries] for name, find in finders.items()}
    best = {name: [float("inf")] * len(made.queries) for name in peers}
    for _ in range(ROUNDS):
        for number, query in enumerate(made.queries):
            for name, find in finders.items():
                began = time.process_time()
                find(query)
                best[name][number] = min(best[name][number], time.process_time() - began)
    return {name: float(np.mean(times)) for name, times in best.items()}, found


def mean_recall(made: Crowd, found: list[Any], best: Any) -> float:
    """Over all queries."""
    return float(np.mean([recall(made, rows, number, best) for number, rows in enumerate(found)]))


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


def compare(report: Report, rows: int, dimension: int, queries: int, cases: list[Case]) -> dict[str, list[float]]:
    """All cases at one size. Ratios by what they count for."""
    made = crowd(rows, dimension, queries)
    index, size = Index(Model("bench", dimension)), f"{dimension}d"
    report.add(f"ingest_{size}_rows_per_s", fill(index, made), "rows/s")
    index.seal()
    flat = Flat(made)
    by_numbers = FlatByNumbers.__new__(FlatByNumbers)
    by_numbers.index = flat.index
    ours, exact, inverted = Ours(index), Ours(index, exact=True), Inverted(made)
    ratios: dict[str, list[float]] = {"recall": [], "full": [], "masked": [], "half": []}
    rough = likeness(made)
    ratios["bandwidth"] = [scan_share(made)]
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
        ratios["recall"] += [reached, mean_recall(made, found["exact"], best)]
        if case.masked:
            over = took["flat"] / took["ours"]
            ratios["masked"].append(over)
            if case.share == 0.5:
                ratios["half"].append(over)
        elif case.window == 1:
            ratios["full"].append(took["flat"] / took["ours"])
        if case.share in {1.0, 0.1}:
            seconds, there, effort = at_recall(made, case, inverted, best)
            report.add(f"{name}_ivf_ms", seconds * 1e3, f"recall {there:.3f} at {effort} lists")
    report.add(f"{size}_batch_of_16_per_s", _batch_rate(index, made), "queries/s")
    return ratios


def narrow(report: Report, rows: int, dimension: int, queries: int) -> list[float]:
    """What hnswlib takes in narrow windows at the recall of our index, its filter's Python taken off, over our time."""
    made, ratios = crowd(rows, dimension, queries), []
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    began = time.perf_counter()
    graph = Graph(made)
    one_core()
    report.add(f"{dimension}d_hnsw_build_s", time.perf_counter() - began, f"s, {rows:,} rows, two cores")
    index = Index(Model("bench", dimension))
    fill(index, made)
    index.seal()
    rough = likeness(made)
    for case in (one for one in CASES if one.window <= 0.1 and one.share in {1.0, 0.1}):
        name, best = f"graph_{dimension}d_{case.name}", truth(made, rough, case)
        ours, _ = timed(made, case, {"ours": Ours(index)})
        seconds, there, effort = at_recall(made, case, graph, best)
        spent = float(np.mean([graph.seconds_in_filter(made, case, query) for query in made.queries]))
        report.add(f"{name}_ours_ms", ours["ours"] * 1e3, "ms")
        report.add(f"{name}_hnsw_ms", seconds * 1e3, f"recall {there:.3f} at ef {effort}")
        report.add(f"{name}_hnsw_bare_ms", (seconds - spent) * 1e3, "without its filter's Python")
        ratios.append((seconds - spent) / ours["ours"])
    return ratios


def _batch_rate(index: Index, made: Crowd) -> float:
    batch = np.resize(made.queries, (16, made.queries.shape[1]))
    return 16 / min(_seconds(lambda: index.search(batch)) for _ in range(2 * ROUNDS))


def _seconds(action: Callable[[], object]) -> float:
    began = time.process_time()
    action()
    return time.process_time() - began


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
        rates = [fill(index, made, f"part-{number}") for number in range(rows // part)]
        index.seal()
        del index
        report.add("ingest_rows_per_s", max(rates), "rows/s")
        report.add("disk_bytes_per_row", sum(one.stat().st_size for one in home.rglob("*.*")) / rows, "bytes")
        for name, cold in (("restart_s", True), ("restart_warm_s", False)):
            if cold:
                _forget(home)
            command = [sys.executable, "-c", FIRST_ANSWER, str(home), str(dimension), str(query)]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            if told[1:] != [str(rows), "10"]:
                raise RuntimeError(f"the first answer covers {told[1]} of {rows} rows")
            report.add(name, float(told[0]), "s")
        report.goals["restart_s"] = f"{GOALS['restart_s']} for {rows:,} rows"


def _forget(folder: Path) -> None:
    """Ask the system to drop the files from its cache."""
    for path in folder.rglob("*.*"):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


async def measure(quick: bool, graph_rows: int) -> Report:
    """Both sizes, then the restart."""
    report = Report("search", goals=GOALS)
    sizes = [(20_000, 64)] if quick else [(1_000_000, 256), (500_000, 512)]
    cases = [case for case in CASES if not quick or case.share >= 0.5]
    told: dict[str, list[float]] = {}
    for rows, dimension in sizes:
        for name, values in compare(report, rows, dimension, 4 if quick else 20, cases).items():
            told.setdefault(name, []).extend(values)
    restart(report, 20_000 if quick else 5_000_000, 64 if quick else 256)
    report.ratio("worst_recall", min(told["recall"]))
    report.ratio("over_flat_full", min(told["full"]))
    report.ratio("over_flat_masked", min(told["masked"]))
    report.ratio("over_flat_half_mask", min(told["half"]))
    if graph_rows:
        over = [narrow(report, min(rows, graph_rows), dimension, 4 if quick else 20) for rows, dimension in sizes]
        report.ratio("over_hnsw_narrow", min(min(ratios) for ratios in over))
    report.ratio("of_bandwidth", min(told["bandwidth"]))
    report.notes.append(
        f"{PER_PERSON} sightings a person, {CAMERAS} cameras; one query, one core, best of {ROUNDS} rounds"
    )
    report.notes.append(
        "each ratio is the worst of its kind; selectors of the peers are made beforehand, our filters within the search"
    )
    return report


if __name__ == "__main__":
    options = arguments("search", __doc__ or "")
    options.add_argument(
        "--graph-rows", type=int, default=1_000_000, help="most rows for hnswlib, which builds for minutes"
    )
    given = options.parse_args()
    run(lambda: measure(given.quick, given.graph_rows), given.json)
