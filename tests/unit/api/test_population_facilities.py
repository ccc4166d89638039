"""People over facilities by HTTP: who has one in reach on foot, how the ways were found, and where there is none."""

import orjson
import pytest

from serve.population import reached
from tests.unit.api.conftest import ROAD, SAFETY, bearer
from tests.unit.api.populated import FILE, A, B, C, area_rows, boardings, middle, point_rows, publish, register, send
from tests.unit.catalogue.entries import LAT, LON, NAME

SHELTER = {"name_ko": "스마트쉼터 1", "name_en": "Smart shelter 1", "kind": "shelter", "synthetic": True}
POINTS = {
    "columns": [one.model_dump() for one in (NAME, LON, LAT)],
    "geometry": {"shape": "point", "x": "lon", "y": "lat"},
    "map": {"label": "name"},
}


@pytest.fixture
async def counted(client, backend):
    """Boardings in three cells, one shelter in the middle of the first; the others lie 500 m and more from it."""
    await publish(backend, client, "areas", area_rows())
    await register(client)
    assert (await send(client, FILE)).status_code == 202
    await shelter(client, "shelter-1", middle(A))
    return client


async def shelter(client, name, at=None):
    body = SHELTER | ({} if at is None else {"position": {"lon": at[0], "lat": at[1], "synthetic": True}})
    answer = await client.put(f"/v1/facilities/{name}", json=body, headers=SAFETY)
    assert answer.status_code == 200, answer.text


async def ask(client, query="", layer="shelter", **headers):
    answer = await client.get(
        f"/v1/population/facilities?measure=boardings&reach_min=5&layer={layer}{query}", headers=headers
    )
    assert answer.status_code == 200, answer.text
    return answer


def gaps(said):
    return [(row["cell"], row["mean"]) for row in said["gaps"]]


async def test_people_in_reach_of_a_facility_and_the_gaps_are_told_with_their_share(counted):
    said = (await ask(counted, "&hours=7-9")).json()
    (row,) = said["facilities"]
    assert (row["facility"], row["name"], row["in_reach"], row["nearest"]) == ("shelter-1", "스마트쉼터 1", 100, 100)
    assert gaps(said) == [(B, 20), (C, None)]
    assert [(one["people"], one["in_reach"], round(one["share"], 3)) for one in said["totals"]] == [(120, 100, 0.833)]
    assert (said["reach_min"], said["walk_m_per_min"], said["layer_synthetic"]) == (5, 67, 1)
    assert "not people present" in said["not_en"]


async def test_a_longer_reach_leaves_fewer_gaps(counted):
    assert gaps((await ask(counted, "&hours=7-9&reach_min=10")).json()) == [(C, None)]
    assert gaps((await ask(counted, "&hours=7-9&reach_min=11")).json()) == []


async def test_without_roads_ways_are_straight_lines_and_the_answer_says_so(counted):
    said = (await ask(counted)).json()
    assert {row["method"] for row in said["cells"]} == {"straight-line"}
    assert (said["distances"], said["nearest_by_road"]) == ("straight line", 0)
    assert 490 < {row["cell"]: row["metres"] for row in said["cells"]}[B] < 510


async def test_where_a_road_leads_the_way_is_along_it(counted):
    (lon, lat), (far_lon, far_lat) = middle(A), middle(B)
    line = [[lon, lat], [lon + 0.006, lat], [far_lon + 0.006, far_lat], [far_lon, far_lat]]
    facts = {"name_ko": "돌아가는 길", "name_en": "detour", "rank": "108", "synthetic": True}
    body = facts | {"segments": [{"segment": "detour-1", "line": line}]}
    assert (await counted.put("/v1/roads/detour", json=body, headers=ROAD)).status_code == 200
    said = (await ask(counted)).json()
    ways = {row["cell"]: (row["method"], row["metres"]) for row in said["cells"]}
    assert ways[B][0] == "roads"
    assert 1_500 < ways[B][1] < 1_600
    assert "along roads" in said["distances"]


async def test_the_lines_of_a_dataset_lead_people_too(counted, backend):
    lines = area_rows().head(1).drop("name")
    (lon, lat), (far_lon, far_lat) = middle(A), middle(B)
    wkt = f"LINESTRING ({lon} {lat}, {far_lon} {far_lat})"
    await publish(
        backend, counted, "streetlight-chains", lines.with_columns(_wkt=lines["_wkt"].replace(lines["_wkt"], wkt))
    )
    said = (await ask(counted)).json()
    assert {row["cell"]: row["method"] for row in said["cells"]}[B] == "roads"


async def test_facilities_without_a_position_are_counted_and_left_out(counted):
    await shelter(counted, "shelter-2")
    said = (await ask(counted)).json()
    assert (said["layer_count"], said["layer_without_place"]) == (1, 1)


async def test_where_there_is_no_facility_everybody_is_in_a_gap(counted):
    said = (await ask(counted, "&hours=7-9", layer="booth")).json()
    assert gaps(said) == [(A, 100), (B, 20), (C, None)]
    assert (said["facilities"], said["cells"][0]["metres"], said["totals"][0]["in_reach"]) == ([], None, 0)


async def test_points_of_a_dataset_are_a_layer_named_by_their_label(counted, backend):
    await publish(backend, counted, "benches", point_rows(의자=middle(B)), **POINTS)
    said = (await ask(counted, "&hours=8", layer="benches")).json()
    assert [(row["name"], row["in_reach"]) for row in said["facilities"]] == [("의자", 20)]
    assert (said["layer_without_place"], said["layer_ko"]) == (1, "버스정류장")


async def test_a_dataset_is_a_layer_for_those_alone_who_may_read_it(counted, backend):
    await publish(backend, counted, "benches", point_rows(의자=middle(B)), citizens_from=None, **POINTS)
    answer = await counted.get("/v1/population/facilities?measure=boardings&layer=benches")
    assert (answer.status_code, "not open to citizens" in answer.text) == (403, True)
    assert (await ask(counted, layer="benches", **bearer("staff"))).status_code == 200


@pytest.mark.parametrize(
    ("query", "status", "why"),
    [
        ("layer=ghost", 404, "ghost"),
        ("layer=areas", 422, "has no points"),
        ("", 422, "layer"),
        ("layer=shelter&reach_min=0", 422, "reach_min"),
        ("layer=shelter&reach_min=nan", 422, "reach_min"),
        ("layer=shelter&format=csv", 422, "format"),
        ("layer=shelter&by=area", 422, "by"),
    ],
)
async def test_a_bad_question_is_told_what_is_wrong(counted, query, status, why):
    answer = await counted.get(f"/v1/population/facilities?measure=boardings&{query}")
    assert (answer.status_code, why in answer.text) == (status, True), answer.text


async def test_too_many_ways_are_refused_with_what_to_do(counted, monkeypatch):
    monkeypatch.setattr(reached, "MOST_PAIRS", 2)
    answer = await counted.get("/v1/population/facilities?measure=boardings&layer=shelter")
    assert (answer.status_code, "ask for an area or a bbox" in answer.text) == (422, True)


async def test_facilities_and_gaps_are_features(counted):
    features = (await ask(counted, "&hours=7-9&format=geojson")).json()["features"]
    assert [(one["id"], one["properties"]["kind"], one["geometry"]["type"]) for one in features] == [
        ("shelter-1/7-9", "facility", "Point"),
        (f"{B}/7-9", "gap", "Polygon"),
        (f"{C}/7-9", "gap", "Polygon"),
    ]


async def test_a_map_shows_the_gaps_with_the_facilities(counted):
    spec = orjson.loads((await ask(counted, "&hours=7-9&format=vega")).content)
    assert {row["properties"]["cell"]: row["value"] for row in spec["data"]["values"]} == {B: 20, C: None}
    assert "걸어서 5분 안에 시설(shelter) 없음" in spec["title"]["text"]
    assert any("체류인구가 아님" in line for line in spec["title"]["subtitle"])
    assert len(spec["layer"][-1]["data"]["values"]) == 1
    assert (await ask(counted, "&hours=7,8&format=svg")).text.startswith("<svg")


async def test_an_answer_changes_with_the_facilities_and_with_the_counts(counted):
    assert gaps((await ask(counted, "&hours=8")).json()) == [(B, 20), (C, None)]
    await shelter(counted, "shelter-2", middle(B))
    assert gaps((await ask(counted, "&hours=8")).json()) == [(C, None)]
    await send(counted, boardings((A, 7, 6), (A, 8, 6), (C, 8, 30)))
    assert gaps((await ask(counted, "&hours=8")).json()) == [(C, 30)]
