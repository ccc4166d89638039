"""How rows of datasets come in over HTTP: files of every kind, and sources that are asked now."""

import io

import httpx
import orjson
import polars as pl
import pytest
import shapely
import xlsxwriter

from schemas.dataset import FromFile, Layout
from serve.app import Config
from serve.catalogue.refreshing import Sources
from tests.unit.api.conftest import OPERATOR
from tests.unit.api.datasets import PARQUET, STAFF, XLSX, asked_now, bring, declare, ids, rows, told
from tests.unit.catalogue.service.declared import AREAS, ROWS, stops

pytestmark = pytest.mark.usefixtures("read_here")


def sheet():
    sink = io.BytesIO()
    with xlsxwriter.Workbook(sink, {"in_memory": True}) as book:
        page = book.add_worksheet("정류장")
        for row, cells in enumerate([["정류장 번호", "name", "lamps"], ["A1", "역전", 2], ["A2", "시청", 0]]):
            page.write_row(row, 0, cells)
    return sink.getvalue()


def table():
    sink = io.BytesIO()
    pl.DataFrame({"정류장 번호": ["A1", "A2"], "name": ["역전", "시청"], "lamps": [2, 0]}).write_parquet(sink)
    return sink.getvalue()


FEATURES = {
    "type": "FeatureCollection",
    "features": [
        {"type": "Feature", "geometry": None, "properties": {"정류장 번호": name, "name": said, "lamps": lamps}}
        for name, said, lamps in (("A1", "역전", 2), ("A2", "시청", 0))
    ],
}
RECORDS = [one["properties"] for one in FEATURES["features"]]
TEXT = "정류장 번호,name,lamps\nA1,역전,2\nA2,시청,0\n"
XML = "".join(
    f"<item><stop>{one['정류장 번호']}</stop><name>{one['name']}</name><lamps>{one['lamps']}</lamps></item>"
    for one in RECORDS
)


@pytest.mark.parametrize(
    ("data", "kind", "asked"),
    [
        (TEXT.encode(), "text/csv", {}),
        (TEXT.encode("cp949"), "text/csv", {}),
        (TEXT.encode("cp949"), "text/csv; charset=euc-kr", {"encoding": "cp949"}),
        (TEXT.encode("utf-8-sig"), "application/octet-stream", {"format": "csv"}),
        (sheet(), XLSX, {}),
        (sheet(), XLSX, {"sheet": "정류장"}),
        (table(), PARQUET, {}),
        (orjson.dumps(RECORDS), "application/json", {}),
        (orjson.dumps({"response": {"body": {"items": {"item": RECORDS}}}}), "application/json", {}),
        (f"<response><body><items>{XML}</items></body></response>".encode(), "application/xml", {}),
    ],
    ids=["utf-8", "cp949", "euc-kr", "bom", "xlsx", "sheet", "parquet", "json", "data.go.kr", "xml"],
)
async def test_a_file_comes_in_as_it_is(client, data, kind, asked):
    await declare(client, "stops", stops(geometry=None, map=None))
    answer = await bring(client, "stops", data, kind, **asked)
    assert (answer.status_code, answer.json()["rows"]) == (201, 2), answer.text
    found = (await rows(client))["rows"]
    assert [(one["stop"], one["name"], one["lamps"]) for one in found] == [("A1", "역전", 2), ("A2", "시청", 0)]


async def test_shapes_come_in_as_geojson(client):
    await declare(client, "areas", AREAS)
    shape = {"type": "Polygon", "coordinates": [[[127, 37], [128, 37], [128, 38], [127, 37]]]}
    feature = {"type": "Feature", "geometry": shape, "properties": {"code": "1", "name": "동"}}
    data = orjson.dumps({"type": "FeatureCollection", "features": [feature]})
    assert (await bring(client, "areas", data, "application/geo+json")).status_code == 201
    (found,) = (await told(client, "/v1/datasets/areas/map"))["features"]
    assert shapely.from_geojson(orjson.dumps(found["geometry"])).equals(shapely.from_geojson(orjson.dumps(shape)))


async def kinds(client):
    items = (await told(client, "/v1/datasets/stops/history", OPERATOR))["items"]
    return [one["type"].split(".")[2] for one in items]


async def test_the_same_file_again_confirms_and_stores_nothing(filled, backend):
    before = dict(backend.objects)
    assert (await bring(filled, "stops")).status_code == 201
    assert backend.objects == before
    assert (await kinds(filled))[-1] == "dataset-confirmed"


async def test_other_columns_are_flagged(filled):
    assert (await told(filled, "/v1/datasets/stops"))["columns_changed_at"] is None
    await bring(filled, "stops", ROWS.replace("width", "broad"))
    found = await told(filled, "/v1/datasets/stops")
    assert found["columns_changed_at"] is not None
    assert {("missing-column", "width"), ("extra-column", "broad")} <= {
        (one["kind"], one["column"]) for one in found["findings"]
    }
    assert "columns-changed" in await kinds(filled)


@pytest.mark.parametrize(
    ("data", "kind", "asked", "why"),
    [
        (b"", "text/csv", {}, "the body is empty"),
        (b"a,b\n1,2\n", "text/csv", {}, "none of the dataset's columns"),
        (b"{", "application/json", {}, "not JSON"),
        (b"not a workbook", XLSX, {}, ""),
        (b"not a table", PARQUET, {}, "Parquet"),
        (b"<a", "application/xml", {}, "not XML"),
        (ROWS.encode(), "application/pdf", {}, "give the format"),
        (ROWS.encode(), "text/csv", {"format": "pdf"}, "format"),
        (orjson.dumps(FEATURES)[:-5], "application/geo+json", {}, ""),
        (sheet(), XLSX, {"sheet": "none"}, "none"),
    ],
)
async def test_a_bad_file_is_told_and_changes_nothing(filled, backend, data, kind, asked, why):
    before, history = await told(filled, "/v1/datasets/stops"), await kinds(filled)
    objects = dict(backend.objects)
    answer = await bring(filled, "stops", data, kind, **asked)
    assert (answer.status_code, why in answer.text) == (422, True), answer.text
    after = await told(filled, "/v1/datasets/stops")
    assert {**after, "age_s": 0} == {**before, "age_s": 0}
    assert (await kinds(filled), backend.objects) == (history, objects)


async def test_a_process_of_its_own_reads_an_upload(client, monkeypatch):
    monkeypatch.undo()
    await declare(client, "stops", stops())
    assert (await bring(client, "stops")).json()["rows"] == 4
    assert "none of the dataset's columns" in (await bring(client, "stops", "a,b\n1,2\n")).text


async def test_uploads_join_where_rows_replace_those_of_their_key(client):
    await declare(client, "stops", stops(mode="upsert"))
    await bring(client, "stops", TEXT)
    answer = (await bring(client, "stops", "정류장 번호,name,lamps\nA2,시청,5\nA3,역,1\n")).json()
    assert (answer["rows"], answer["received"]) == (3, 2)
    assert [(one["stop"], one["lamps"]) for one in (await rows(client))["rows"]] == [("A1", 2), ("A2", 5), ("A3", 1)]


async def test_findings_are_listed_row_by_row_for_operators(filled):
    found = await told(filled, "/v1/datasets/stops/findings", OPERATOR)
    listed = {(one["row"], one["column"], one["kind"], one["action"], one["value"]) for one in found["items"]}
    assert listed == {(3, "lamps", "range", "kept", "12"), (4, "lamps", "unreadable", "emptied", "x")}
    assert all(one["detail"] and one["detail_ko"] for one in found["items"])
    first = await told(filled, "/v1/datasets/stops/findings?limit=1", OPERATOR)
    second = await told(filled, f"/v1/datasets/stops/findings?limit=1&cursor={first['next']}", OPERATOR)
    assert (first["items"] + second["items"], second["next"]) == (found["items"], None)


async def test_a_position_makes_the_reader_see_its_upload(filled):
    answer = await bring(filled, "stops", ROWS.replace("A", "B"))
    assert await ids(filled, f"min_position={answer.headers['bomnae-position']}") == ["B1", "B2", "B3", "B4"]


async def test_a_source_that_is_asked_now_fails_is_read_and_is_unchanged(backend, make_app, tmp_path, monkeypatch):
    app = make_app(Config(sources=Sources(folder=tmp_path)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://city") as client:
        await declare(client, "stops", stops(connector=FromFile(format="csv", file="stops.csv")))
        assert await asked_now(client) == (200, "failed")
        found = await told(client, "/v1/datasets/stops", STAFF)
        assert (found["status"], "stops.csv" in found["down_why"]) == ("down", True)
        (tmp_path / "stops.csv").write_text(ROWS)
        assert await asked_now(client) == (200, "refreshed")
        assert (await told(client, "/v1/datasets/stops"))["status"] == "fresh"
        assert await asked_now(client) == (200, "unchanged")


async def test_what_has_no_source_cannot_be_asked(filled):
    assert (await asked_now(filled))[0] == 409
    assert (await asked_now(filled, "ghost"))[0] == 404


async def test_a_file_read_by_the_declared_layout_needs_no_content_type(client):
    await declare(client, "stops", stops(reading=Layout(format="json", path="found")))
    answer = await bring(client, "stops", orjson.dumps({"found": RECORDS, "data": []}), "")
    assert (answer.status_code, answer.json().get("rows")) == (201, 2), answer.text
