"""Statistics: dashboards' queries over millions of archived readings, against DuckDB and pandas on the same files."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import orjson
import pandas as pd
import polars as pl
import pyarrow as pa
from deltalake import DeltaTable

from actors.archiving.archivist import Archivist, url_of
from actors.archiving.clustering import clustered
from actors.archiving.rollups import parts, rolled
from actors.host import wall_clock
from actors.meters import Numbers
from bench.city import City, city, sensor_ids
from bench.owner import owner
from bench.report import Report, arguments, percentile, run
from schemas.archive import READINGS
from schemas.base import from_micros
from schemas.settings import Settings
from serve.statistics import ALL
from serve.statistics.declared import ZONE, Asked, Bucket
from streams.archive import Archive, Reached
from streams.connection import Connection
from streams.subjects import READINGS as READINGS_KIND
from streams.subjects import raw

SENSORS, FACILITIES = 208, 51
START = datetime(2026, 1, 1, tzinfo=UTC)
WRITE = 1_000_000
"""Readings in one write of the archive."""
ROUNDS = 5
QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A question of a dashboard: the last `days` (0: all) in buckets, of all sensors, a facility or a sensor."""

    name: str
    bucket: Bucket
    days: int = 0
    facility: str | None = None
    sensor: str | None = None


DASHBOARDS = (
    Dashboard("all_hourly_last_day", "hour", 1),
    Dashboard("all_daily", "day"),
    Dashboard("facility_hourly", "hour", facility="facility-7"),
    Dashboard("sensor_by_minute_last_day", "minute", 1, sensor="sensor-42"),
    Dashboard("sensor_daily", "day", sensor="sensor-42"),
)


def made_up(first: int, count: int, per_second: int) -> pa.Table:
    """Readings `first` … of all sensors in turns, `per_second` of them a second; some are bad."""
    chance, number = np.random.default_rng(first), np.arange(first, first + count)
    sensor = number % SENSORS
    time_us = int(START.timestamp() * 1e6) + number * 1_000_000 // per_second
    times = pa.array(time_us).cast(READINGS.field("time").type)
    names = pa.array([f"sensor-{n}" for n in range(SENSORS)])
    facilities = pa.array([f"facility-{n % FACILITIES}" for n in range(SENSORS)])
    columns = {
        "context": pa.repeat("facility", count),
        "day": times.cast(pa.date32()),
        "shard": pa.repeat(pa.scalar(0, pa.int32()), count),
        "commit": pa.array(number // 5000),
        "facility": facilities.take(pa.array(sensor)),
        "sensor": names.take(pa.array(sensor)),
        "time": times,
        "value": pa.array(np.round(20 + sensor % 7 + 5 * np.sin(number / 2e5) + chance.normal(0, 1, count), 2)),
        "quality": pa.array(np.where(chance.random(count) < 0.001, 2, 0).astype(np.int8)),
        "arrived": times,
        "boot": pa.repeat(pa.scalar(1, pa.int64()), count),
        "sequence": pa.array(number // SENSORS),
        "synthetic": pa.repeat(True, count),
    }
    return pa.table(columns).select(READINGS.names).cast(READINGS)


def written(archive: Archive, rows: int, days: int) -> float:
    """Write them as the archive's writer does, then put the days together that are over; rows a second."""
    per_second = max(1, rows // (days * 86_400))
    began = time.perf_counter()
    for first in range(0, rows, WRITE):
        count = min(WRITE, rows - first)
        held, reached = {"log": Reached(first)}, {"log": Reached(first + count)}
        archive.append("readings", made_up(first, count, per_second), held, reached)
    took = time.perf_counter() - began
    for day in range(1, days + 1):
        archive.compact("readings", START.date() + timedelta(days=day), clustered)
    return rows / took


def asked_of(one: Dashboard, end: datetime) -> Asked:
    """The window of a dashboard; its days are those of the city."""
    start = START if not one.days else end - timedelta(days=one.days)
    return Asked(start, end, one.bucket, one.facility, one.sensor)


def by_polars(archive: Archive, asked: Asked) -> pl.DataFrame:
    """The declared statistic, as the API runs it."""
    facts = {"readings": archive.scan("readings", archive.version("readings"))}
    found: pl.DataFrame = ALL["readings"].query(facts, asked).collect()
    return found


def by_duckdb(files: list[str], asked: Asked) -> pl.DataFrame:
    """The same in SQL over the same files; the partitions tell it the days."""
    only = [f"{name} = '{value}'" for name in ("facility", "sensor") if (value := getattr(asked, name)) is not None]
    where = " AND ".join(
        [
            f"day BETWEEN '{asked.start.date()}' AND '{asked.end.date()}'",
            f"time >= '{asked.start.isoformat()}' AND time < '{asked.end.isoformat()}'",
            *only,
        ]
    )
    good = "FILTER (WHERE quality <> 2)"
    # The words are the program's own.
    query = f"""
        SELECT facility, sensor, date_trunc('{asked.bucket}', time AT TIME ZONE '{ZONE}') AS bucket,
               avg(value) {good} AS mean, min(value) {good} AS min, max(value) {good} AS max,
               quantile_cont(value, {list(QUANTILES)}) {good} AS quantiles,
               count(*) {good} AS readings, count(*) FILTER (WHERE quality = 2) AS bad, bool_or(synthetic) AS synthetic
        FROM read_parquet({files}, hive_partitioning = true) WHERE {where}
        GROUP BY ALL ORDER BY facility, sensor, bucket
    """  # noqa: S608
    found: Any = duckdb.sql(query)
    rows: pl.DataFrame = found.pl()
    return rows


def by_pandas(files: list[str], asked: Asked) -> Any:
    """The same with pandas over the files of the days, the columns that it needs alone."""
    days = pd.date_range(asked.start.date(), asked.end.date()).strftime("day=%Y-%m-%d")
    columns = ["facility", "sensor", "time", "value", "quality", "synthetic"]
    chosen = [file for file in files if any(day in file for day in days)]
    rows = pd.concat([pd.read_parquet(file, columns=columns, partitioning=None) for file in chosen])
    rows = rows[(rows["time"] >= asked.start) & (rows["time"] < asked.end)]
    for name in ("facility", "sensor"):
        if (value := getattr(asked, name)) is not None:
            rows = rows[rows[name] == value]
    every = {"minute": "min", "hour": "h", "day": "D"}[asked.bucket]
    rows = rows.assign(
        bucket=rows["time"].dt.tz_convert(ZONE).dt.floor(every), good=rows["value"].where(rows["quality"] != 2)
    )
    grouped = rows.groupby(["facility", "sensor", "bucket"], observed=True)
    found = grouped["good"].agg(["mean", "min", "max", "count"])
    for share in QUANTILES:
        found[f"p{share}"] = grouped["good"].quantile(share)
    found["bad"] = grouped.size() - found["count"]
    found["synthetic"] = grouped["synthetic"].any()
    return found.reset_index().sort_values(["facility", "sensor", "bucket"])


def compare(report: Report, archive: Archive, home: Path, one: Dashboard, end: datetime) -> tuple[float, float]:
    """Our time over DuckDB's, and pandas' over ours; each best of some rounds in turns. Raises where answers differ."""
    asked, files = asked_of(one, end), DeltaTable(str(home / "readings")).file_uris()
    ways: dict[str, Callable[[], Any]] = {
        "polars": lambda: by_polars(archive, asked),
        "duckdb": lambda: by_duckdb(files, asked),
        "pandas": lambda: by_pandas(files, asked),
    }
    best = dict.fromkeys(ways, float("inf"))
    told = {}
    for turn in range(ROUNDS):
        for name, ask in ways.items():
            if name == "pandas" and turn >= 2:
                continue
            began = time.perf_counter()
            told[name] = ask()
            best[name] = min(best[name], time.perf_counter() - began)
    ours, theirs, others = told["polars"], told["duckdb"], told["pandas"]
    for name in ("mean", "min", "max"):
        np.testing.assert_allclose(ours[name].to_numpy(), theirs[name].to_numpy(), rtol=1e-9)
        np.testing.assert_allclose(ours[name].to_numpy(), others[name].to_numpy(), rtol=1e-9)
    np.testing.assert_allclose(ours["p95"].to_numpy(), theirs["quantiles"].list.get(2).to_numpy(), rtol=1e-9)
    for name, seconds in best.items():
        report.add(f"{one.name}_{name}_ms", seconds * 1e3, f"ms, {len(ours):,} rows")
    return best["polars"] / best["duckdb"], best["pandas"] / best["polars"]


def rolling(report: Report, archive: Archive, rows: int) -> None:
    """What ten more seconds of readings cost in roll-ups by the hour, against computing them anew from all."""
    began = time.perf_counter()
    rolled(made_up(rows, 10 * SENSORS, SENSORS), "1h")
    between = time.perf_counter()
    parts(archive.scan("readings", archive.version("readings")), "1h").collect()
    report.add("rolling_up_10_s_ms", (between - began) * 1e3, f"ms, {10 * SENSORS:,} readings, making them included")
    report.add("rolling_up_all_ms", (time.perf_counter() - between) * 1e3, f"ms, {rows:,} readings")


async def lag(report: Report, count: int) -> None:
    """From publishing a reading to the statistic that has it: owner, archive's writer and query in this process."""
    took: list[float] = []
    async with city(1) as town:
        (facility,), settings = town.facilities(0), _settings(town)
        connection = await Connection.open(town.access(), "bench")
        archivist = Archivist(settings, Numbers(), wall_clock)
        async with owner(connection, 0, facility, 1):
            await archivist.start()
            while not archivist.ready:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.05)
            (sensor,) = sensor_ids(facility, 1)
            for number in range(1, count + 1):
                reading = {"sensor": sensor, "time": from_micros(wall_clock()), "value": 1.0, "sequence": number}
                began = time.monotonic()
                await connection.observe(raw("facility", facility, READINGS_KIND), {}, orjson.dumps(reading))
                while await _told(archivist, settings, sensor) < number:  # noqa: ASYNC110 - as an asker would
                    await asyncio.sleep(0.002)
                took.append(time.monotonic() - began)
            await archivist.stop()
        await connection.close()
    report.add("lag_p50_ms", percentile(took, 0.5) * 1e3, f"ms, {count} readings one after the other")
    report.add("lag_p99_ms", percentile(took, 0.99) * 1e3, "ms")


def _settings(town: City) -> Settings:
    return Settings(data=town.server.folder, facility_shards=1, road_shards=1, sighting_shards=1, person_shards=1)


async def _told(archivist: Archivist, settings: Settings, sensor: str) -> int:
    hot = await archivist.hot("readings")
    whole = pl.concat([Archive(url_of(settings)).scan("readings", hot.version), pl.DataFrame(hot.rows).lazy()])
    end = datetime.now(UTC)
    asked = Asked(end - timedelta(days=1), end + timedelta(seconds=1), "day", sensor=sensor)
    found = await asyncio.to_thread(ALL["readings"].query({"readings": whole}, asked).collect)
    return int(found["readings"].sum())


async def measure(rows: int, days: int) -> Report:
    """Everything, in a temporary archive."""
    report = Report("statistics", goals={"of_duckdb": "≤ 1.2 in the median, aim below 1", "over_pandas": "≥ 7"})
    with tempfile.TemporaryDirectory(prefix="bomnae-bench-") as folder:
        await asyncio.to_thread(_measured, report, Path(folder), rows, days)
    await lag(report, 10 if rows < WRITE else 200)
    report.notes.append(
        f"{rows:,} made-up readings of {SENSORS} sensors over {days} days; best of {ROUNDS} rounds in turns, of pandas "
        "2; ratios are medians over the dashboards"
    )
    return report


def _measured(report: Report, home: Path, rows: int, days: int) -> None:
    archive = Archive(str(home))
    report.add("written_per_s", written(archive, rows, days), "rows/s")
    # Without those that were replaced, which stay for a day.
    files = DeltaTable(str(home / "readings")).file_uris()
    report.add("bytes_per_row", sum(Path(file).stat().st_size for file in files) / rows, "bytes")
    end = START + timedelta(seconds=rows // max(1, rows // (days * 86_400)))
    found = [compare(report, archive, home, one, end) for one in DASHBOARDS]
    rolling(report, archive, rows)
    report.ratio("of_duckdb", statistics.median(ours for ours, _ in found))
    report.ratio("over_pandas", statistics.median(over for _, over in found))


if __name__ == "__main__":
    options = arguments("statistics", __doc__ or "")
    options.add_argument("--rows", type=int, default=20_000_000)
    options.add_argument("--days", type=int, default=10)
    given = options.parse_args()
    run(lambda: measure(100_000 if given.quick else given.rows, 2 if given.quick else given.days), given.json)
