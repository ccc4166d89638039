"""Search for a missing person: the index against other ways, rows on their way into it, a restart, and the service."""

from collections.abc import Sequence

from bench.report import Report, arguments, run
from bench.search_data import CAMERAS, CASES, PER_PERSON
from bench.search_http import through_http
from bench.search_index import ROUNDS, against_graph, compare, conclude, one_core
from bench.search_layouts import CONCURRENT, layouts
from bench.search_rows import ingest, restart

PARTS = ("index", "rows", "service")
GOALS = {
    "worst_recall": "≥ 0.99",
    "over_flat_full": "≥ 6, aim 10",
    "over_flat_masked": "≥ 1.8, aim 3",
    "over_flat_any_mask": "never < 1",
    "over_hnsw_narrow": "> 1",
    "of_bandwidth": "≥ 0.6, aim 0.8",
    "ingest_rows_per_s": "≥ 100,000",
    "searchable_after_worst_s": "< 1",
    "restart_s": "< 10",
    "http_of_in_process": "≥ 0.5",
}


def index(report: Report, quick: bool, graph_rows: int) -> None:
    """Both sizes on one core, against a graph too."""
    sizes = [(20_000, 64)] if quick else [(1_000_000, 256), (500_000, 512)]
    cases = [case for case in CASES if not quick or case.share >= 0.5]
    queries = 4 if quick else 20
    with one_core():
        told = [compare(report, rows, dimension, queries, cases) for rows, dimension in sizes]
    conclude(report, [one for compared, _ in told for one in compared], min(share for _, share in told))
    if graph_rows:
        over = [against_graph(report, min(rows, graph_rows), dimension, queries) for rows, dimension in sizes]
        report.ratio("over_hnsw_narrow", min(min(ratios) for ratios in over))
    report.notes.append(
        f"{PER_PERSON} sightings a person, {CAMERAS} cameras; one query, one core, best of {ROUNDS} rounds; each "
        "ratio is the worst of its kind; selectors of the peers are made beforehand, our filters within the search"
    )


async def rows_in(report: Report, quick: bool) -> None:
    """Rows on their way into a shard, on one core, and a restart."""
    with one_core():
        await ingest(report, *((20_000, 64, 1) if quick else (140_000, 256, 2 * ROUNDS)))
    restart(report, *((20_000, 64) if quick else (5_000_000, 256)))


async def service(report: Report, quick: bool, rows: int, http_rows: Sequence[int]) -> None:
    """Actor or replica, a router over 1, 2, 4, 8 shards, and HTTP."""
    seconds, rounds = (0.3, 1) if quick else (4.0, 3)
    rows, sizes, dimension = (4_000, [4_000], 32) if quick else (rows, http_rows, 256)
    await layouts(report, rows, dimension, seconds, rounds, 2 if quick else 8)
    told = [await through_http(report, size, dimension, seconds, rounds) for size in sizes]
    report.ratio("http_of_in_process", told[0])
    report.notes.append(
        f"service: {rows:,} × {dimension} ({sizes[0]:,} through HTTP), whole window; {CONCURRENT} askers, {seconds:g} "
        f"s a round, best of {rounds} rounds in turns"
    )


async def measure(parts: Sequence[str], quick: bool, graph_rows: int, rows: int, http_rows: Sequence[int]) -> Report:
    """The parts that are asked for."""
    report = Report("search", goals=GOALS)
    if "index" in parts:
        index(report, quick, graph_rows)
    if "rows" in parts:
        await rows_in(report, quick)
    if "service" in parts:
        await service(report, quick, rows, http_rows)
    return report


if __name__ == "__main__":
    options = arguments("search", __doc__ or "")
    options.add_argument("--part", nargs="+", default=PARTS, choices=PARTS, help="all by default")
    options.add_argument(
        "--graph-rows", type=int, default=1_000_000, help="most rows for hnswlib, which builds for minutes; 0: without"
    )
    options.add_argument("--rows", type=int, default=200_000, help="of actor, replica and the router over shards")
    options.add_argument(
        "--http-rows", type=int, nargs="+", default=[1_000_000, 5_000_000], help="cities of; the first is the ratio"
    )
    given = options.parse_args()
    run(lambda: measure(given.part, given.quick, given.graph_rows, given.rows, given.http_rows), given.json)
