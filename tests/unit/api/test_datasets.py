"""Rows of datasets over HTTP: in every format, on maps, in charts, of any version; and how new ones come in."""

import io

import httpx
import orjson
import polars as pl
import pyarrow as pa
import pytest
import shapely
import xlsxwriter

from schemas.dataset import Chart, FromCity, FromFile, Layout
from schemas.packs.load import load_pack
from serve.app import Config
from serve.catalogue.refreshing import Sources
from serve.catalogue.rounds import Rounds
from serve.routes import datasets
from tests.unit.api.conftest import OPERATOR, bearer
from tests.unit.api.memory import START
from tests.unit.api.test_catalogue import NOBODY, STAFF, bring, declare, told
from tests.unit.catalogue.entries import facts
from tests.unit.catalogue.service.declared import AREAS, OPEN, PEOPLE, ROWS, here, rows_of, stops
from tests.unit.catalogue.service.declared import job as job_of

ROAD = FromCity(table="road.segments")
PARQUET = "application/vnd.apache.parquet"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch):
    monkeypatch.setattr("serve.catalogue.refreshing.taken", here)


@pytest.fixture
async def filled(client):
    """A client of a catalogue with four bus stops."""
    await declare(client, "stops", stops())
    assert (await bring(client, "stops")).status_code == 201
    return client


async def rows(client, query="", dataset="stops", headers=NOBODY):
    return await told(client, f"/v1/datasets/{dataset}/rows?{query}", headers)


async def ids(client, query=""):
    return [one["stop"] for one in (await rows(client, query))["rows"]]


async def refused(client, path, status=422, headers=NOBODY):
    answer = await client.get(path, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_rows_come_with_their_total_version_and_lineage(filled):
    found = await rows(filled, "where=lamps>=0&limit=2")
    assert (found["dataset"], found["total"], len(found["rows"]), found["masked"]) == ("stops", 3, 2, [])
    assert found["rows"][0] == {
        "stop": "A1",
        "name": "역전",
        "lamps": 2,
        "width": 1.5,
        "lit": True,
        "built": "2020-01-02",
        "seen": "2026-01-15T00:00:00.000000Z",
        "lon": 127.7,
        "lat": 37.87,
    }
    assert found["lineage"]["query"].startswith("/v1/datasets/stops/rows?where=lamps")
    assert found["lineage"]["version"] == found["version"]


async def test_every_format_reads_back_as_the_same_rows(filled):
    async def asked(form):
        answer = await filled.get(f"/v1/datasets/stops/rows?format={form}")
        assert answer.status_code == 200, answer.text
        return answer.content

    whole = pl.read_parquet(io.BytesIO(await asked("parquet")))
    assert whole.equals(rows_of(await here(job_of(stops(), ROWS))).select(whole.columns))
    with pa.ipc.open_stream(await asked("arrow")) as stream:
        assert pl.DataFrame(stream.read_all()).equals(whole)
    csv = await asked("csv")
    assert csv.startswith(b"\xef\xbb\xbf")
    read = pl.read_csv(csv, schema_overrides={"stop": pl.String}, try_parse_dates=False)
    assert read["lamps"].to_list() == whole["lamps"].to_list()
    assert read["name"].to_list() == whole["name"].to_list()
    assert read["seen"].str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_zone="UTC").equals(whole["seen"])
    assert read["built"].str.to_date("%Y-%m-%d").equals(whole["built"])
    features = orjson.loads(await asked("geojson"))["features"]
    assert [one["properties"] for one in features] == (await rows(filled))["rows"]
    assert [one["lamps"] for one in (await rows(filled))["rows"]] == whole["lamps"].to_list()


async def test_a_csv_that_was_read_can_be_brought_in_again(filled):
    csv = (await filled.get("/v1/datasets/stops/rows?format=csv")).content
    await declare(filled, "copy", stops(rules=()))
    assert (await bring(filled, "copy", csv)).status_code == 201
    assert (await rows(filled, dataset="copy"))["rows"] == (await rows(filled))["rows"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("where=lamps>=1&sort=-lamps", ["A3", "A1"]),
        ("where=lamps>=0&where=lit=true", ["A1"]),
        ("where=name~시장", ["A3"]),
        ("where=name=", ["A4"]),
        ("where=seen<2026-01-15T10:00:00+09:00", ["A1", "A4"]),
        ("bbox=127.72,37.8,127.735,38", ["A2"]),
        ("bbox=127.72,37.8,127.735,38&where=lamps>0", []),
        ("sort=lit,-width", ["A2", "A1", "A4", "A3"]),
        ("limit=1", ["A1"]),
    ],
)
async def test_rows_are_those_asked_for(filled, query, found):
    assert await ids(filled, query) == found


async def test_columns_are_those_asked_for(filled):
    assert list((await rows(filled, "select=lamps,stop,lamps"))["rows"][0]) == ["lamps", "stop"]


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("where=ghost=1", "there are stop, name"),
        ("where=lamps=two", "holds a integer"),
        ("where=lamps", "is no condition"),
        ("where=lamps~2", "lamps is no text"),
        ("select=ghost", "no column 'ghost'"),
        ("sort=-ghost", "no column 'ghost'"),
        ("bbox=1,2,3", "west,south,east,north"),
        ("bbox=128,37,127,38", "west before east"),
        ("bbox=nan,nan,nan,nan", "west,south,east,north"),
        ("limit=0", "limit"),
        ("limit=100001", "limit"),
        ("format=xls", "format"),
        ("cursor=zzz", "cursor"),
        ("colour=red", "colour"),
        ("as_of=yesterday", "as_of"),
    ],
)
async def test_a_bad_question_is_told_what_is_wrong(filled, query, why):
    assert why in str(await refused(filled, f"/v1/datasets/stops/rows?{query}"))


async def test_the_pages_go_on_with_the_version_that_they_began_with(filled):
    first = await rows(filled, "limit=3&sort=-stop")
    assert (await bring(filled, "stops", ROWS.replace("A", "B"))).status_code == 201
    second = await rows(filled, f"limit=3&sort=-stop&cursor={first['next']}")
    assert [one["stop"] for one in first["rows"] + second["rows"]] == ["A4", "A3", "A2", "A1"]
    assert (second["next"], second["version"]) == (None, first["version"])
    assert await ids(filled, "sort=-stop") == ["B4", "B3", "B2", "B1"]


async def test_the_next_page_is_named_in_a_header_where_there_is_no_json(filled):
    answer = await filled.get("/v1/datasets/stops/rows?format=csv&limit=3")
    following = await filled.get(f"/v1/datasets/stops/rows?format=csv&limit=3&cursor={answer.headers['bomnae-next']}")
    assert "A4" in following.text
    assert "bomnae-next" not in following.headers


async def test_a_cursor_of_a_version_that_is_gone_is_told(filled, backend):
    first = await rows(filled, "limit=3")
    await bring(filled, "stops", ROWS.replace("A", "B"))
    backend.pass_time(24 * 100)
    await Rounds(backend, Sources()).thin(datasets_of(filled).standings())
    await refused(filled, f"/v1/datasets/stops/rows?limit=3&cursor={first['next']}", 410)
    assert len([name for name in backend.objects if name.startswith("datasets/")]) == 2


def datasets_of(client):
    return client._transport.app.state.desk


async def test_the_rows_of_a_moment_are_those_of_its_version(filled, backend):
    between = backend.now()
    await bring(filled, "stops", ROWS.replace("A", "B"))
    assert await ids(filled, f"as_of={between.isoformat().replace('+00:00', 'Z')}") == ["A1", "A2", "A3", "A4"]
    assert await ids(filled, f"as_of={backend.now().isoformat().replace('+00:00', 'Z')}") == ["B1", "B2", "B3", "B4"]
    gone = await refused(filled, f"/v1/datasets/stops/rows?as_of={START.isoformat().replace('+00:00', 'Z')}", 410)
    assert "no version" in gone["detail"]


async def test_rows_of_before_are_shown_in_the_columns_of_now(filled, backend):
    between = backend.now().isoformat().replace("+00:00", "Z")
    lamps = stops().columns[2].model_copy(update={"kind": "text"})
    columns = (*stops().columns[:2], lamps, *stops().columns[3:], stops().columns[0].model_copy(update={"id": "extra"}))
    await declare(filled, "stops", stops(columns=columns, rules=()))
    found = (await rows(filled, f"as_of={between}&where=lamps=12"))["rows"]
    assert [(one["stop"], one["lamps"], one["extra"]) for one in found] == [("A3", "12", None)]


async def test_before_any_rows_all_formats_are_empty_and_a_chart_is_told(client):
    await declare(client, "stops", stops())
    assert (await rows(client, "where=lamps>2&sort=-seen&bbox=127,37,128,38"))["rows"] == []
    for form in ("csv", "parquet", "arrow", "geojson"):
        assert (await client.get(f"/v1/datasets/stops/rows?format={form}")).status_code == 200
    assert (await told(client, "/v1/datasets/stops/map?where=lamps>2"))["features"] == []
    assert (await told(client, "/v1/datasets/stops/tiles/0/0/0"))["features"] == []
    assert (await client.get("/v1/datasets/stops/map?format=svg")).status_code == 200
    assert "no rows yet" in (await refused(client, "/v1/datasets/stops/chart", 409))["detail"]
    assert (await client.get("/v1/datasets/stops/rows?as_of=2026-01-15T03:00:01Z")).status_code == 410


async def test_a_map_is_geojson_with_where_it_comes_from(filled):
    found = await told(filled, "/v1/datasets/stops/map?where=lamps>0")
    assert (found["type"], found["attribution"]) == ("FeatureCollection", facts().source)
    assert [one["properties"]["stop"] for one in found["features"]] == ["A1", "A3"]
    assert shapely.from_geojson(orjson.dumps(found)).geom_type == "GeometryCollection"
    assert found["lineage"]["query"].startswith("/v1/datasets/stops/map")


async def test_too_many_features_are_told_with_what_to_do(filled, monkeypatch):
    monkeypatch.setattr(datasets, "MOST_FEATURES", 3)
    assert "give a bbox, or ask for tiles" in (await refused(filled, "/v1/datasets/stops/map"))["detail"]
    assert len((await told(filled, "/v1/datasets/stops/map?bbox=127,37,128,38"))["features"]) == 3
    assert (await told(filled, "/v1/datasets/stops/tiles/0/0/0"))["left_out"] == 0


async def test_tiles_hold_what_lies_in_them(filled):
    found = await told(filled, "/v1/datasets/stops/tiles/10/875/395?where=lamps>=0")
    assert [one["properties"]["stop"] for one in found["features"]] == ["A1", "A2", "A3"]
    assert (await told(filled, "/v1/datasets/stops/tiles/12/0/0"))["features"] == []
    for tile in ("12/4096/0", "0/0/1", "23/0/0", "-1/0/0"):
        await refused(filled, f"/v1/datasets/stops/tiles/{tile}")


async def test_what_has_no_places_makes_no_map(client):
    await declare(client, "bare", facts(**OPEN))
    for path in ("map", "tiles/0/0/0", "rows?format=geojson", "map?format=svg"):
        assert "no places" in (await refused(client, f"/v1/datasets/bare/{path}"))["detail"]


async def test_a_chart_leads_back_to_its_source_and_query(filled):
    spec = orjson.loads((await filled.get("/v1/datasets/stops/chart?where=lamps>=0")).content)
    assert [(one["x"], one["y"]) for one in spec["data"]["values"]] == [(0, 1), (2, 1), (12, 1)]
    lineage = spec["usermeta"]["lineage"]
    assert lineage["query"].startswith("/v1/datasets/stops/chart?where=lamps")
    again = await told(filled, lineage["query"].replace("/chart", "/rows"))
    assert (again["total"], again["version"]) == (3, lineage["version"])
    assert spec["title"]["subtitle"] == [f"출처 source: {facts().source}"]


@pytest.mark.parametrize("path", ["chart", "map"])
async def test_charts_and_maps_come_as_pictures(filled, path):
    svg = await filled.get(f"/v1/datasets/stops/{path}?format=svg")
    assert (svg.headers["content-type"], "버스정류장" in svg.text) == ("image/svg+xml", True)
    png = await filled.get(f"/v1/datasets/stops/{path}?format=png")
    assert png.content.startswith(b"\x89PNG")


async def test_a_dataset_without_a_chart_makes_none(client):
    await declare(client, "bare", stops(chart=None))
    await bring(client, "bare")
    assert "no chart is declared" in (await refused(client, "/v1/datasets/bare/chart"))["detail"]


MEMBERS = "stop,phone,dong,age,lamps,lon,lat\n" + "".join(
    f"M{number},010-{number}000,{dong},{age},{number},127.7{number},37.88\n"
    for number, (dong, age) in enumerate([("석사", 20)] * 3 + [("퇴계", 30)] * 2)
)


async def test_of_people_citizens_see_no_phone_and_no_small_group(client):
    await declare(client, "members", PEOPLE)
    await bring(client, "members", MEMBERS.replace("stop,", "정류장 번호,"))
    found = await rows(client, dataset="members")
    assert found["masked"] == ["phone"]
    assert [(one["phone"], one["dong"], one["age"]) for one in found["rows"]] == [
        *[(None, "석사", 20)] * 3,
        *[(None, None, None)] * 2,
    ]
    for query, total in (("where=phone~010", 0), ("where=phone=", 5), ("where=dong=퇴계", 0), ("where=age>25", 0)):
        assert (await rows(client, query, "members"))["total"] == total
    for path in ("rows?format=csv", "map", "chart", "tiles/0/0/0", "map?format=svg", "rows?sort=-phone&format=geojson"):
        answer = await client.get(f"/v1/datasets/members/{path}")
        assert answer.status_code == 200
        assert not any(secret in answer.text for secret in ("010-", "퇴계"))
    own = await rows(client, "where=phone~010&where=dong=퇴계", "members", STAFF)
    assert (own["total"], own["masked"], own["rows"][0]["phone"]) == (2, [], "010-3000")


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


async def asked_now(client, dataset="stops"):
    answer = await client.post(f"/v1/datasets/{dataset}/refresh", headers=OPERATOR)
    return answer.status_code, answer.json().get("outcome")


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


async def test_the_citys_own_tables_are_datasets(city, backend):
    columns = tuple(
        facts().columns[0].model_copy(update={"id": name, "kind": kind})
        for name, kind in (("segment", "text"), ("road", "text"), ("line", "text"), ("length_m", "number"))
    )
    geometry = {"shape": "wkt", "column": "line"}
    chart = Chart(mark="bar", x="road", y="length_m", aggregate="sum").model_dump()
    body = facts(columns=columns, connector=ROAD, **OPEN).model_dump(mode="json")
    await declare(city, "segments", body | {"geometry": geometry, "chart": chart})
    found = await rows(city, "sort=segment", "segments")
    assert [one["segment"] for one in found["rows"]] == ["alley-1", "jungang-1", "jungang-2"]
    assert (found["version"], found["status"], found["lineage"]["table"]) == (None, "fresh", "road.segments")
    placed = [one for one in (await told(city, "/v1/datasets/segments/map"))["features"] if one["geometry"]]
    assert placed[0]["geometry"]["coordinates"] == [[127.73, 37.88], [127.74, 37.88]]
    assert (await rows(city, "bbox=127.735,37,128,38", "segments"))["total"] == 1
    bars = (await told(city, "/v1/datasets/segments/chart"))["data"]["values"]
    assert {one["x"]: one["y"] for one in bars} == {"jungang": 120.5, "alley": None}
    assert (await bring(city, "segments")).status_code == 409
    assert (await asked_now(city, "segments"))[0] == 409


async def test_the_citys_own_tables_are_those_of_a_moment(city, backend):
    columns = (facts().columns[0].model_copy(update={"id": "road"}),)
    await declare(city, "roads", facts(columns=columns, connector=FromCity(table="road.roads"), **OPEN))
    moment = backend.now().isoformat().replace("+00:00", "Z")
    body = {"name_ko": "새길", "name_en": "New road", "rank": "107", "segments": [{"segment": "new-1"}]}
    assert (await city.put("/v1/roads/new", json=body, headers=bearer("road"))).status_code == 200
    assert (await rows(city, "", "roads"))["total"] == 3
    assert (await rows(city, f"as_of={moment}", "roads"))["total"] == 2


async def test_a_column_of_another_kind_than_the_citys_is_told(city):
    columns = (facts().columns[0].model_copy(update={"id": "road", "kind": "integer"}),)
    await declare(city, "odd", facts(columns=columns, connector=FromCity(table="road.roads"), **OPEN))
    assert "other kinds than declared" in (await refused(city, "/v1/datasets/odd/rows"))["detail"]
    await declare(city, "none", facts(connector=FromCity(table="road.nothing"), **OPEN))
    assert "keeps no table" in (await refused(city, "/v1/datasets/none/rows"))["detail"]


LIVE = {
    name: one
    for name, one in load_pack("chuncheon").datasets.items()
    if one.connector is not None and one.connector.by == "city"
}


@pytest.mark.parametrize("dataset", LIVE)
async def test_every_live_dataset_of_the_pack_answers_with_and_without_data(city, client, dataset):
    one = LIVE[dataset]
    await declare(client, dataset, one)
    found = await rows(client, "", dataset, OPERATOR)
    assert found["status"] == "fresh"
    paths = ["rows?format=csv", "rows?format=parquet", "rows?format=arrow"]
    paths += ["chart"] if one.chart is not None else []
    paths += ["map", "map?format=svg", "tiles/10/875/395"] if one.geometry is not None else []
    for path in paths:
        answer = await client.get(f"/v1/datasets/{dataset}/{path}", headers=OPERATOR)
        assert answer.status_code == 200, (path, answer.text)


async def test_a_file_read_by_the_declared_layout_needs_no_content_type(client):
    await declare(client, "stops", stops(reading=Layout(format="json", path="found")))
    answer = await bring(client, "stops", orjson.dumps({"found": RECORDS, "data": []}), "")
    assert (answer.status_code, answer.json().get("rows")) == (201, 2), answer.text
