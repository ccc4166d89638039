"""Rows of datasets over HTTP: in every format, of any version, and of people what may be seen."""

import io

import orjson
import polars as pl
import pyarrow as pa
import pytest

from serve.catalogue.refreshing import Sources
from serve.catalogue.rounds import Rounds
from tests.unit.api.conftest import OPERATOR
from tests.unit.api.datasets import NOBODY, STAFF, bring, declare, ids, refused, rows, told
from tests.unit.api.memory import START
from tests.unit.catalogue.service.declared import PEOPLE, ROWS, here, rows_of, stops
from tests.unit.catalogue.service.declared import job as job_of

pytestmark = pytest.mark.usefixtures("read_here")


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


@pytest.mark.parametrize(
    "path", ["rows", "rows?format=csv&where=lamps>=2", "map", "map?format=svg", "chart", "tiles/12/3500/1586"]
)
async def test_what_a_client_has_is_not_sent_again_until_rows_or_question_change(filled, path):
    async def asked(tag=None, headers=NOBODY, path=path):
        more = {} if tag is None else {"if-none-match": tag}
        answer = await filled.get(f"/v1/datasets/stops/{path}", headers={**(headers or {}), **more})
        assert answer.status_code in {200, 304}, answer.text
        return answer

    first = await asked()
    same = await asked(first.headers["etag"])
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", first.headers["etag"])
    assert (await asked(first.headers["etag"], OPERATOR)).status_code == 200
    assert (await asked(first.headers["etag"], path=f"{path}{'&' if '?' in path else '?'}bbox=127,37,128,38")).content
    await bring(filled, "stops", ROWS.replace("A1", "B1"))
    assert (await asked(first.headers["etag"])).status_code == 200


async def test_a_cursor_of_a_version_that_is_gone_is_told(filled, backend):
    first = await rows(filled, "limit=3")
    await bring(filled, "stops", ROWS.replace("A", "B"))
    backend.pass_time(24 * 100)
    await Rounds(backend, Sources()).thin(filled._transport.app.state.desk.standings())
    await refused(filled, f"/v1/datasets/stops/rows?limit=3&cursor={first['next']}", 410)
    assert len([name for name in backend.objects if name.startswith("datasets/")]) == 2


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
