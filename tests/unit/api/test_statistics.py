"""Statistics over HTTP: what happened a second ago is in them, in every format, and a bad question is told why."""

import asyncio
import io

import orjson
import polars as pl
import psutil
import pyarrow as pa
import pytest
import shapely

from schemas.errors import InvalidError, UnavailableError
from serve.statistics import ALL, run
from tests.unit.api.conftest import ROAD, bearer, reading
from tests.unit.api.populated import publish

ARROW = "application/vnd.apache.arrow.stream"


@pytest.fixture
async def measured(city, backend):
    rows = [reading("tilt-1", value, number) for number, value in enumerate((1.0, 2.0, 6.0), 1)]
    answer = await city.post("/v1/readings", json=rows, headers=bearer("device", facility="bridge-1"))
    assert answer.status_code == 202, answer.text
    await backend.settle()
    return city


async def test_every_statistic_is_listed_with_its_titles_and_denominator(client):
    items = (await client.get("/v1/statistics")).json()["items"]
    assert [one["statistic"] for one in items] == list(ALL)
    for one in items:
        assert all((one["title_ko"], one["title_en"], one["denominator"], one["columns"]))


async def test_a_reading_is_in_its_statistic_at_once(measured):
    said = (await measured.get("/v1/statistics/readings?sensor=tilt-1")).json()
    (row,) = said["rows"]
    assert (row["mean"], row["p50"], row["readings"], row["synthetic"]) == (3.0, 2.0, 3, True)
    assert row["bucket"] == "2026-01-15T03:00:00.000000Z"
    assert (said["sensor"], said["zone"], said["denominator"] != "") == ("tilt-1", "Asia/Seoul", True)


@pytest.mark.parametrize(
    "query",
    ["facility=bridge-2", "start=2026-01-14T00:00:00Z&end=2026-01-14T12:00:00Z", "sensor=ghost"],
)
async def test_what_is_not_asked_for_is_not_told(measured, query):
    assert (await measured.get(f"/v1/statistics/readings?{query}")).json()["rows"] == []


async def test_the_formats_hold_the_same_rows(measured):
    async def asked(form):
        answer = await measured.get(f"/v1/statistics/readings?format={form}")
        assert answer.status_code == 200, answer.text
        return answer

    rows = (await asked("json")).json()["rows"]
    csv = pl.read_csv((await asked("csv")).content)
    parquet = pl.read_parquet(io.BytesIO((await asked("parquet")).content))
    with pa.ipc.open_stream((await asked("arrow")).content) as stream:
        arrow = stream.read_all().to_pylist()
    assert [one["mean"] for one in rows] == csv["mean"].to_list() == parquet["mean"].to_list()
    assert [one["mean"] for one in arrow] == [3.0]
    assert csv["bucket"].to_list() == [one["bucket"] for one in rows]
    assert parquet["bucket"].dtype == pl.Datetime("us", "UTC")


async def test_a_chart_shows_the_citys_clock_korean_titles_and_that_data_are_made_up(measured):
    spec = orjson.loads((await measured.get("/v1/statistics/readings?format=vega")).content)
    assert spec["title"] == {
        "text": "시간대별 센서 측정값 · Readings of sensors over time",
        "subtitle": ["합성 자료 포함 · with synthetic data"],
        "anchor": "start",
    }
    assert [one["bucket"] for one in spec["data"]["values"]] == ["2026-01-15T12:00:00"]
    svg = await measured.get("/v1/statistics/readings?format=svg")
    assert (svg.headers["content-type"], "시간대별" in svg.text) == ("image/svg+xml", True)
    png = await measured.get("/v1/statistics/readings?format=png")
    assert png.content.startswith(b"\x89PNG")


@pytest.mark.parametrize("statistic", ALL)
@pytest.mark.parametrize("form", ["json", "csv", "vega", "svg"])
async def test_every_statistic_is_told_in_words_and_pictures_even_of_nothing(client, statistic, form):
    answer = await client.get(f"/v1/statistics/{statistic}?format={form}")
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("readings?road=jungang", "does not take 'road'"),
        ("works?sensor=tilt-1", "does not take 'sensor'"),
        ("readings?start=2026-01-16T00:00:00Z&end=2026-01-15T00:00:00Z", "ends before it begins"),
        ("readings?start=2099-01-16T00:00:00Z", "begins in the future"),
        ("readings?bucket=week", "bucket"),
        ("last-year?start=0001-01-01T00:00:00Z&sensor=tilt-1", "before 1971"),
        ("readings?bucket=minute&start=2026-01-01T00:00:00Z", "at most 1 days"),
        ("readings?format=xls", "format"),
        ("readings?facilty=bridge-1", "facilty"),
    ],
)
async def test_a_bad_question_is_told_what_is_wrong(client, query, why):
    answer = await client.get(f"/v1/statistics/{query}")
    assert (answer.status_code, why in answer.text) == (422, True), answer.text


async def test_a_statistic_that_nobody_declared_is_not_found(client):
    assert (await client.get("/v1/statistics/happiness")).status_code == 404


async def test_an_answer_that_is_too_large_is_refused_with_what_to_do(measured, monkeypatch):
    monkeypatch.setattr(run, "MOST_ROWS", 0)
    answer = await measured.get("/v1/statistics/readings")
    assert (answer.status_code, "shorter window" in answer.text) == (422, True)


async def test_a_query_that_fails_is_told():
    with pytest.raises(UnavailableError, match="cannot be read"):
        await run.QUERIES.collected(pl.LazyFrame({"n": ["x"]}).select(pl.col("n").str.to_integer(strict=True)), here)


async def here() -> bool:
    return False


LONG = pl.LazyFrame({"n": range(3_000)}).join(pl.LazyFrame({"m": range(3_000_000)}), how="cross").select(pl.all().sum())
FEW = pl.LazyFrame({"n": [1, 2, 3]})


def numbers_of(queries: run.Queries) -> set[int]:
    return {process.pid for process in queries._idle}


async def test_a_process_computes_one_query_after_the_other():
    queries = run.Queries()
    assert (await queries.collected(FEW, here)).equals(FEW.collect())
    (first,) = numbers_of(queries)
    assert (await queries.collected(FEW, here)).equals(FEW.collect())
    assert numbers_of(queries) == {first}
    queries.close()
    assert not psutil.pid_exists(first)


async def test_for_whoever_has_left_nothing_runs_on():
    queries, looked = run.Queries(), []

    async def gone() -> bool:
        looked.append([child.pid for child in psutil.Process().children()])
        return len(looked) > 3

    before = {child.pid for child in psutil.Process().children()}
    assert await queries.collected(LONG, gone) is None
    (worker,) = set(looked[-1]) - before
    async with asyncio.timeout(5):
        while psutil.pid_exists(worker) and psutil.Process(worker).status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.01)
    assert numbers_of(queries) == set()
    assert (await queries.collected(FEW, here)).equals(FEW.collect())
    queries.close()


async def test_what_takes_too_long_is_ended_and_told():
    queries = run.Queries(seconds=0.5)
    with pytest.raises(InvalidError, match=r"longer than 0\.5 s"):
        await queries.collected(LONG, here)
    assert numbers_of(queries) == set()


async def test_what_takes_too_much_memory_ends_its_process_alone():
    queries = run.Queries(memory_mb=600)
    many = pl.LazyFrame({"n": range(1000)}).join(pl.LazyFrame({"m": range(300_000)}), how="cross")
    large = many.group_by("n").agg(pl.col("m")).select(pl.col("m").list.sort().list.first())
    with pytest.raises(InvalidError, match="more memory"):
        await queries.collected(large, here)
    assert (await queries.collected(FEW, here)).equals(FEW.collect())
    queries.close()


async def test_snow_is_told_by_the_area_that_segments_lie_in_and_without_areas_by_none(city, backend):
    begun = await city.post("/v1/snow", json={"snow": "snow-1", "depth_cm": 4.0}, headers=ROAD)
    assert begun.status_code == 201
    backend.pass_time(0.5)
    for segment in ("jungang-1", "jungang-2"):
        path = f"/v1/roads/jungang/segments/{segment}"
        assert (await city.patch(path, json={"state": "cleared"}, headers=ROAD)).status_code == 200

    async def told():
        rows = (await city.get("/v1/statistics/snow-clearing-areas")).json()["rows"]
        return [(one["area_ko"], one["rank"], one["segments"], round(one["hours_p50"], 3)) for one in rows]

    assert await told() == [(None, "105", 2, 0.5)]
    shape = shapely.box(127.7, 37.8, 127.8, 37.9).wkt
    rows = pl.DataFrame({"code": ["4211051000"], "name": ["춘천시 소양동"], "shape": [shape], "_wkt": [shape]})
    await publish(backend, city, "areas", rows)
    assert await told() == [("소양동", "105", 1, 0.5), (None, "105", 1, 0.5)]
    picture = await city.get("/v1/statistics/snow-clearing-areas?format=svg")
    assert (picture.status_code, "소양동" in picture.text) == (200, True)
