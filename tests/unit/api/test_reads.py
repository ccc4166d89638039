"""Reads: one view for all tables, rendered once, paged by keys, of now or of a past moment."""

import asyncio
import gzip
import zlib
from base64 import urlsafe_b64encode

import httpx
import pyarrow as pa
import pytest

from schemas import tables
from schemas.errors import InvalidError
from serve import paging, positions, render
from serve.backend import Piece
from tests.unit.api.conftest import BRIDGE, OPERATOR, ROAD, SAFETY, bearer, reading

ARROW = {"accept": "application/vnd.apache.arrow.stream"}
BRIDGE_1 = bearer("device", facility="bridge-1")


async def _raise_alarm(city):
    answer = await city.post("/v1/readings", json=reading("tilt-1", 6.0), headers=BRIDGE_1)
    position = answer.json()["position"]
    assert (await city.get("/v1/alarms", params={"min_position": position})).json()["items"]
    return position


async def test_a_facility_shows_its_sensors_its_alarms_and_why_it_is_in_danger(city):
    await _raise_alarm(city)
    state = (await city.get("/v1/facilities/bridge-1")).json()
    assert [one["sensor"] for one in state["sensors"]] == ["tilt-1", "tilt-2"]
    assert [one["alarm"] for one in state["alarms"]] == ["tilt-1.high-danger.1"]
    assert state["risk"] == "danger"
    assert any("tilt" in reason for reason in state["reasons"])
    other = (await city.get("/v1/facilities/bridge-2")).json()
    assert (other["risk"], other["alarms"]) == ("normal", [])


async def test_all_sensors_come_in_one_read(city):
    await _raise_alarm(city)
    found = (await city.get("/v1/sensors/latest")).json()
    assert found["next"] is None
    assert {one["sensor"]: one["value"] for one in found["items"]} == {"tilt-1": 6.0, "tilt-2": None, "tilt-3": None}
    assert found["items"][0]["time"] == "2026-01-15T03:00:00.000000Z"
    filtered = (await city.get("/v1/sensors/latest?facility=bridge-2")).json()["items"]
    assert [one["sensor"] for one in filtered] == ["tilt-3"]


async def test_pages_follow_each_other_without_a_gap_or_repeat_when_rows_come_in_between(city):
    first = (await city.get("/v1/sensors/latest?limit=2")).json()
    assert [one["sensor"] for one in first["items"]] == ["tilt-1", "tilt-2"]
    body = {"kind": "tilt", "unit": "mm/m"}
    assert (await city.put("/v1/facilities/bridge-1/sensors/tilt-0", json=body, headers=SAFETY)).status_code == 200
    second = (await city.get("/v1/sensors/latest", params={"limit": 2, "cursor": first["next"]})).json()
    assert [one["sensor"] for one in second["items"]] == ["tilt-3"]
    assert second["next"] is None


def test_a_cursor_keeps_its_key_and_refuses_another_lists():
    cursor = paging.encode((1, "105"))
    assert paging.decode(cursor, int, str) == (1, "105")
    with pytest.raises(Exception, match="cursor"):
        paging.decode(cursor, str)


async def test_an_unchanged_state_is_not_sent_again(city):
    first = await city.get("/v1/facilities/bridge-1")
    again = await city.get("/v1/facilities/bridge-1", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    # A commit elsewhere in the city moves the view, but not what is said of this bridge.
    body = {"kind": "tilt", "unit": "mm/m"}
    await city.put("/v1/facilities/bridge-2/sensors/tilt-9", json=body, headers=SAFETY)
    again = await city.get("/v1/facilities/bridge-1", headers={"if-none-match": f'"x", {first.headers["etag"]}'})
    assert again.status_code == 304
    await _raise_alarm(city)
    again = await city.get("/v1/facilities/bridge-1", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 200


async def test_gzip_is_sent_where_it_is_accepted_and_worth_it(city):
    plain = await city.get("/v1/sensors/latest", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    async with city.stream("GET", "/v1/sensors/latest", headers={"accept-encoding": "gzip"}) as packed:
        raw = b"".join([part async for part in packed.aiter_raw()])
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw) == plain.content
    small = await city.get("/v1/alarms", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in small.headers
    refused = await city.get("/v1/sensors/latest", headers={"accept-encoding": "gzip;q=0"})
    assert "content-encoding" not in refused.headers


async def test_a_large_table_is_rendered_aside_and_reads_the_same(city, monkeypatch):
    here = await city.get("/v1/sensors/latest")
    body = {"kind": "tilt", "unit": "mm/m"}
    await city.put("/v1/facilities/bridge-2/sensors/tilt-9", json=body, headers=SAFETY)
    monkeypatch.setattr(render, "_LARGE_ROWS", 0)
    aside = await asyncio.gather(*(city.get("/v1/sensors/latest") for _ in range(3)))
    assert len({one.content for one in aside}) == 1
    assert [one["sensor"] for one in aside[0].json()["items"]] == ["tilt-1", "tilt-2", "tilt-3", "tilt-9"]
    assert aside[0].json()["items"][:3] == here.json()["items"]


async def test_rendered_bodies_are_forgotten_when_they_fill_their_room(backend):
    renderer = render.Renderer(max_bytes=30_000)
    view = backend.view("facility")
    for number in range(50):
        renderer._keep(number, b"x" * 9_000, render.JSON, view)
        renderer._keep(number, b"x" * 9_000, render.JSON, view)
    assert len(renderer._kept) == 3
    assert renderer._bytes == sum(one.size for one in renderer._kept.values())


async def test_small_bodies_under_long_keys_do_not_outgrow_their_room(make_app, city):
    app = make_app()
    app.state.renderer = renderer = render.Renderer(max_bytes=100_000)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://city") as client:
        for number in range(100):
            cursor = paging.encode((f"zzz-{number}-" + "x" * 600,))
            assert (await client.get("/v1/facilities", params={"cursor": cursor})).status_code == 200
    assert len(renderer._kept) < 100_000 / 1_500


async def test_what_was_compressed_counts_too(make_app, city):
    app = make_app()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://city") as client:
        for _ in range(2):
            assert (await client.get("/v1/sensors/latest")).headers["content-encoding"] == "gzip"
    (kept,) = app.state.renderer._kept.values()
    assert app.state.renderer._bytes == kept.size > len(kept.body) + len(kept.gzipped)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (render.ARROW, render.ARROW),
        (f"application/json, {render.ARROW}", render.ARROW),
        (f"application/json;q=0.5, {render.ARROW.upper()}; q=0.8", render.ARROW),
        (f"application/json, {render.ARROW};q=0.8", render.JSON),
        (f"{render.ARROW};q=0", render.JSON),
        (f"{render.ARROW};q=0.000, */*", render.JSON),
        (f"{render.ARROW};q=x", render.JSON),
        ("*/*", render.JSON),
    ],
)
async def test_arrow_comes_to_who_wants_it(city, accept, kind):
    answer = await city.get("/v1/facilities", headers={"accept": accept})
    assert answer.headers["content-type"] == kind


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/v1/facilities", tables.FACILITIES),
        ("/v1/sensors/latest", tables.SENSORS),
        ("/v1/roads", tables.SEGMENTS),
        ("/v1/works", tables.WORKS),
        ("/v1/snow", tables.SEGMENTS),
        ("/v1/snow-events", tables.SNOW),
        ("/v1/alarms", tables.ALARMS),
    ],
)
async def test_a_table_read_as_arrow_has_the_published_schema(city, path, schema):
    answer = await city.get(path, headers=ARROW | bearer("staff"))
    assert answer.headers["content-type"] == ARROW["accept"]
    table = pa.ipc.open_stream(answer.content).read_all()
    assert table.schema.remove_metadata().equals(schema)


async def test_an_arrow_page_names_the_next_one(city):
    answer = await city.get("/v1/sensors/latest?limit=2", headers=ARROW)
    table = pa.ipc.open_stream(answer.content).read_all()
    cursor = table.schema.metadata[b"next"].decode()
    answer = await city.get("/v1/sensors/latest", params={"limit": 2, "cursor": cursor}, headers=ARROW)
    assert pa.ipc.open_stream(answer.content).read_all()["sensor"].to_pylist() == ["tilt-3"]


async def test_who_acted_on_an_alarm_is_shown_to_staff_alone(city):
    await _raise_alarm(city)
    await city.post("/v1/alarms/tilt-1.high-danger.1/acknowledge", headers=SAFETY)
    for path, alarms in (("/v1/alarms", "items"), ("/v1/facilities/bridge-1", "alarms")):
        public = (await city.get(path)).json()[alarms][0]
        staff = (await city.get(path, headers=bearer("staff"))).json()[alarms][0]
        assert "acknowledged_by" not in public
        assert staff["acknowledged_by"] == "kim"
        citizen = (await city.get(path, headers=bearer("citizen"))).json()[alarms][0]
        assert citizen == public
    answer = await city.get("/v1/alarms", headers=ARROW)
    assert "acknowledged_by" not in pa.ipc.open_stream(answer.content).schema.names


async def test_history_tells_the_public_what_the_feed_does(city):
    await _raise_alarm(city)
    await city.post("/v1/alarms/tilt-1.high-danger.1/acknowledge", headers=SAFETY, json={"note": "on my way"})
    public = (await city.get("/v1/facilities/bridge-1/history")).json()["items"]
    staff = (await city.get("/v1/facilities/bridge-1/history", headers=bearer("staff"))).json()["items"]
    assert "city.facility.sensor-registered.v1" in {one["type"] for one in staff}
    assert "city.facility.sensor-registered.v1" not in {one["type"] for one in public}
    assert "on my way" in str(staff)
    assert "on my way" not in str(public)
    assert "kim" not in str(public)
    assert [one["type"] for one in public][-2:] == [
        "city.facility.risk-level-changed.v1",
        "city.facility.alarm-acknowledged.v1",
    ]


async def test_history_says_what_is_made_up(city):
    real = {name: value for name, value in BRIDGE.items() if name != "synthetic"}
    await city.put("/v1/facilities/bridge-9", json=real, headers=SAFETY)
    for bridge, synthetic in (("bridge-1", True), ("bridge-9", False)):
        (first, *_) = (await city.get(f"/v1/facilities/{bridge}/history")).json()["items"]
        assert first["synthetic"] is synthetic


async def test_history_is_paged_by_position(city):
    seen, cursor = [], None
    while True:
        query = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        page = (await city.get("/v1/facilities/bridge-1/history", params=query, headers=bearer("staff"))).json()
        seen += [one["id"] for one in page["items"]]
        if (cursor := page["next"]) is None:
            break
    whole = (await city.get("/v1/facilities/bridge-1/history", headers=bearer("staff"))).json()["items"]
    assert seen == [one["id"] for one in whole]
    assert len(seen) == 3


@pytest.mark.parametrize("query", ["min_position=garbage", "as_of=2026-01-15T03:00:00Z", "limt=5", "limit=0"])
async def test_a_history_takes_no_parameters_but_its_own(city, query):
    for path in ("/v1/facilities/bridge-1/history", "/v1/roads/jungang/history"):
        assert (await city.get(f"{path}?{query}")).status_code == 422


async def test_a_history_waits_for_a_write_is_compressed_and_not_sent_twice(city, backend):
    answer = await city.post("/v1/facilities/bridge-1/maintenance", json={"reason": "x"}, headers=SAFETY)
    path, position = "/v1/facilities/bridge-1/history", answer.json()["position"]
    whole = await city.get(path, params={"min_position": position}, headers=bearer("staff"))
    assert whole.json()["items"][-1]["type"] == "city.facility.maintenance-begun.v1"
    assert whole.headers["content-encoding"] == "gzip"
    again = await city.get(path, headers=bearer("staff") | {"if-none-match": whole.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    # The public is shown less of it, under a tag of its own.
    assert (await city.get(path, headers={"if-none-match": whole.headers["etag"]})).status_code == 200
    backend.stuck = True
    assert (await city.get(path, params={"min_position": position})).status_code == 503


async def test_the_description_offers_arrow_only_where_it_comes(city):
    paths = (await city.get("/openapi.json")).json()["paths"]
    for path in ("/v1/facilities/{facility}/history", "/v1/roads/{road}/history", "/v1/rejected"):
        assert list(paths[path]["get"]["responses"]["200"]["content"]) == ["application/json"]


async def test_the_state_of_a_past_moment_can_be_read(city, backend):
    before = backend.now().isoformat()
    await _raise_alarm(city)
    past = (await city.get("/v1/facilities/bridge-1", params={"as_of": before})).json()
    assert (past["risk"], past["alarms"]) == ("normal", [])
    assert (await city.get("/v1/facilities/bridge-1")).json()["risk"] == "danger"
    assert (await city.get("/v1/alarms", params={"as_of": before})).json()["items"] == []


async def test_an_unescaped_plus_in_a_time_is_understood(city, backend):
    moment = backend.now().isoformat()
    assert "+00:00" in moment
    assert (await city.get(f"/v1/facilities?as_of={moment}")).status_code == 200


async def test_a_read_waits_for_a_write_or_says_503(city, backend):
    answer = await city.post("/v1/readings", json=reading("tilt-1", 6.0), headers=BRIDGE_1)
    position = answer.json()["position"]
    backend.stuck = True
    late = await city.get("/v1/alarms", params={"min_position": position})
    assert late.status_code == 503
    assert late.headers["retry-after"] == "1"
    backend.stuck = False
    assert (await city.get("/v1/alarms", params={"min_position": position})).json()["items"]


async def test_roads_are_geojson_with_null_where_no_line_is_known(city):
    answer = await city.get("/v1/roads")
    assert answer.headers["content-type"] == "application/geo+json"
    found = {one["id"]: one for one in answer.json()["features"]}
    assert found["jungang-1"]["geometry"] == {
        "type": "LineString",
        "coordinates": [[127.73, 37.88], [127.74, 37.88]],
    }
    assert found["jungang-2"]["geometry"] is None
    assert found["alley-1"]["properties"]["rank"] == "108"
    assert "line" not in found["alley-1"]["properties"]


async def test_snow_lists_the_uncleared_first_by_rank_and_age(city):
    begun = await city.post("/v1/snow", json={"snow": "snow-1", "depth_cm": 4.0}, headers=ROAD)
    assert begun.status_code == 201
    cleared = {"state": "cleared"}
    assert (await city.patch("/v1/roads/jungang/segments/jungang-1", json=cleared, headers=ROAD)).status_code == 200
    items = (await city.get("/v1/snow")).json()["items"]
    assert [one["segment"] for one in items] == ["jungang-2", "alley-1", "jungang-1"]
    paged, cursor = [], None
    for _ in range(3):
        page = (await city.get("/v1/snow", params={"limit": 1} | ({"cursor": cursor} if cursor else {}))).json()
        paged += [one["segment"] for one in page["items"]]
        cursor = page["next"]
    assert (paged, cursor) == (["jungang-2", "alley-1", "jungang-1"], None)


async def test_browsers_from_anywhere_may_read_and_see_the_position(city):
    answer = await city.get("/v1/facilities", headers={"origin": "https://map.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "bomnae-position" in answer.headers["access-control-expose-headers"].lower()
    preflight = {"origin": "https://map.example", "access-control-request-method": "PATCH"}
    assert (await city.options("/v1/works/w-1", headers=preflight)).status_code == 200


async def test_what_a_read_says_is_rendered_once_per_state(city, make_app, monkeypatch):
    calls = []
    whole = render.json_rows
    monkeypatch.setattr(render, "json_rows", lambda frame: calls.append(1) or whole(frame))
    for _ in range(5):
        await city.get("/v1/sensors/latest")
    assert len(calls) == 1


@pytest.mark.parametrize(
    "path",
    [
        "/v1/facilities",
        "/v1/facilities/bridge-1/history",
        "/v1/roads/jungang",
        "/v1/rejected",
        "/healthz",
        "/docs",
        "/none",
    ],
)
async def test_head_is_answered_like_get_without_the_body(city, path):
    whole, head = await city.get(path, headers=OPERATOR), await city.head(path, headers=OPERATOR)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    assert dict(head.headers) == dict(whole.headers)


async def test_head_needs_the_rights_of_get_and_answers_304(city):
    assert (await city.head("/v1/rejected")).status_code == 401
    tag = (await city.get("/v1/facilities")).headers["etag"]
    assert (await city.head("/v1/facilities", headers={"if-none-match": tag})).status_code == 304


async def test_a_stream_without_end_has_no_head_and_every_other_get_names_it(city):
    live = await city.head("/v1/live")
    assert (live.status_code, live.headers["allow"]) == (405, "GET")
    assert (await city.delete("/v1/facilities")).headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("shards", [1, 40, 220, 1024])
def test_a_position_of_many_shards_is_taken_back(shards):
    position = tuple(Piece("road", number, 9_876_543_210 - 7919 * number**2) for number in range(shards))
    text = positions.encode(position)
    assert len(text) <= positions.LONGEST
    assert positions.decode(text, lambda _: shards) == position


@pytest.mark.parametrize("said", [b"x", zlib.compress(b"f0.1~!"), zlib.compress(b"f0.1~" * 9)[:-9], zlib.compress(b"")])
def test_what_only_looks_compressed_is_no_position(said):
    with pytest.raises(InvalidError):
        positions.decode(urlsafe_b64encode(said).decode(), lambda _: 1)
