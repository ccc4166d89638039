"""Every bench that needs no Ray runs, small, and tells its figures in the agreed form."""

import subprocess
import sys

import orjson
import pytest

EXPECTED = {
    "ingest": ({"readings_per_s"}, {"of_ceiling", "over_per_message"}),
    "commands": ({"commands_per_s"}, {"of_raw", "of_own_encoder_raw"}),
    "feed": ({"idle_p99_ms", "half_load_p99_ms"}, set()),
    "recovery": ({"one_million_s", "ten_million_s"}, {"ten_million_over_one_million"}),
    "scale": ({"lag_p99_s"}, {"memory_growth"}),
    "statistics": ({"written_per_s", "all_daily_polars_ms"}, {"of_duckdb", "over_pandas"}),
    "search --part index rows": (
        {"ingest_rows_per_s", "searchable_after_worst_s", "restart_s"},
        {
            *("worst_recall", "over_flat_full", "over_flat_masked", "over_flat_any_mask", "over_hnsw_narrow"),
            *("of_bandwidth", "ingest_rows_per_s", "restart_s"),
        },
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_bench_tells_what_it_measured(name: str) -> None:
    tells(name, *EXPECTED[name])


def tells(name: str, figures: set[str], ratios: set[str], seconds: float = 90) -> None:
    """Run a bench, its options behind its name, small; check the form of what it tells."""
    command = [sys.executable, "-m", *f"bench.{name}".split(), "--json", "--quick"]
    done = subprocess.run(command, check=False, capture_output=True, timeout=seconds)
    assert done.returncode == 0, done.stderr.decode()
    told = orjson.loads(done.stdout)
    assert set(told) == {"bench", "machine", "figures", "ratios"}
    assert told["bench"] == name.split(maxsplit=1)[0]
    assert figures <= set(told["figures"])
    assert set(told["ratios"]) == ratios
    assert all(figure["value"] > 0 and figure["unit"] for figure in told["figures"].values())
    assert all(value > 0 for value in told["ratios"].values())
