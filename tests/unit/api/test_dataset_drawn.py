"""Datasets over HTTP as maps, tiles and charts."""

import orjson
import pytest
import shapely

from serve.routes import datasets
from tests.unit.api.datasets import bring, declare, refused, told
from tests.unit.catalogue.entries import facts
from tests.unit.catalogue.service.declared import OPEN, stops

pytestmark = pytest.mark.usefixtures("read_here")


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
