"""What the benches calculate, apart from what they measure."""

import asyncio
import os
import threading

import orjson
import pyarrow as pa
import pytest

from bench.load import Job, payloads
from bench.report import Report, percentile
from bench.requests import Asker
from bench.search_data import Case
from bench.search_index import Compared, conclude, one_core


def test_a_report_is_one_json_object_with_units() -> None:
    report = Report("ingest", machine={"cpu": "x", "cores": 2})
    report.add("readings_per_s", 2_000_000.04, "readings/s")
    report.ratio("of_ceiling", 2 / 3)
    assert orjson.loads(report.to_json()) == {
        "bench": "ingest",
        "machine": {"cpu": "x", "cores": 2},
        "figures": {"readings_per_s": {"value": 2_000_000.0, "unit": "readings/s"}},
        "ratios": {"of_ceiling": 0.667},
    }


def test_a_figure_with_a_goal_of_its_own_stands_among_figures_and_ratios() -> None:
    report = Report("search", machine={"cpu": "x", "cores": 2, "load_before": 0.0})
    report.key("restart_s", 1.23456, "s, 5 rows")
    told = orjson.loads(report.to_json())
    assert told["figures"] == {"restart_s": {"value": 1.2346, "unit": "s, 5 rows"}}
    assert told["ratios"] == {"restart_s": 1.235}
    assert report.table().row_count == 1


def compared(case: Case, over_flat: float, recall: float = 1.0) -> Compared:
    return Compared(f"64d_{case.name}", case, recall, over_flat, over_numbers=2.0)


def test_the_masked_ratio_is_the_worst_at_half_the_cameras_and_any_mask_counts_apart() -> None:
    every = [
        compared(Case(1.0, 1.0), 9.0),
        compared(Case(0.5, 1.0), 3.0),
        compared(Case(1.0, 0.5), 5.0),
        compared(Case(0.01, 0.5), 2.0),
        compared(Case(0.01, 0.1), 1.5, recall=0.995),
    ]
    report = Report("search", machine={"cpu": "x", "cores": 2})
    conclude(report, every, 0.7)
    assert report.ratios == {
        "worst_recall": 0.995,
        "over_flat_full": 9.0,
        "over_flat_masked": 2.0,
        "over_flat_any_mask": 1.5,
        "of_bandwidth": 0.7,
    }
    assert "over_flat_masked: the worst of 2 cases, 64d_window_1_mask_50" in report.notes


def test_one_core_is_kept_by_every_thread_and_given_back() -> None:
    whole, held = os.sched_getaffinity(0), threading.Event()
    other = threading.Thread(target=held.wait)
    other.start()
    try:
        with one_core():
            assert os.sched_getaffinity(0) == os.sched_getaffinity(other.native_id or 0) == {max(whole)}
        assert os.sched_getaffinity(0) == os.sched_getaffinity(other.native_id or 0) == whole
    finally:
        held.set()
        other.join()


@pytest.mark.parametrize(("share", "value"), [(0.0, 1.0), (0.5, 2.0), (1.0, 3.0)])
def test_a_percentile_is_the_value_that_this_share_does_not_exceed(share: float, value: float) -> None:
    assert percentile([3.0, 1.0, 2.0], share) == value


def test_jobs_that_follow_one_another_repeat_no_reading() -> None:
    jobs = [Job("b", sensors=7, messages=3, first=first, rows=10) for first in (0, 30)]
    seen = set()
    for data in (data for job in jobs for data in payloads(job)):
        table = pa.ipc.open_stream(data).read_all()
        seen |= set(zip(table["sensor"].to_pylist(), table["sequence"].to_pylist(), strict=True))
    assert len(seen) == 60


def test_single_readings_and_batches_say_the_same() -> None:
    table = pa.ipc.open_stream(payloads(Job("b", sensors=3, messages=1, rows=9))[0]).read_all()
    single = [orjson.loads(data) for data in payloads(Job("b", sensors=3, messages=9, rows=1, single=True))]
    assert [(one["sensor"], one["sequence"]) for one in single] == list(
        zip(table["sensor"].to_pylist(), table["sequence"].to_pylist(), strict=True)
    )


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.said.append(data)

    def close(self) -> None:
        self.closed = True


async def test_an_answer_counts_when_it_is_whole() -> None:
    took: list[float] = []
    wire, asker = Wire(), Asker(b"GET", float("inf"), took, pytest.fail)
    asker.connection_made(wire)
    asker.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
    assert (len(took), len(wire.said)) == (0, 1)
    asker.data_received(b"cd")
    assert (len(took), len(wire.said)) == (1, 2)


async def test_an_answer_that_is_no_200_is_a_failure() -> None:
    failed: list[str] = []
    wire, asker = Wire(), Asker(b"GET", float("inf"), [], failed.append)
    asker.connection_made(wire)
    asker.data_received(b"HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n")
    assert (len(failed), wire.closed) == (1, True)
